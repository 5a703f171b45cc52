//! Puts messages on whatever wire a client has.

use bytes::{BufMut as _, Bytes, BytesMut};
use primus_core::{Envelope, Outgoing, Payload, WireForm};

use crate::protocol::{Packet, Version, v3, v4};

/// The wires of Engine.IO: transport, version, and whether what is binary has to be text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    /// Packets of a poll's answer. Of version 3 in their text form, whatever the client takes.
    Polling(Version),
    /// Frames of a WebSocket.
    Socket(Version, Base64),
}

/// Whether the client said that it takes no binary (`b64` in its query).
pub(crate) type Base64 = bool;

/// A way in which a language puts an envelope into messages, by name. Two forms with one name are the same, so
/// what is made for one receiver is sent to all. Made by [`form!`](crate::form).
#[derive(Debug, Clone, Copy)]
pub struct Form([WireForm; 6]);

impl Form {
    #[doc(hidden)]
    pub const fn new(names: [&'static str; 6]) -> Self {
        let [a, b, c, d, e, f] = names;
        Self([WireForm(a), WireForm(b), WireForm(c), WireForm(d), WireForm(e), WireForm(f)])
    }

    fn on(&self, wire: Wire) -> WireForm {
        let [polling4, polling3, socket4, socket4_base64, socket3, socket3_base64] = self.0;
        match wire {
            Wire::Polling(Version::V4) => polling4,
            Wire::Polling(Version::V3) => polling3,
            Wire::Socket(Version::V4, false) => socket4,
            Wire::Socket(Version::V4, true) => socket4_base64,
            Wire::Socket(Version::V3, false) => socket3,
            Wire::Socket(Version::V3, true) => socket3_base64,
        }
    }
}

/// A [`Form`] by its name, which is a literal: `form!("socket.io")`.
#[macro_export]
macro_rules! form {
    ($name:literal) => {
        $crate::Form::new([
            concat!($name, ".polling4"),
            concat!($name, ".polling3"),
            concat!($name, ".socket4"),
            concat!($name, ".socket4.base64"),
            concat!($name, ".socket3"),
            concat!($name, ".socket3.base64"),
        ])
    };
}

pub(crate) use form;

/// Where a language writes its messages to: the answer of a poll, or a WebSocket.
pub struct Writer<'a> {
    wire: Wire,
    to: &'a mut dyn FnMut(Bytes),
}

impl<'a> Writer<'a> {
    pub(crate) fn new(wire: Wire, to: &'a mut dyn FnMut(Bytes)) -> Self {
        Self { wire, to }
    }

    /// Writes a message for this client alone.
    pub fn say(&mut self, message: &Payload) {
        let bytes = self.wire.encode(&Packet::Message(message.clone()));
        (self.to)(bytes);
    }

    /// Writes what a session says: the messages that `make` makes of its envelope. Where several receive it,
    /// `make` is asked, and its messages are encoded, once for all of them who are on such a wire; so it
    /// may look at nothing but the envelope.
    pub fn put<M>(&mut self, outgoing: &Outgoing, form: &Form, make: impl FnOnce(&Envelope) -> M)
    where
        M: IntoIterator<Item = Payload>,
    {
        let wire = self.wire;
        let bytes = outgoing.frame(form.on(wire), |envelope| {
            let packets = make(envelope).into_iter().map(Packet::Message);
            wire.encode_all(packets)
        });
        if !bytes.is_empty() {
            (self.to)(bytes);
        }
    }

    pub(crate) fn packet(&mut self, packet: &Packet) {
        let bytes = self.wire.encode(packet);
        (self.to)(bytes);
    }
}

impl Wire {
    /// Packets as they stand on this wire, one behind the other; nothing if there are none.
    fn encode_all(self, packets: impl Iterator<Item = Packet>) -> Bytes {
        let mut all: Vec<Bytes> = packets.map(|packet| self.encode(&packet)).collect();
        match (self, all.len()) {
            (_, 0) => Bytes::new(),
            (_, 1) => all.remove(0),
            (Self::Polling(Version::V4), _) => all.join(&(v4::SEPARATOR as u8)).into(),
            _ => all.concat().into(),
        }
    }

    /// One packet as it stands on this wire.
    pub(crate) fn encode(self, packet: &Packet) -> Bytes {
        match (self, packet) {
            (Self::Polling(Version::V4), _) => text(packet, v4::write_text).into_bytes().into(),
            (Self::Polling(Version::V3), _) => text(packet, v3::write).into_bytes().into(),
            (Self::Socket(Version::V4, false), Packet::Message(binary @ Payload::Binary(_))) => {
                frame(binary)
            }
            (Self::Socket(Version::V3, false), Packet::Message(Payload::Binary(bytes))) => {
                let mut typed = Vec::with_capacity(1 + bytes.len());
                typed.put_u8(4);
                typed.extend_from_slice(bytes);
                frame(&Payload::from(typed))
            }
            (Self::Socket(version, _), _) => {
                let write = match version {
                    Version::V4 => v4::write_text,
                    Version::V3 => v3::write_text,
                };
                frame(&Payload::from(text(packet, write)))
            }
        }
    }
}

fn text(packet: &Packet, write: fn(&Packet, &mut String)) -> String {
    let length = match packet {
        Packet::Message(message) if message.is_binary() => message.len().div_ceil(3) * 4,
        Packet::Message(message) => message.len(),
        _ => 16,
    };
    let mut text = String::with_capacity(length + 12);
    write(packet, &mut text);
    text
}

/// A frame that a server sends (RFC 6455 §5.2): never masked, so that one serves every receiver.
fn frame(payload: &Payload) -> Bytes {
    let mut frame = BytesMut::with_capacity(10 + payload.len());
    frame.put_u8(if payload.is_binary() { 0x82 } else { 0x81 });
    match payload.len() {
        length @ 0..=125 => frame.put_u8(length as u8),
        length @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(length as u16);
        }
        length => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    frame.extend_from_slice(payload.as_bytes());
    frame.freeze()
}
