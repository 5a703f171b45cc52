//! A message as it travels: its payload, and the head that says what it is.
//!
//! It is kept as its frame of the native protocol (docs/protocol.md §3), so that nothing is left to
//! be done for most carriers; other dialects take it apart.

use std::{borrow::Cow, fmt};

use crate::{
    authorize::Rejection,
    message::Payload,
    names::{self, NameError},
    native,
    parser::{EncodeError, Parser},
};

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// A message without a name.
    Data,
    /// An event, by its name.
    Event(Cow<'a, str>),
    /// An event that wants an answer under this number.
    Request(u64, Cow<'a, str>),
    /// The answer to the request with this number.
    Reply(u64),
    /// There will be no answer to the request with this number: JSON that says why.
    Refuse(u64),
}

/// What stands in front of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading<'a> {
    /// The channel that it is in; `None`: the root.
    pub channel: Option<Cow<'a, str>>,
    /// The rooms that it was sent to, where their subscribers are told so; and its offset in those
    /// that keep a history.
    pub rooms: Vec<(Cow<'a, str>, Option<u64>)>,
    /// What it is.
    pub subject: Subject<'a>,
}

impl Heading<'_> {
    /// The name of the event or request.
    pub fn name(&self) -> Option<&str> {
        match &self.subject {
            Subject::Event(name) | Subject::Request(_, name) => Some(name),
            _ => None,
        }
    }
}

/// It is not worth the work to compress it.
const INCOMPRESSIBLE: u32 = 1 << 31;

/// One message as it travels. Cheap to clone: the bytes are shared.
///
/// ```
/// use primus_core::{Envelope, Subject, Payload, native};
/// let envelope = native::read_message("primus::event:tick::[1]".into())?;
/// assert_eq!(envelope.heading().subject, Subject::Event("tick".into()));
/// assert_eq!(envelope.body(), Payload::from("[1]"));
/// assert_eq!(Envelope::from(Payload::from("hi")).heading().subject, Subject::Data);
/// # Ok::<(), native::FrameError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    frame: Payload,
    /// Bytes of the frame in front of the body. 0: it is a message of the application as it is, even
    /// where that looks like a head. And whether it is [`INCOMPRESSIBLE`]: one field, as moving two that
    /// were written one after the other stalls a processor for longer than the rest of it takes.
    head: u32,
}

impl Envelope {
    /// A message without a name, in a channel (`None`: the root).
    pub fn data(channel: Option<&str>, body: &Payload) -> Self {
        let head = Head { channel, rooms: &[] }.data();
        if head.is_empty() { body.clone().into() } else { Self::join(&head, body) }
    }

    /// An event: `args` is an output of the mount's parser. For transformers whose clients have
    /// another protocol, as all of these.
    ///
    /// # Errors
    /// When the name is none.
    pub fn event(channel: Option<&str>, name: &str, args: &Payload) -> Result<Self, NameError> {
        names::check(name)?;
        Ok(Self::join(&Head { channel, rooms: &[] }.event(name), args))
    }

    /// An event that wants an answer, under a number that its sender has given it.
    ///
    /// # Errors
    /// When the name is none.
    pub fn request(
        channel: Option<&str>,
        id: u64,
        name: &str,
        args: &Payload,
    ) -> Result<Self, NameError> {
        names::check(name)?;
        Ok(Self::join(&Head { channel, rooms: &[] }.request(id, name), args))
    }

    /// The answer to a request.
    pub fn reply(id: u64, value: &Payload) -> Self {
        Self::join(&numbered(b"primus::reply:", id), value)
    }

    /// The refusal of a request.
    pub fn refuse(id: u64, rejection: &Rejection) -> Self {
        let json = rejection.to_json().to_string();
        Self::join(&numbered(b"primus::refuse:", id), &json.into())
    }

    /// A frame whose head has been read, and is so long.
    pub(crate) fn read(frame: Payload, head: usize) -> Self {
        let head = u32::try_from(head).ok().filter(|head| head & INCOMPRESSIBLE == 0);
        Self { frame, head: head.unwrap_or(0) }
    }

    /// A value behind a head, encoded in place.
    pub(crate) fn encode(
        head: Vec<u8>,
        parser: &dyn Parser,
        value: &dyn erased_serde::Serialize,
    ) -> Result<Self, EncodeError> {
        let length = head.len();
        Ok(Self::read(parser.encode_into(value, head)?, length))
    }

    /// A body behind a head, which is ASCII.
    pub(crate) fn join(head: &[u8], body: &Payload) -> Self {
        let frame = match (body, std::str::from_utf8(head)) {
            (Payload::Text(text), Ok(head)) => Payload::from([head, text].concat()),
            _ => Payload::from([head, body.as_bytes()].concat()),
        };
        Self::read(frame, head.len())
    }

    /// Bytes of the whole frame.
    #[inline]
    pub fn len(&self) -> usize {
        self.frame.len()
    }

    /// Whether there is nothing in it. An empty message is still a message.
    pub fn is_empty(&self) -> bool {
        self.frame.is_empty()
    }

    /// Whether a carrier that compresses may compress it: false for what is compressed already, as
    /// its sender said by `compress(false)`.
    #[inline]
    pub fn is_compressible(&self) -> bool {
        self.head & INCOMPRESSIBLE == 0
    }

    /// It is not to be compressed, if not `compress`.
    #[inline]
    pub(crate) fn compress(mut self, compress: bool) -> Self {
        if !compress {
            self.head |= INCOMPRESSIBLE;
        }
        self
    }

    /// Whether it is nothing but a payload.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.head_len() == 0
    }

    #[inline]
    fn head_len(&self) -> usize {
        (self.head & !INCOMPRESSIBLE) as usize
    }

    /// Its frame in the native protocol; of a bare one the payload, which may have to be escaped
    /// ([`native::escape`]).
    #[inline]
    pub fn frame(&self) -> &Payload {
        &self.frame
    }

    #[inline]
    pub(crate) fn into_frame(self) -> Payload {
        self.frame
    }

    /// The bytes of the head.
    pub(crate) fn head(&self) -> &[u8] {
        &self.frame.as_bytes()[..self.head_len()]
    }

    /// The head, read.
    pub fn heading(&self) -> Heading<'_> {
        native::heading(self.head())
    }

    /// What it carries: one output of the parser, or the JSON of a refusal.
    pub fn body(&self) -> Payload {
        let head = self.head_len();
        match &self.frame {
            _ if head == 0 => self.frame.clone(),
            Payload::Text(text) => Payload::Text(text.slice_ref(&text[head..])),
            Payload::Binary(bytes) => Payload::Binary(bytes.slice(head..)),
        }
    }

    /// The bytes of what it carries.
    pub fn body_bytes(&self) -> &[u8] {
        &self.frame.as_bytes()[self.head_len()..]
    }
}

impl<P: Into<Payload>> From<P> for Envelope {
    fn from(payload: P) -> Self {
        Self { frame: payload.into(), head: 0 }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("frame", &self.frame)
            .field("head", &self.head_len())
            .finish()
    }
}

/// Writes heads. Channel, then rooms, then what it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head<'a> {
    pub(crate) channel: Option<&'a str>,
    pub(crate) rooms: &'a [(&'a str, Option<u64>)],
}

impl Head<'_> {
    fn begin(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(128);
        if let Some(channel) = self.channel {
            head.extend_from_slice(b"primus::channel:");
            names::push_field(&mut head, channel);
            head.extend_from_slice(b"::");
        }
        for (index, (room, offset)) in self.rooms.iter().enumerate() {
            head.extend_from_slice(if index == 0 { b"primus::room:" } else { b"," });
            names::push_field(&mut head, room);
            if let Some(offset) = offset {
                head.push(b'@');
                push_number(&mut head, *offset);
            }
        }
        if !self.rooms.is_empty() {
            head.extend_from_slice(b"::");
        }
        head
    }

    /// Of a message without a name: nothing, where there is nothing to say.
    pub(crate) fn data(&self) -> Vec<u8> {
        if self.channel.is_none() && self.rooms.is_empty() {
            return Vec::new();
        }
        let mut head = self.begin();
        head.extend_from_slice(b"primus::data::");
        head
    }

    pub(crate) fn event(&self, name: &str) -> Vec<u8> {
        let mut head = self.begin();
        head.extend_from_slice(b"primus::event:");
        names::push_field(&mut head, name);
        head.extend_from_slice(b"::");
        head
    }

    pub(crate) fn request(&self, id: u64, name: &str) -> Vec<u8> {
        let mut head = self.begin();
        head.extend_from_slice(b"primus::request:");
        push_number(&mut head, id);
        head.push(b':');
        names::push_field(&mut head, name);
        head.extend_from_slice(b"::");
        head
    }
}

fn numbered(kind: &[u8], id: u64) -> Vec<u8> {
    let mut head = Vec::with_capacity(128);
    head.extend_from_slice(kind);
    push_number(&mut head, id);
    head.extend_from_slice(b"::");
    head
}

fn push_number(head: &mut Vec<u8>, number: u64) {
    head.extend_from_slice(number.to_string().as_bytes());
}
