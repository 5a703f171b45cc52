//! Bayeux as values: no socket, no clock. Everything here takes any input and answers it.

pub mod callback;
pub mod channel;
pub mod error;
pub mod message;
pub mod reply;
