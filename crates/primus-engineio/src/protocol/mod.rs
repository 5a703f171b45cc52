//! Packets, payloads and rules of Engine.IO 3 and 4, as values: no I/O, no clock. Every decoder is total:
//! whatever it is given, it answers with packets or an error, in time and room proportional to its input.
//!
//! ```
//! use primus_engineio::protocol::{Packet, v4};
//! let packets: Vec<_> = v4::decode("4hello\u{1e}bAQIDBA==".into()).collect();
//! assert_eq!(packets[0], Ok(Packet::Message("hello".into())));
//! assert_eq!(packets[1], Ok(Packet::Message(vec![1, 2, 3, 4].into())));
//! ```

mod handshake;
mod jsonp;
mod packet;
mod request;
#[cfg(test)]
mod tests;
mod transports;
pub mod v3;
pub mod v4;

pub use self::{
    handshake::Handshake,
    jsonp::{read_jsonp, write_jsonp},
    packet::{BadPacket, Packet, Version},
    request::{Asked, FORBIDDEN, RequestError, Transport},
    transports::{Denied, PROBE, Probe, Transports},
};
