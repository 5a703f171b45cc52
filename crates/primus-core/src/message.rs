//! What travels: a [`Payload`] as the wire has it, and a [`Message`], which decodes it lazily.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;

use crate::{
    envelope::{Envelope, Heading, Subject},
    native,
    parser::{DecodeError, Format, Parser},
};

/// The encoded body of one message. Cheap to clone: the bytes are shared.
///
/// ```
/// use primus_core::Payload;
/// assert_eq!(Payload::from("hi"), Payload::Text("hi".into()));
/// assert_eq!(Payload::from(vec![1, 2]).len(), 2);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// UTF-8 text, proven when it was made.
    Text(ByteString),
    /// Bytes that are carried as they are, whatever the parser.
    Binary(Bytes),
}

impl Payload {
    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is nothing in it. An empty message is still a message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, of text and binary alike.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, or `None` if this is binary.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Whether this is binary.
    #[inline]
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(&&**text).finish(),
            Self::Binary(bytes) => f.debug_tuple("Binary").field(&bytes).finish(),
        }
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<ByteString> for Payload {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Message> for Payload {
    fn from(message: Message) -> Self {
        message.payload
    }
}

/// A payload and the parser of the mount that it belongs to; of an event also its name.
///
/// Nothing is decoded until it is asked for.
///
/// ```
/// use primus_core::Message;
/// let message = Message::text(r#"{"name":"Ada"}"#);
/// let value: serde_json::Value = message.json()?;
/// assert_eq!(value["name"], "Ada");
/// # Ok::<(), primus_core::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Message {
    payload: Payload,
    parser: Format,
    /// What stood in front of it, if anything did.
    head: Box<[u8]>,
}

impl Message {
    /// A message as a mount with `parser` would have received it.
    pub fn new(payload: impl Into<Payload>, parser: Arc<dyn Parser>) -> Self {
        Self::of(payload.into(), &parser)
    }

    fn of(payload: Payload, parser: &Arc<dyn Parser>) -> Self {
        Self { payload, parser: parser.into(), head: Box::default() }
    }

    pub(crate) fn open(envelope: &Envelope, parser: &Arc<dyn Parser>) -> Self {
        Self { payload: envelope.body(), parser: parser.into(), head: envelope.head().into() }
    }

    /// Without a head.
    #[inline]
    pub(crate) fn bare(payload: Payload, parser: &Format) -> Self {
        Self { payload, parser: parser.clone(), head: Box::default() }
    }

    /// As [`open`](Self::open), of an envelope that nobody else has.
    #[inline]
    pub(crate) fn unpack(envelope: Envelope, parser: &Format) -> Self {
        if envelope.is_bare() {
            return Self::bare(envelope.into_frame(), parser);
        }
        Self { payload: envelope.body(), parser: parser.clone(), head: envelope.head().into() }
    }

    /// Puts it together again.
    pub(crate) fn close(self) -> Envelope {
        if self.head.is_empty() {
            self.payload.into()
        } else {
            Envelope::join(&self.head, &self.payload)
        }
    }

    /// What it is: data, an event, a request, or the answer to one; and where it is sent to.
    pub fn heading(&self) -> Heading<'_> {
        native::heading(&self.head)
    }

    /// The name of the event, or of the request.
    pub fn event(&self) -> Option<Cow<'_, str>> {
        match self.heading().subject {
            _ if self.head.is_empty() => None,
            Subject::Event(name) | Subject::Request(_, name) => Some(name),
            _ => None,
        }
    }

    /// A text message of the JSON parser.
    pub fn text(text: impl Into<ByteString>) -> Self {
        Self::new(Payload::Text(text.into()), crate::parser::json())
    }

    /// The encoded body.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The encoded text, or `None` if the message is binary.
    pub fn as_text(&self) -> Option<&str> {
        self.payload.as_text()
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.payload.as_bytes()
    }

    /// Whether the message is binary.
    pub fn is_binary(&self) -> bool {
        self.payload.is_binary()
    }

    /// The value, read by the mount's parser. It may borrow from the message.
    ///
    /// # Errors
    /// When the payload is not what the parser reads, or not a `T`.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.parser.decode(&self.payload)
    }

    /// The value, read as JSON whatever the mount's parser is.
    ///
    /// # Errors
    /// When the payload is not JSON, or not a `T`.
    pub fn json<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        crate::parser::decode_json(self.payload.as_bytes())
    }

    /// Puts another value in this message's place, encoded by the same parser. For transforms.
    ///
    /// # Errors
    /// When the parser cannot encode the value; the message is then as it was.
    pub fn replace<T: serde::Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), crate::parser::EncodeError> {
        self.payload = crate::parser::encode(self.parser.parser(), value)?;
        Ok(())
    }

    /// Puts another payload in this message's place. For transforms.
    pub fn replace_payload(&mut self, payload: impl Into<Payload>) {
        self.payload = payload.into();
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("event", &self.event())
            .field("payload", &self.payload)
            .field("parser", &self.parser.parser().name())
            .finish()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.payload == other.payload && self.head == other.head
    }
}
