//! A packet, and its type.

use bytestring::ByteString;
use primus_core::Payload;

/// A version of the protocol. Only these two are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// `EIO=3`: engine.io-client up to 3.x, socket.io-client 1.x and 2.x. The client sends the pings.
    V3,
    /// `EIO=4`: engine.io-client 4.x to 6.x, socket.io-client 3.x and 4.x. The server sends the pings.
    V4,
}

impl Version {
    /// Reads the value of `EIO`: the literal `3` or `4`.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "3" => Some(Self::V3),
            "4" => Some(Self::V4),
            _ => None,
        }
    }
}

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// 0: what the server says first, JSON.
    Open(ByteString),
    /// 1: the end.
    Close,
    /// 2, and what is to be said back.
    Ping(ByteString),
    /// 3, and what the ping had.
    Pong(ByteString),
    /// 4: a message of the application, text or binary.
    Message(Payload),
    /// 5: the transport that was probed takes over.
    Upgrade,
    /// 6: nothing, to answer a poll.
    Noop,
}

/// What is not a packet, or not a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not Engine.IO: {0}")]
pub struct BadPacket(pub(crate) &'static str);

impl Packet {
    /// Reads the text form, which both versions share: a digit and the data.
    ///
    /// # Errors
    /// When the first character is none of `0` to `6`.
    pub fn read_text(text: &ByteString) -> Result<Self, BadPacket> {
        let data = || text.slice_ref(&text[1..]);
        Ok(match text.as_bytes().first() {
            Some(b'0') => Self::Open(data()),
            Some(b'1') => Self::Close,
            Some(b'2') => Self::Ping(data()),
            Some(b'3') => Self::Pong(data()),
            Some(b'4') => Self::Message(Payload::Text(data())),
            Some(b'5') => Self::Upgrade,
            Some(b'6') => Self::Noop,
            Some(_) => return Err(BadPacket("a packet begins with a digit from 0 to 6")),
            None => return Err(BadPacket("a packet has a type; this is empty")),
        })
    }

    /// Appends the text form. `None`: it is binary, which has none.
    pub(crate) fn text(&self) -> Option<(char, &str)> {
        Some(match self {
            Self::Open(data) => ('0', data),
            Self::Close => ('1', ""),
            Self::Ping(data) => ('2', data),
            Self::Pong(data) => ('3', data),
            Self::Message(Payload::Text(data)) => ('4', data),
            Self::Message(Payload::Binary(_)) => return None,
            Self::Upgrade => ('5', ""),
            Self::Noop => ('6', ""),
        })
    }
}
