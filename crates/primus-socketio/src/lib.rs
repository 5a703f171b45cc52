//! The Socket.IO transformer: stock `socket.io-client`s reach the same handlers as every other client.

#![deny(clippy::unwrap_used)]

pub mod protocol;
