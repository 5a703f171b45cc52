//! The WebSocket transformer of Primus (RFC 6455, and RFC 8441 over HTTP/2).
//!
//! One small task a connection: it reads into a buffer of the worker thread, handles every
//! complete frame of a read before anything is written, polls the handler, and writes whatever
//! came of it in one system call. Nothing is held while the connection is idle but the socket,
//! the protocol state and the session. tungstenite is the authority on the protocol.
//!
//! Other transformers speak over WebSockets, too: they [`accept`] the handshake, talk to the
//! [`Connection`] as long as there is no session, and then let it drive the session in their
//! [`Dialect`], which makes frames [once a broadcast](Out::put).

#![deny(clippy::unwrap_used)]

mod attach;
mod connection;
mod deflate;
mod dialect;
mod driver;
mod frame;
mod frames;
mod handshake;
mod native;
mod out;
mod socket;
mod sync;
mod task;
mod transformer;
mod turns;

pub use primus_core::classic::{Classic, Incoming, Rendering, Sink};

pub use self::{
    connection::Connection,
    deflate::Form,
    dialect::Dialect,
    frame::message as frame,
    handshake::{Handshake, accept, offered},
    out::Out,
    transformer::WebSocket,
};
