//! The SockJS transformer of Primus: `sockjs-client` over each of its transports, raw WebSockets, and the
//! stock Primus 8 client that is generated for `sockjs`. docs/sockjs.md says what is supported.
//!
//! ```text
//!  receivers                                  senders
//!  /xhr, /jsonp            one frame ──┐        ┌── /xhr_send, /jsonp_send
//!  /xhr_streaming, /event- many frames ┼ Session┤
//!  source, /htmlfile                   │        │
//!  /websocket                    both ─┘        └─ both
//! ```
//!
//! The client makes up the id of its session. The first receiver opens it; between two receivers it is
//! parked; without one for a while, or when one is lost, it is over. A WebSocket is a session of its own.

#![deny(clippy::unwrap_used)]

mod batch;
mod face;
mod headers;
mod link;
mod options;
mod pages;
mod poll;
pub mod protocol;
mod receiver;
mod send;
mod sessions;
mod stream;
mod transformer;
mod way;
mod websocket;

pub use self::{options::SockJsOptions, transformer::SockJs};
