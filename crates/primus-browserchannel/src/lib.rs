//! The BrowserChannel transformer of Primus: npm's `browserchannel` 2.1, and the stock Primus 8 client that
//! is generated for `browserchannel`. docs/browserchannel.md says what is supported.
//!
//! ```text
//!  POST bind            opens: the id, and the first words ──┐
//!  POST bind?SID=       maps, by their numbers ───────────── Session
//!  GET bind?SID=        arrays, by their numbers ────────────┘
//! ```
//!
//! Everything is numbered and acknowledged both ways, so a lost answer loses nothing: what the client does not
//! acknowledge is said again by the next back channel, and what it sends again is known. Between two back
//! channels the session is parked; when one is lost, it waits for its client.

#![deny(clippy::unwrap_used)]

mod back;
mod face;
mod forward;
mod graves;
mod headers;
mod link;
mod open;
mod options;
mod pages;
pub mod protocol;
mod transformer;

pub use self::{options::BrowserChannelOptions, transformer::BrowserChannel};

/// The name in configuration.
pub(crate) const NAME: &str = "browserchannel";
