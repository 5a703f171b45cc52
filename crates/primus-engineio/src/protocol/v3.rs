//! Version 3: packets with their lengths in front. A payload is text, or, where it has something binary and
//! the client takes that, binary as a whole.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use bytestring::ByteString;
use primus_core::Payload;

use super::{BadPacket, Packet};

/// The most digits that a length may have: what is longer than a gigabyte is refused anyway.
const DIGITS: usize = 9;
/// Ends a length in a binary payload.
const END: u8 = 0xff;
/// The type of a message, where it is a byte and no character.
const MESSAGE: u8 = 4;

/// Reads a text payload: `<length>:<packet>`, again and again. Lengths count UTF-16 code units. What is
/// behind a bad packet is not looked at. `0:` is a payload of nothing.
pub fn decode(payload: ByteString) -> impl Iterator<Item = Result<Packet, BadPacket>> {
    let mut rest = payload;
    let mut first = true;
    std::iter::from_fn(move || {
        if rest.is_empty() && !std::mem::take(&mut first) || &*rest == "0:" {
            return None;
        }
        first = false;
        let read = next(&rest).and_then(|(packet, behind)| {
            let packet = read_text(&rest.slice_ref(packet))?;
            Ok((packet, rest.slice_ref(behind)))
        });
        Some(match read {
            Ok((packet, behind)) => {
                rest = behind;
                Ok(packet)
            }
            Err(error) => {
                rest = ByteString::new();
                Err(error)
            }
        })
    })
}

/// The first packet of a text payload, and what is behind it.
fn next(payload: &str) -> Result<(&str, &str), BadPacket> {
    let head = payload.bytes().take(DIGITS + 1).position(|byte| byte == b':');
    let (length, data) = match head {
        Some(colon) => (&payload[..colon], &payload[colon + 1..]),
        None => return Err(BadPacket("a packet has its length in front, and a colon")),
    };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadPacket("a length is a decimal number"));
    }
    let mut units = length.parse::<usize>().map_err(|_| BadPacket("a length is too long"))?;
    let mut end = data.len();
    for (at, character) in data.char_indices() {
        if units == 0 {
            end = at;
            break;
        }
        units = units
            .checked_sub(character.len_utf16())
            .ok_or(BadPacket("a length ends within a character"))?;
    }
    if units > 0 {
        return Err(BadPacket("a packet is shorter than its length"));
    }
    Ok(data.split_at(end))
}

/// Reads a packet in the form that it has in text payloads and in text frames of a WebSocket.
///
/// # Errors
/// When it has no type of the protocol, or its base64 is none.
pub fn read_text(text: &ByteString) -> Result<Packet, BadPacket> {
    match text.strip_prefix("b4") {
        Some(base64) => match STANDARD.decode(base64) {
            Ok(bytes) => Ok(Packet::Message(Payload::Binary(bytes.into()))),
            Err(_) => Err(BadPacket("bad base64")),
        },
        None => Packet::read_text(text),
    }
}

/// Reads a packet in the form that it has in binary frames of a WebSocket: its type as a byte, and the data.
///
/// # Errors
/// When it is no message: nothing else is binary.
pub fn read_binary(bytes: &Bytes) -> Result<Packet, BadPacket> {
    match bytes.first() {
        Some(&MESSAGE) => Ok(Packet::Message(Payload::Binary(bytes.slice(1..)))),
        _ => Err(BadPacket("what is binary begins with the type of a message, 4")),
    }
}

/// Reads a binary payload: for each packet 0 (text) or 1 (binary), the digits of its length in bytes, 255,
/// and the data.
pub fn decode_binary(payload: Bytes) -> impl Iterator<Item = Result<Packet, BadPacket>> {
    let mut rest = payload;
    let mut first = true;
    std::iter::from_fn(move || {
        if rest.is_empty() && !std::mem::take(&mut first) {
            return None;
        }
        first = false;
        Some(next_binary(&mut rest).inspect_err(|_| rest.clear()))
    })
}

fn next_binary(rest: &mut Bytes) -> Result<Packet, BadPacket> {
    let kind = rest.first().copied();
    let binary = match kind {
        Some(kind @ (0 | 1)) => kind == 1,
        _ => return Err(BadPacket("a packet in a binary payload begins with 0 or 1")),
    };
    let mut length = 0;
    let mut at = 1;
    loop {
        match rest.get(at) {
            Some(&END) if at > 1 => break,
            Some(digit @ 0..=9) if at <= DIGITS => length = length * 10 + usize::from(*digit),
            _ => return Err(BadPacket("a length is digits from 0 to 9, and 255")),
        }
        at += 1;
    }
    let from = at + 1;
    if rest.len() - from < length {
        return Err(BadPacket("a packet is shorter than its length"));
    }
    let data = rest.slice(from..from + length);
    *rest = rest.slice(from + length..);
    if binary {
        return read_binary(&data);
    }
    match ByteString::try_from(data) {
        Ok(text) => read_text(&text),
        Err(_) => Err(BadPacket("text is not UTF-8")),
    }
}

/// Appends a packet as it is in text payloads, with its length.
pub fn write(packet: &Packet, out: &mut String) {
    match packet {
        Packet::Message(Payload::Binary(bytes)) => {
            let length = 2 + bytes.len().div_ceil(3) * 4;
            out.push_str(&length.to_string());
            out.push(':');
            write_text(packet, out);
        }
        other => {
            if let Some((kind, data)) = other.text() {
                let units: usize = 1 + data.chars().map(char::len_utf16).sum::<usize>();
                out.push_str(&units.to_string());
                out.push(':');
                out.push(kind);
                out.push_str(data);
            }
        }
    }
}

/// Appends a packet in its text form, without a length.
pub fn write_text(packet: &Packet, out: &mut String) {
    match packet {
        Packet::Message(Payload::Binary(bytes)) => {
            out.push_str("b4");
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

/// Appends a packet as it is in binary payloads, with its length.
pub fn write_binary(packet: &Packet, out: &mut Vec<u8>) {
    let mut put = |binary: bool, kind: u8, data: &[u8]| {
        out.push(u8::from(binary));
        out.extend((1 + data.len()).to_string().bytes().map(|digit| digit - b'0'));
        out.push(END);
        out.push(kind);
        out.extend_from_slice(data);
    };
    match packet {
        Packet::Message(Payload::Binary(bytes)) => put(true, MESSAGE, bytes),
        other => {
            if let Some((kind, data)) = other.text() {
                put(false, kind as u8, data.as_bytes());
            }
        }
    }
}
