//! Puts messages on whatever wire a client has.

use bytes::Bytes;
use primus_core::{Envelope, Outgoing, Payload, WireForm};
use primus_websocket::{Form as SocketForm, Out};

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
#[derive(Debug)]
pub struct Form {
    polling: [WireForm; 2],
    sockets: [SocketForm; 4],
}

impl Form {
    #[doc(hidden)]
    pub const fn new(polling: [&'static str; 2], sockets: [SocketForm; 4]) -> Self {
        Self { polling: [WireForm(polling[0]), WireForm(polling[1])], sockets }
    }

    fn poll(&self, version: Version) -> WireForm {
        let [version_4, version_3] = self.polling;
        if version == Version::V4 { version_4 } else { version_3 }
    }

    fn socket(&self, version: Version, base64: Base64) -> &SocketForm {
        let [version_4, version_4_base64, version_3, version_3_base64] = &self.sockets;
        match (version, base64) {
            (Version::V4, false) => version_4,
            (Version::V4, true) => version_4_base64,
            (Version::V3, false) => version_3,
            (Version::V3, true) => version_3_base64,
        }
    }
}

/// A [`Form`] by its name, which is a literal: `form!("socket.io")`.
#[macro_export]
macro_rules! form {
    ($name:literal) => {
        $crate::Form::new(
            [concat!($name, ".polling4"), concat!($name, ".polling3")],
            [
                $crate::form!(@socket $name ".socket4"),
                $crate::form!(@socket $name ".socket4.base64"),
                $crate::form!(@socket $name ".socket3"),
                $crate::form!(@socket $name ".socket3.base64"),
            ],
        )
    };
    (@socket $name:literal $wire:literal) => {
        $crate::SocketForm::new(
            concat!($name, $wire),
            [
                concat!($name, $wire, ".deflate9"),
                concat!($name, $wire, ".deflate10"),
                concat!($name, $wire, ".deflate11"),
                concat!($name, $wire, ".deflate12"),
                concat!($name, $wire, ".deflate13"),
                concat!($name, $wire, ".deflate14"),
                concat!($name, $wire, ".deflate15"),
            ],
        )
    };
}

pub(crate) use form;

/// Where a language writes its messages to: the answer of a poll, or a WebSocket.
pub struct Writer<'a> {
    wire: Wire,
    to: To<'a>,
}

enum To<'a> {
    /// Packets, each as it stands on the wire.
    Answer(&'a mut Vec<Bytes>),
    Socket(&'a mut Out),
}

impl<'a> Writer<'a> {
    pub(crate) fn answer(version: Version, packets: &'a mut Vec<Bytes>) -> Self {
        Self { wire: Wire::Polling(version), to: To::Answer(packets) }
    }

    pub(crate) fn socket(version: Version, base64: Base64, out: &'a mut Out) -> Self {
        Self { wire: Wire::Socket(version, base64), to: To::Socket(out) }
    }

    /// Writes a message for this client alone.
    pub fn say(&mut self, message: &Payload) {
        self.packet(&Packet::Message(message.clone()));
    }

    /// Writes what a session says: the messages that `make` makes of its envelope, if any. Where several
    /// receive it, `make` is asked, and its messages are encoded, once for all of them who are on such a
    /// wire; so it may look at nothing but the envelope.
    pub fn put<M>(&mut self, outgoing: &Outgoing, form: &Form, make: impl Fn(&Envelope) -> M)
    where
        M: IntoIterator<Item = Payload>,
    {
        let wire = self.wire;
        match (&mut self.to, wire) {
            (To::Socket(out), Wire::Socket(version, base64)) => {
                out.put(outgoing, form.socket(version, base64), |envelope| {
                    let messages = make(envelope).into_iter();
                    messages.map(move |message| wire.payload(&Packet::Message(message)))
                });
            }
            (To::Answer(packets), Wire::Polling(version)) => {
                let bytes = outgoing.frame(form.poll(version), |envelope| {
                    wire.encode_all(make(envelope).into_iter().map(Packet::Message))
                });
                if !bytes.is_empty() {
                    packets.push(bytes);
                }
            }
            _ => {} // a writer has the wire of what it writes to
        }
    }

    pub(crate) fn packet(&mut self, packet: &Packet) {
        match &mut self.to {
            To::Answer(packets) => packets.push(self.wire.encode(packet)),
            To::Socket(out) => out.push_message(&self.wire.payload(packet)),
        }
    }
}

impl Wire {
    /// Packets as they stand on this wire, one behind the other; nothing if there are none.
    fn encode_all(self, packets: impl Iterator<Item = Packet>) -> Bytes {
        let mut all: Vec<Bytes> = packets.map(|packet| self.encode(&packet)).collect();
        match (self, all.len()) {
            (_, 0) => Bytes::new(),
            (_, 1) => all.remove(0),
            (Self::Polling(Version::V3), _) => all.concat().into(),
            _ => all.join(&(v4::SEPARATOR as u8)).into(),
        }
    }

    /// One packet as it stands in the answer to a poll.
    fn encode(self, packet: &Packet) -> Bytes {
        match self {
            Self::Polling(Version::V3) => text(packet, v3::write).into_bytes().into(),
            _ => text(packet, v4::write_text).into_bytes().into(),
        }
    }

    /// What a packet is as a message of a WebSocket; of a poll, which has none, the same text.
    pub(crate) fn payload(self, packet: &Packet) -> Payload {
        match (self, packet) {
            (Self::Socket(Version::V4, false), Packet::Message(binary @ Payload::Binary(_))) => {
                binary.clone()
            }
            (Self::Socket(Version::V3, false), Packet::Message(Payload::Binary(bytes))) => {
                [&[4], &bytes[..]].concat().into()
            }
            (Self::Socket(Version::V3, _) | Self::Polling(Version::V3), _) => {
                text(packet, v3::write_text).into()
            }
            (Self::Socket(Version::V4, _) | Self::Polling(Version::V4), _) => {
                text(packet, v4::write_text).into()
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
