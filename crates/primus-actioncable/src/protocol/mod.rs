//! The protocol as values: no I/O, no clock. Reading is total.

mod command;
mod frame;
mod identifier;

pub use self::{
    command::{Command, CommandError, History, Place, Said, Who},
    frame::{Frame, disconnect, message, ping, welcome},
    identifier::Identifier,
};

/// The subprotocol of ActionCable.
pub const BASE: &str = "actioncable-v1-json";
/// That of AnyCable, which has more.
pub const EXTENDED: &str = "actioncable-v1-ext-json";
