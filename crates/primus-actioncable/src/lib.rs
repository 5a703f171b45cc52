//! The ActionCable transformer of Primus: `@rails/actioncable` and `@anycable/core` over a WebSocket.
//! docs/actioncable.md says what is supported.
//!
//! A subscription is a place in a channel of the session: its identifier is read into the channel's name and
//! into parameters, an action is an event of the channel, and what is written in the channel is a message of
//! the subscription. Subscribing is a request of the protocol, `primus.open`, whose answer confirms or rejects.

#![deny(clippy::unwrap_used)]

mod cable;
mod options;
mod places;
pub mod protocol;
mod transformer;

pub use self::{options::ActionCableOptions, transformer::ActionCable};
