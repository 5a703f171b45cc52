//! The Bayeux transformer of Primus: npm's `faye` client over each of its transports. docs/bayeux.md
//! says what is supported.
//!
//! ```text
//!  POST  long-polling, cross-origin ─┐
//!  GET   callback-polling ───────────┼─ messages → replies      subscribe  → a room, if authorize_join lets
//!  WebSocket ────────────────────────┤                          publish    → an event, and the room, if
//!  GET   event stream: events only ──┘                                       authorize_publish lets
//! ```
//!
//! A handshake opens a session, and its token is the client's id. Each connect is a carrier: for the time
//! of one answer, or of a stream or a WebSocket. Between two of them the session is parked.

#![deny(clippy::unwrap_used)]

mod asker;
mod events;
mod headers;
mod line;
mod options;
mod process;
pub mod protocol;
mod stream;
mod transformer;
mod websocket;

pub use self::{options::BayeuxOptions, transformer::Bayeux};
