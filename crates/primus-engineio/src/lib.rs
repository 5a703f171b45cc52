//! The Engine.IO transformer: stock `engine.io-client`s of the versions 3 to 6 reach the same handlers as
//! every other client.
//!
//! Engine.IO is a pipe for messages that begins with long polling and goes on over a WebSocket once that
//! has been tried. It is here in three parts:
//!
//! - [`protocol`]: packets, payloads and the rules of the upgrade, as values: no I/O, no clock;
//! - the connection: requests that come and go, the socket that takes their place, heartbeats;
//! - [`Language`]: what the messages mean. In plain Engine.IO a message is a message of the application
//!   ([`Plain`]); Socket.IO is another language on the same pipe.
//!
//! ```text
//!   GET, POST ─┐                        ┌─▶ Speaker::read ──▶ session ──▶ handler
//!              ├─▶ packets ─▶ connection┤
//!   WebSocket ─┘                        └── Speaker::write ◀── session ◀── handler, broadcasts
//! ```

#![deny(clippy::unwrap_used)]

mod answer;
mod classic;
mod hear;
mod language;
mod link;
mod options;
mod plain;
pub mod protocol;
mod receive;
mod requests;
mod socket;
mod table;
mod talk;
mod transformer;
mod writer;

#[doc(hidden)]
pub use primus_websocket::Form as SocketForm;

pub use self::{
    language::{After, Caller, Greeting, Heard, Language, Opened, Speaker},
    options::Options,
    plain::Plain,
    transformer::EngineIo,
    writer::{Form, Writer},
};
