//! What a client can say.

use bytestring::ByteString;

use super::{Arguments, json};

/// What a client sent is no packet, and this is why. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no packet of Socket.IO: {0}")]
pub struct PacketError(pub &'static str);

/// One packet of a client, with all its attachments.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// The namespace that it is in, with the slash in front.
    pub namespace: ByteString,
    /// The query that stood behind the namespace, of a client of protocol 4.
    pub query: Option<ByteString>,
    /// What it says.
    pub said: Said,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The client wants to enter the namespace: its `auth`, a JSON object, if it gave one.
    Connect(Option<ByteString>),
    /// It leaves the namespace.
    Disconnect,
    /// An event; with an id it wants an answer.
    Event {
        /// The id, if it is one that can be answered.
        id: Option<u64>,
        /// Its name.
        name: String,
        /// What comes with it.
        args: Arguments,
    },
    /// The answer to an event of the server.
    Ack {
        /// The id of that event. `None`: none that a server has ever given.
        id: Option<u64>,
        /// What it answers.
        args: Arguments,
    },
}

/// Names of events that both sides have themselves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether an event may have this name on the wire.
pub(crate) fn may_be_sent(name: &str) -> bool {
    !RESERVED.contains(&name)
}

/// The type of a packet: its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
}

/// The attachments of one packet; who has more is cut off.
pub(super) const MOST_ATTACHMENTS: usize = 10;

/// What stands in front of the JSON of a packet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) attachments: usize,
    pub(super) namespace: ByteString,
    pub(super) query: Option<ByteString>,
    pub(super) id: Option<u64>,
    /// Where the JSON begins.
    pub(super) end: usize,
}

impl Head {
    /// Reads it. `with_query`: what is behind a `?` in the namespace is its query.
    pub(super) fn read(text: &ByteString, with_query: bool) -> Result<Self, PacketError> {
        let (kind, binary) = match text.as_bytes().first() {
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'4') => return Err(PacketError("only a server refuses a connection")),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            _ => return Err(PacketError("unknown type")),
        };
        let mut at = 1;
        let mut attachments = 0;
        if binary {
            let digits = digits(&text[at..]);
            at += digits.len();
            if text.as_bytes().get(at) != Some(&b'-') {
                return Err(PacketError("it does not say how many attachments it has"));
            }
            at += 1;
            attachments = match digits.parse() {
                Ok(count @ 1..=MOST_ATTACHMENTS) => count,
                Ok(0) => return Err(PacketError("a binary packet without attachments")),
                _ => return Err(PacketError("too many attachments")),
            };
        }
        let (mut namespace, mut query) = (ByteString::from_static("/"), None);
        if text.as_bytes().get(at) == Some(&b'/') {
            let rest = &text[at..];
            let (name, next) = match rest.find(',') {
                Some(comma) => (&rest[..comma], at + comma + 1),
                None => (rest, text.len()),
            };
            at = next;
            let (name, behind) = match name.split_once('?').filter(|_| with_query) {
                Some((name, behind)) => (name, Some(behind)),
                None => (name, None),
            };
            namespace = text.slice_ref(name);
            query = behind.map(|behind| text.slice_ref(behind));
        }
        let digits = digits(&text[at..]);
        at += digits.len();
        let id = digits.parse().ok();
        Ok(Self { kind, attachments, namespace, query, id, end: at })
    }
}

fn digits(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// What a packet without attachments says.
pub(super) fn said(head: &Head, text: &ByteString) -> Result<Said, PacketError> {
    let json = &text[head.end..];
    match head.kind {
        Kind::Connect if json.is_empty() => Ok(Said::Connect(None)),
        Kind::Connect => {
            json::check(json)?;
            if !json.trim_start().starts_with('{') {
                return Err(PacketError("the auth of a client is an object"));
            }
            Ok(Said::Connect(Some(text.slice_ref(json))))
        }
        Kind::Disconnect if json.is_empty() => Ok(Said::Disconnect),
        Kind::Disconnect => Err(PacketError("a goodbye with something behind it")),
        Kind::Event => {
            let elements = json::elements(json, 3)?;
            let Some((name, args)) = elements.split_first() else {
                return Err(PacketError("an event without a name"));
            };
            let args = Arguments::of(text, args);
            Ok(Said::Event { id: head.id, name: event_name(name)?, args })
        }
        Kind::Ack => {
            let elements = json::elements(json, 2)?;
            Ok(Said::Ack { id: head.id, args: Arguments::of(text, &elements) })
        }
    }
}

/// The first element of an event: a string or a number.
fn event_name(json: &str) -> Result<String, PacketError> {
    let name = match json.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str(json).map_err(|_| PacketError("a name that is no text"))?
        }
        Some(b'-' | b'0'..=b'9') => json.to_owned(),
        _ => return Err(PacketError("the name of an event is a string")),
    };
    checked(name)
}

/// A name that may come.
pub(super) fn checked(name: String) -> Result<String, PacketError> {
    if may_be_sent(&name) { Ok(name) } else { Err(PacketError("that event is never sent")) }
}
