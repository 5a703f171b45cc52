//! The packets of Socket.IO protocol 5, and of 4 as its clients 1.x and 2.x speak it. No I/O, no clock;
//! total: whatever a client sends is a packet or an error, at a cost that is linear in its length.
//!
//! ```text
//! <type>[<attachments>-][<namespace>,][<ack id>][JSON]      then its attachments, one binary message each
//! ```

mod arguments;
mod attachments;
mod json;
mod msgpack;
mod packet;
mod reader;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use self::writer::{UNNAMED, namespace};
pub use self::{
    arguments::Arguments,
    packet::{Packet, PacketError, Said},
    reader::{Reader, Version},
    value::Value,
    writer::{Encoded, Writing},
};
