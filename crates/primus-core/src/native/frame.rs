//! Text frames of the resumable dialect: application data, or `primus::<kind>:<fields>::<body>`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use bytestring::ByteString;

use crate::message::Payload;

/// What every control frame begins with.
const PREFIX: &str = "primus::";
/// Numbers are integers that JavaScript holds exactly: up to 2^53.
pub(super) const MAX_NUMBER: u64 = 1 << 53;

/// One frame from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message of the application.
    Data(Payload),
    /// The attach, with its JSON.
    Attach(ByteString),
    /// Everything up to `recv` has been received; with `next`, that is the number of the next
    /// message.
    Ack {
        /// The highest number received.
        recv: u64,
        /// The number of the next data frame.
        next: Option<u64>,
    },
    /// The client asks for a sign of life, and may acknowledge with it.
    Ping(u64, Option<u64>),
    /// The client gives one, and may acknowledge with it.
    Pong(u64, Option<u64>),
    /// The client ends the session.
    End,
    /// A refusal; only a server sends it.
    Refuse(ByteString),
}

/// A control frame that is malformed, or of a kind that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed control frame: {0}")]
pub struct FrameError(&'static str);

/// Reads a text frame. Anything that does not begin with `primus::` is data.
///
/// # Errors
/// When it does, and is not a control frame of docs/protocol.md §3. It must not reach the
/// application.
///
/// ```
/// use primus_core::native::{Frame, parse};
/// assert_eq!(parse("primus::ping:7::".into()), Ok(Frame::Ping(7, None)));
/// assert!(parse("primus::nonsense".into()).is_err());
/// ```
pub fn parse(text: ByteString) -> Result<Frame, FrameError> {
    let Some(control) = text.strip_prefix(PREFIX) else {
        return Ok(Frame::Data(Payload::Text(text)));
    };
    let kind_end = control.find(':').ok_or(FrameError("no end of the kind"))?;
    let (kind, rest) = control.split_at(kind_end);
    let (field, body) = if let Some(body) = rest.strip_prefix("::") {
        (None, body)
    } else {
        let (field, body) = rest[1..].split_once("::").ok_or(FrameError("no end of the fields"))?;
        (Some(field), body)
    };
    let shared = |body: &str| text.slice_ref(body);
    match (kind, field) {
        ("data", None) => Ok(Frame::Data(Payload::Text(shared(body)))),
        ("data", Some("b64")) => {
            let bytes = decode_base64(body)?;
            let text =
                ByteString::try_from(bytes).map_err(|_| FrameError("data:b64 is not UTF-8"))?;
            Ok(Frame::Data(Payload::Text(text)))
        }
        ("binary", None) => Ok(Frame::Data(Payload::Binary(decode_base64(body)?))),
        ("attach", None) => Ok(Frame::Attach(shared(body))),
        ("refuse", None) => Ok(Frame::Refuse(shared(body))),
        ("ack", Some(fields)) => match parse_numbers(fields, body)? {
            (_, Some(0)) => Err(FrameError("numbers of messages begin at 1")),
            (recv, next) => Ok(Frame::Ack { recv, next }),
        },
        ("ping", Some(fields)) => parse_numbers(fields, body).map(|(n, recv)| Frame::Ping(n, recv)),
        ("pong", Some(fields)) => parse_numbers(fields, body).map(|(n, recv)| Frame::Pong(n, recv)),
        ("end", None) => Ok(Frame::End),
        _ => Err(FrameError("unknown kind or fields")),
    }
}

fn decode_base64(text: &str) -> Result<Bytes, FrameError> {
    STANDARD.decode(text).map(Bytes::from).map_err(|_| FrameError("bad base64"))
}

/// One number or two, in a frame without a body.
fn parse_numbers(fields: &str, body: &str) -> Result<(u64, Option<u64>), FrameError> {
    if !body.is_empty() {
        return Err(FrameError("this kind has no body"));
    }
    match fields.split_once(':') {
        None => Ok((parse_number(fields)?, None)),
        Some((first, second)) => Ok((parse_number(first)?, Some(parse_number(second)?))),
    }
}

fn parse_number(text: &str) -> Result<u64, FrameError> {
    // One way to write a number: no sign, no leading zeros.
    let digits =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(number) if digits && number <= MAX_NUMBER => Ok(number),
        _ => Err(FrameError("bad number")),
    }
}

/// The text frame for application text on a carrier that holds any text.
pub fn encode_text(text: &ByteString) -> ByteString {
    if text.starts_with(PREFIX) { format!("primus::data::{text}").into() } else { text.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../../docs/protocol-vectors.json")).unwrap()
    }

    fn payload(message: &serde_json::Value) -> Payload {
        match message["text"].as_str() {
            Some(text) => text.into(),
            None => STANDARD.decode(message["binary"].as_str().unwrap()).unwrap().into(),
        }
    }

    #[test]
    fn valid_frames_of_the_vectors_parse() {
        for row in vectors()["frames"].as_array().unwrap() {
            let text = row["text"].as_str().unwrap();
            let body = row["body"].as_str().unwrap();
            let field = row["fields"][0].as_str();
            let number = |index: usize| row["fields"][index].as_str()?.parse().ok();
            let expected = match row["kind"].as_str().unwrap() {
                "attach" => Frame::Attach(body.into()),
                "ack" => Frame::Ack { recv: number(0).unwrap(), next: number(1) },
                "ping" => Frame::Ping(number(0).unwrap(), number(1)),
                "pong" => Frame::Pong(number(0).unwrap(), number(1)),
                "end" => Frame::End,
                "refuse" => Frame::Refuse(body.into()),
                "data" if field.is_some() => Frame::Data("a\r\nb".into()),
                "data" => Frame::Data(body.into()),
                "binary" => Frame::Data(STANDARD.decode(body).unwrap().into()),
                other => panic!("unknown kind {other} in the vectors"),
            };
            assert_eq!(parse(text.into()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_frames_of_the_vectors_are_refused() {
        for text in vectors()["invalid_frames"].as_array().unwrap() {
            let text = text.as_str().unwrap();
            assert!(parse(text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn data_of_the_vectors_goes_both_ways() {
        for row in vectors()["websocket_data"].as_array().unwrap() {
            if let Payload::Text(text) = payload(&row["message"]) {
                let frame = encode_text(&text);
                assert_eq!(&*frame, row["frame"]["text"].as_str().unwrap());
                assert_eq!(parse(frame), Ok(Frame::Data(Payload::Text(text))));
            }
        }
    }

    proptest! {
        #[test]
        fn the_parser_is_total(text in "(primus::)?[a-z]{0,8}:{0,3}.{0,40}") {
            let _ = parse(text.into());
        }

        #[test]
        fn application_text_never_turns_into_control(text in "(primus::)?.{0,60}") {
            let text = ByteString::from(text);
            prop_assert_eq!(parse(encode_text(&text)), Ok(Frame::Data(Payload::Text(text))));
        }
    }
}
