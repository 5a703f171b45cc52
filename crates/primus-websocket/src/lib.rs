//! The WebSocket transformer of Primus (RFC 6455, and RFC 8441 over HTTP/2).
//!
//! One small task a connection: it reads into a buffer of the worker thread, handles every
//! complete frame of a read before anything is written, polls the handler, and writes whatever
//! came of it in one system call. Nothing is held while the connection is idle but the socket,
//! the protocol state and the session. tungstenite is the authority on the protocol.

#![deny(clippy::unwrap_used)]

mod attach;
mod classic;
mod connection;
mod deflate;
mod dialect;
mod driver;
mod fragments;
mod frame;
mod frames;
mod handshake;
mod out;
mod sync;
mod task;
mod transformer;
mod turns;
mod utf8;

pub use self::transformer::WebSocket;
