//! The Socket.IO transformer: stock `socket.io-client`s reach the same handlers as every other client.
//!
//! Socket.IO is events, answers and namespaces over Engine.IO, and so it is here: a language of
//! [`primus_engineio`] whose packets ([`protocol`]) are events, requests and answers of a session, and whose
//! namespaces are channels. `/` is the root. Nothing is remembered of requests: which of a client's namespaces one came
//! from stands in the upper bits of its number.

#![deny(clippy::unwrap_used)]

mod client;
mod language;
mod opening;
mod options;
mod places;
pub mod protocol;
mod reasons;
mod speaker;

pub use self::{
    language::{SocketIo, transformer},
    options::Options,
    reasons::disconnect_reason,
};
