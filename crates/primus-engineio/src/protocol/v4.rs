//! Version 4: payloads are packets with U+001E between them, binary is base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytestring::ByteString;
use primus_core::Payload;

use super::{BadPacket, Packet};

/// Stands between packets.
pub const SEPARATOR: char = '\u{1e}';

/// Reads a payload, packet by packet. What is behind a bad packet is not looked at.
pub fn decode(payload: ByteString) -> impl Iterator<Item = Result<Packet, BadPacket>> {
    let mut rest = Some(payload);
    std::iter::from_fn(move || {
        let payload = rest.take()?;
        let text = match payload.split_once(SEPARATOR) {
            Some((first, behind)) => {
                rest = Some(payload.slice_ref(behind));
                payload.slice_ref(first)
            }
            None => payload,
        };
        let packet = read_text(&text);
        if packet.is_err() {
            rest = None;
        }
        Some(packet)
    })
}

/// Reads a packet in the form that it has in payloads and in text frames of a WebSocket.
///
/// # Errors
/// When it has no type of the protocol, or its base64 is none.
pub fn read_text(text: &ByteString) -> Result<Packet, BadPacket> {
    match text.strip_prefix('b') {
        Some(base64) => match STANDARD.decode(base64) {
            Ok(bytes) => Ok(Packet::Message(Payload::Binary(bytes.into()))),
            Err(_) => Err(BadPacket("bad base64")),
        },
        None => Packet::read_text(text),
    }
}

/// Appends a packet in its text form.
pub fn write_text(packet: &Packet, out: &mut String) {
    match packet {
        Packet::Message(Payload::Binary(bytes)) => {
            out.push('b');
            STANDARD.encode_string(bytes, out);
        }
        other => {
            if let Some((kind, data)) = other.text() {
                out.push(kind);
                out.push_str(data);
            }
        }
    }
}
