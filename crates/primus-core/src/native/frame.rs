//! Frames of the resumable dialect: messages, bare or behind a head, and control
//! (`primus::<kind>:<fields>::<body>`).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    envelope::{Envelope, Heading, Subject},
    message::Payload,
    names,
    parser::Parser,
};

/// What every head begins with.
pub(super) const PREFIX: &str = "primus::";
/// Numbers are integers that JavaScript holds exactly: up to 2^53.
pub(super) const MAX_NUMBER: u64 = 1 << 53;

/// One frame from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message: what is counted.
    Message(Envelope),
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
    /// A refusal of an attach; only a server sends it.
    Refuse(ByteString),
}

/// A control frame that is malformed, or of a kind that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed control frame: {0}")]
pub struct FrameError(&'static str);

/// One head: kind, fields, and where what is behind it begins.
struct Part<'a> {
    kind: &'a [u8],
    fields: Option<&'a str>,
    end: usize,
}

/// The head at `at`, if there is one.
fn part(frame: &[u8], at: usize) -> Result<Option<Part<'_>>, FrameError> {
    let Some(rest) = frame[at..].strip_prefix(PREFIX.as_bytes()) else { return Ok(None) };
    let colon = rest.iter().position(|byte| *byte == b':');
    let colon = colon.ok_or(FrameError("no end of the kind"))?;
    let (kind, behind) = (&rest[..colon], &rest[colon + 1..]);
    let begin = frame.len() - behind.len();
    if behind.first() == Some(&b':') {
        return Ok(Some(Part { kind, fields: None, end: begin + 1 }));
    }
    let end = behind.windows(2).position(|pair| pair == b"::");
    let end = end.ok_or(FrameError("no end of the fields"))?;
    let fields = std::str::from_utf8(&behind[..end]).map_err(|_| FrameError("not UTF-8"))?;
    Ok(Some(Part { kind, fields: Some(fields), end: begin + end + 2 }))
}

/// Whether a message is a frame, and not of the application as it is.
#[inline]
pub fn has_head(message: &Payload) -> bool {
    message.as_bytes().starts_with(PREFIX.as_bytes())
}

/// Reads a text frame. Anything that does not begin with `primus::` is a message of the application.
///
/// # Errors
/// When it does, and is no frame of docs/protocol.md §3. It must not reach the application.
///
/// ```
/// use primus_core::native::{Frame, parse};
/// assert_eq!(parse("primus::ping:7::".into()), Ok(Frame::Ping(7, None)));
/// assert!(parse("primus::nonsense".into()).is_err());
/// ```
pub fn parse(text: ByteString) -> Result<Frame, FrameError> {
    let Some(Part { kind, fields, end }) = part(text.as_bytes(), 0)? else {
        return Ok(Frame::Message(text.into()));
    };
    let body = &text[end..];
    let shared = |body: &str| text.slice_ref(body);
    match (kind, fields) {
        (b"data", Some("b64")) => {
            let bytes = decode_base64(body)?;
            let text =
                ByteString::try_from(bytes).map_err(|_| FrameError("data:b64 is not UTF-8"))?;
            read_message(text.into()).map(Frame::Message)
        }
        (b"binary", None) => read_message(decode_base64(body)?.into()).map(Frame::Message),
        (b"attach", None) => Ok(Frame::Attach(shared(body))),
        (b"refuse", None) => Ok(Frame::Refuse(shared(body))),
        (b"ack", Some(fields)) => match parse_numbers(fields, body)? {
            (_, Some(0)) => Err(FrameError("numbers of messages begin at 1")),
            (recv, next) => Ok(Frame::Ack { recv, next }),
        },
        (b"ping", Some(fields)) => {
            parse_numbers(fields, body).map(|(n, recv)| Frame::Ping(n, recv))
        }
        (b"pong", Some(fields)) => {
            parse_numbers(fields, body).map(|(n, recv)| Frame::Pong(n, recv))
        }
        (b"end", None) => Ok(Frame::End),
        _ => read_message(text.into()).map(Frame::Message),
    }
}

/// Reads a frame that is a message, text or binary. It may be in a channel, then in rooms.
///
/// # Errors
/// When it has a head that is malformed, or not that of a message.
pub fn read_message(frame: Payload) -> Result<Envelope, FrameError> {
    let bytes = frame.as_bytes();
    let (mut at, mut in_room) = (0, false);
    while let Some(Part { kind, fields, end }) = part(bytes, at)? {
        let outer = at == 0;
        match (kind, fields) {
            (b"channel", Some(channel)) if outer => {
                name(channel)?;
            }
            (b"room", Some(rooms)) if !in_room => {
                in_room = true;
                for room in rooms.split(',') {
                    read_room(room)?;
                }
            }
            (b"data", None) if outer => return Ok(Envelope::from(slice(&frame, end))),
            (b"data", None) => return Ok(Envelope::read(frame, end)),
            (b"event", Some(event)) => {
                name(event)?;
                return Ok(Envelope::read(frame, end));
            }
            (b"request", Some(fields)) if !in_room => {
                read_request(fields)?;
                return Ok(Envelope::read(frame, end));
            }
            (b"reply", Some(id)) if outer => {
                parse_number(id)?;
                return Ok(Envelope::read(frame, end));
            }
            (b"refuse", Some(id)) if outer && !frame.is_binary() => {
                parse_number(id)?;
                return Ok(Envelope::read(frame, end));
            }
            _ => return Err(FrameError("unknown kind or fields")),
        }
        at = end;
    }
    Ok(Envelope::read(frame, at))
}

/// Refuses what only a server says: to which rooms a message was sent.
///
/// # Errors
/// When the message says so.
pub fn from_client(message: Envelope) -> Result<Envelope, FrameError> {
    if !message.is_bare() && !message.heading().rooms.is_empty() {
        return Err(FrameError("only a server says to which rooms a message was sent"));
    }
    Ok(message)
}

fn slice(frame: &Payload, from: usize) -> Payload {
    match frame {
        Payload::Text(text) => Payload::Text(text.slice_ref(&text[from..])),
        Payload::Binary(bytes) => Payload::Binary(bytes.slice(from..)),
    }
}

fn name(field: &str) -> Result<Cow<'_, str>, FrameError> {
    // One name, and not several fields.
    names::read_field(field).filter(|_| !field.contains(':')).ok_or(FrameError("bad name"))
}

fn read_room(field: &str) -> Result<(Cow<'_, str>, Option<u64>), FrameError> {
    match field.split_once('@') {
        None => Ok((name(field)?, None)),
        Some((room, offset)) => Ok((name(room)?, Some(parse_number(offset)?))),
    }
}

fn read_request(fields: &str) -> Result<(u64, Cow<'_, str>), FrameError> {
    let (id, event) = fields.split_once(':').ok_or(FrameError("a request has id and name"))?;
    Ok((parse_number(id)?, name(event)?))
}

/// What a head that [`read_message`] has read, or that is of our own making, says.
pub(crate) fn heading(head: &[u8]) -> Heading<'_> {
    let mut heading = Heading { channel: None, rooms: Vec::new(), subject: Subject::Data };
    // Of most events there is nothing else to say, and nothing stands behind an event.
    let event = head.strip_prefix(b"primus::event:").and_then(|rest| rest.strip_suffix(b"::"));
    if let Some(Ok(event)) = event.map(std::str::from_utf8) {
        heading.subject = name(event).map_or(Subject::Data, Subject::Event);
        return heading;
    }
    let mut at = 0;
    while let Ok(Some(Part { kind, fields, end })) = part(head, at) {
        let fields = fields.unwrap_or_default();
        match kind {
            b"channel" => heading.channel = name(fields).ok(),
            b"room" => heading.rooms = fields.split(',').flat_map(read_room).collect(),
            b"event" => heading.subject = name(fields).map_or(Subject::Data, Subject::Event),
            b"request" => {
                if let Ok((id, name)) = read_request(fields) {
                    heading.subject = Subject::Request(id, name);
                }
            }
            b"reply" => {
                heading.subject = parse_number(fields).map_or(Subject::Data, Subject::Reply)
            }
            b"refuse" => {
                heading.subject = parse_number(fields).map_or(Subject::Data, Subject::Refuse)
            }
            _ => {}
        }
        at = end;
    }
    heading
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

/// The frame for a message, on a carrier that holds any text and any bytes: what an application
/// wrote is escaped where it looks like a head. `None`: it is its own frame.
pub fn escape(envelope: &Envelope) -> Option<Payload> {
    let raw = envelope.frame();
    if !envelope.is_bare() || !raw.as_bytes().starts_with(PREFIX.as_bytes()) {
        return None;
    }
    Some(Envelope::join(b"primus::data::", raw).frame().clone())
}

/// A message for a client that knows no frames: of an event by the `json` parser
/// `{"event":"<name>","data":<args>}`, of anything else what it carries. `None`: it is nothing to
/// such a client.
pub fn plain(envelope: &Envelope, parser: &dyn Parser) -> Option<Payload> {
    match envelope.heading().subject {
        Subject::Data => Some(envelope.body()),
        Subject::Event(name) if !names::is_reserved(&name) => Some(match envelope.body() {
            Payload::Text(args) if parser.name() == "json" => {
                let name = serde_json::Value::from(&*name);
                format!("{{\"event\":{name},\"data\":{args}}}").into()
            }
            body => body,
        }),
        _ => None,
    }
}

/// The frame for a message, on such a carrier.
pub fn frame(envelope: &Envelope) -> Payload {
    escape(envelope).unwrap_or_else(|| envelope.frame().clone())
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
                "data" if field.is_some() => Frame::Message("a\r\nb".into()),
                "data" => Frame::Message(body.into()),
                "binary" => Frame::Message(STANDARD.decode(body).unwrap().into()),
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
    fn messages_of_the_vectors() {
        for row in vectors()["messages"].as_array().unwrap() {
            let envelope = read_message(payload(row)).unwrap();
            let heading = envelope.heading();
            let id = row["id"].as_u64();
            let name = || Cow::Owned(row["name"].as_str().unwrap().to_owned());
            let subject = match row["kind"].as_str().unwrap() {
                "event" => Subject::Event(name()),
                "request" => Subject::Request(id.unwrap(), name()),
                "reply" => Subject::Reply(id.unwrap()),
                "refuse" => Subject::Refuse(id.unwrap()),
                _ => Subject::Data,
            };
            let rooms: Vec<_> = row["rooms"].as_array().into_iter().flatten().collect();
            let rooms: Vec<_> = rooms
                .iter()
                .map(|room| (Cow::Borrowed(room[0].as_str().unwrap()), room[1].as_u64()))
                .collect();
            let channel = row["channel"].as_str().map(Cow::Borrowed);
            assert_eq!(heading, Heading { channel, rooms, subject }, "{row}");
            assert_eq!(envelope.body(), payload(&row["body"]), "{row}");
            if !envelope.is_bare() {
                assert_eq!(frame(&envelope), payload(row));
            }
        }
    }

    #[test]
    fn data_of_the_vectors_goes_both_ways() {
        for row in vectors()["websocket_data"].as_array().unwrap() {
            let envelope = Envelope::from(payload(&row["message"]));
            assert_eq!(frame(&envelope), payload(&row["frame"]));
            assert_eq!(read_message(frame(&envelope)), Ok(envelope));
        }
    }

    proptest! {
        #[test]
        fn the_parser_is_total(text in "(primus::)?[a-z]{0,8}:{0,3}.{0,40}") {
            let _ = parse(text.into());
        }

        #[test]
        fn the_parser_of_messages_is_total(
            text in "(primus::(channel|room|event|request|data|reply):?[a-z0-9%:@,]{0,6}::){0,4}.{0,10}"
        ) {
            if let Ok(envelope) = read_message(Payload::Binary(text.clone().into())) {
                let _ = (envelope.heading(), envelope.body());
            }
            let _ = read_message(text.into());
        }

        #[test]
        fn application_text_never_turns_into_control(text in "(primus::)?.{0,60}") {
            let envelope = Envelope::from(text);
            let Payload::Text(frame) = frame(&envelope) else { panic!("it is text") };
            prop_assert_eq!(parse(frame), Ok(Frame::Message(envelope)));
        }

        #[test]
        fn application_bytes_never_turn_into_control(text in "(primus::)?.{0,60}") {
            let envelope = Envelope::from(Bytes::from(text));
            prop_assert_eq!(read_message(frame(&envelope)), Ok(envelope));
        }
    }
}
