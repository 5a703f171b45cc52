//! Payloads of Engine.IO 3 and 4, as text and as bytes, forms of JSONP, and queries.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use bytestring::ByteString;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use primus_core::{Payload, Query};
use primus_engineio::protocol::{
    Asked, BadPacket, Packet, Version, read_jsonp, v3, v4, write_jsonp,
};

use crate::heap;

/// What a payload of nothing may take.
const BASE: usize = 1 << 10;
/// And more for a byte of it: two of them may be a packet.
const EACH: usize = 200;

type Packets = Vec<Result<Packet, BadPacket>>;

/// A payload in each form that it may have. Packets are cut as JavaScript would cut them, and nothing is read
/// behind a bad one. What is read, in any form, is the same when it has been written and read in any other.
pub fn engineio(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let read = |read: &dyn Fn() -> Packets| heap::bounded(BASE + EACH * data.len(), read);
    survive(&read(&|| v3::decode_binary(bytes.clone()).collect()));
    let _ = read_jsonp(&bytes);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let payload = ByteString::from(text);

    let four = read(&|| v4::decode(payload.clone()).collect());
    survive(&four);
    are(&four, text.split(v4::SEPARATOR).map(Some), "b", v4::write_text);

    let three = read(&|| v3::decode(payload.clone()).collect());
    survive(&three);
    are(&three, by_utf16(text).iter().map(Option::as_deref), "b4", v3::write_text);

    jsonp(text);
    query(text);
}

/// Written in each form, they are read as what they are.
fn survive(packets: &Packets) {
    let bad = packets.iter().position(Result::is_err);
    assert!(bad.is_none_or(|at| at + 1 == packets.len()), "what is behind a bad packet was read");
    let good: Vec<&Packet> = packets.iter().flatten().collect();
    if good.is_empty() {
        return;
    }
    let (mut text, mut binary, mut pieces) = (String::new(), Vec::new(), Vec::new());
    for packet in &good {
        v3::write(packet, &mut text);
        v3::write_binary(packet, &mut binary);
        let mut piece = String::new();
        v4::write_text(packet, &mut piece);
        pieces.push(piece);
    }
    let same = |read: Packets| assert!(read.iter().map(|it| it.as_ref().unwrap()).eq(good.clone()));
    same(v3::decode(text.into()).collect());
    same(v3::decode_binary(binary.into()).collect());
    // Version 4 cannot carry its own separator in a text.
    if !pieces.iter().any(|piece| piece.contains(v4::SEPARATOR)) {
        same(v4::decode(pieces.join("\u{1e}").into()).collect());
    }
}

/// They are these pieces of the payload, up to the first that is none; `None` is a piece that cannot be cut.
fn are<'a>(
    packets: &Packets,
    pieces: impl Iterator<Item = Option<&'a str>>,
    binary: &str,
    write: fn(&Packet, &mut String),
) {
    let mut pieces = pieces.peekable();
    for packet in packets {
        let piece = pieces.next().expect("a packet is a piece of the payload");
        let Some(piece) = piece.filter(|piece| is_packet(piece, binary)) else {
            assert!(packet.is_err(), "{piece:?} was read as {packet:?}");
            return;
        };
        let packet = packet.as_ref().unwrap_or_else(|error| panic!("{piece:?}: {error}"));
        let mut written = String::new();
        write(packet, &mut written);
        // Behind the types that say nothing more, nothing is kept.
        let bare = matches!(packet, Packet::Close | Packet::Upgrade | Packet::Noop);
        assert_eq!(written, if bare { &piece[..1] } else { piece });
        if let Packet::Message(Payload::Binary(bytes)) = packet {
            assert_eq!(STANDARD.encode(bytes), piece[binary.len()..]);
        }
    }
    assert_eq!(pieces.next(), None, "a piece was not read");
}

fn is_packet(piece: &str, binary: &str) -> bool {
    match piece.strip_prefix(binary) {
        Some(base64) => is_base64(base64),
        None => piece.starts_with(|first: char| ('0'..='6').contains(&first)),
    }
}

/// RFC 4648 §4, with its padding and without stray bits.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let values: Option<Vec<u8>> = digits.bytes().map(value).collect();
    let stray = match padding {
        0 => 0,
        1 => 0b11,
        2 => 0b1111,
        _ => return false,
    };
    values.is_some_and(|values| {
        text.len().is_multiple_of(4) && values.last().is_none_or(|last| last & stray == 0)
    })
}

/// The pieces of a text payload of version 3, as JavaScript counts characters. The last may be one that is none.
fn by_utf16(text: &str) -> Vec<Option<String>> {
    let mut rest: Vec<u16> = text.encode_utf16().collect();
    let mut pieces = Vec::new();
    let nothing: Vec<u16> = "0:".encode_utf16().collect();
    while (!rest.is_empty() || pieces.is_empty()) && rest != nothing {
        let piece = cut(&mut rest);
        let end = piece.is_none();
        pieces.push(piece);
        if end {
            break;
        }
    }
    pieces
}

fn cut(rest: &mut Vec<u16>) -> Option<String> {
    let colon = rest.iter().take(10).position(|unit| *unit == u16::from(b':'))?;
    let length = String::from_utf16(&rest[..colon]).ok()?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let end = colon + 1 + length.parse::<usize>().ok().filter(|_| digits)?;
    let piece = String::from_utf16(rest.get(colon + 1..end)?).ok()?;
    rest.drain(..end);
    Some(piece)
}

fn jsonp(text: &str) {
    let script = write_jsonp("0", text);
    assert!(!script.contains(['\u{2028}', '\u{2029}', '\n']), "{script:?} has a line end");
    let json = script.strip_prefix("___eio[0](").and_then(|it| it.strip_suffix(");")).unwrap();
    assert_eq!(serde_json::from_str::<String>(json).unwrap(), text);
    // As clients write forms. A line end behind a backslash is lost there.
    if !text.contains("\\\n") {
        let escaped = text.replace("\\n", "\\\n").replace('\n', "\\n");
        let form = format!("d={}", utf8_percent_encode(&escaped, NON_ALPHANUMERIC));
        assert_eq!(read_jsonp(&form.into()).unwrap(), *text);
    }
}

fn query(text: &str) {
    let Ok(asked) = Asked::read(&Query::parse(text)) else { return };
    let digits = |j: &str| j.bytes().all(|byte| byte.is_ascii_digit());
    assert!(asked.jsonp.as_deref().is_none_or(digits), "{:?}", asked.jsonp);
    for (upgrade, v3) in [(false, false), (false, true), (true, true)] {
        let version = asked.handshake(&Method::GET, upgrade, v3);
        assert!(v3 || version != Ok(Version::V3), "version 3 is not spoken here");
    }
}
