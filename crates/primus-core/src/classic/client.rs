//! One classic client: what its texts are, and how it is told what a message is.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{CloseReason, Envelope, Outgoing, Payload, Session, Subject, native, parser::Parser};
use bytestring::ByteString;

use super::Incoming;
use super::{
    channels::{self, Channels},
    emitter, multiplex,
};

const CONTROL: &str = "primus::";
/// What begins the names of events of the protocol itself.
const OWN: &str = "primus.";

/// How a message is put for a classic client: all for whom it is put alike share what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// As the application wrote it.
    AsItIs,
    /// Without the head that it has.
    TakenApart,
    /// As a packet of `primus-emitter`.
    Emitted,
}

impl Rendering {
    /// Its own of three things, which are in the order of these.
    pub fn of<T>(self, [as_it_is, taken_apart, emitted]: [T; 3]) -> T {
        match self {
            Self::AsItIs => as_it_is,
            Self::TakenApart => taken_apart,
            Self::Emitted => emitted,
        }
    }
}

/// Where the messages for a classic client go: onto a WebSocket, or into the frames of another protocol.
pub trait Sink {
    /// A message that others may get, too: who shares its rendering may share what `make` makes. What has
    /// none is not sent.
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    );

    /// A message for this client alone.
    fn push(&mut self, message: &Payload);
}

/// One classic client, as the stock Primus 8 client is: what it says, and how it is told what a message
/// is. It is the same over every protocol that carries that client's messages.
#[derive(Default)]
pub struct Classic {
    /// Whether it has events and channels.
    plugins: bool,
    /// Once it has subscribed to one.
    channels: Option<Box<Channels>>,
}

impl Classic {
    /// A client of a mount with this parser. Events and channels need `json`.
    pub fn new(parser: &dyn Parser) -> Self {
        Self { plugins: parser.name() == "json", channels: None }
    }

    /// Whether it can answer requests.
    pub fn answers(&self) -> bool {
        self.plugins
    }

    /// What a message of it is.
    pub fn read(&mut self, payload: Payload, session: &Session) -> Incoming {
        let mount = session.mount();
        let parser = &*mount.settings().parser;
        if let Some(control) = read_control(parser, &payload) {
            return match control.split("::").next() {
                Some("pong") => {
                    session.ponged();
                    Incoming::Nothing
                }
                Some("id") => {
                    let answer = format!("primus::id::{}", session.id());
                    control_string(parser, &answer).map_or(Incoming::Nothing, Incoming::Answer)
                }
                _ => Incoming::Nothing,
            };
        }
        if let Payload::Text(text) = &payload
            && self.plugins
        {
            if let Some(said) = emitter::read(text) {
                let message = channels::envelope(None, 0, said);
                return message.map_or(Incoming::Nothing, Incoming::Message);
            }
            if let Some(packet) = multiplex::read(text)
                && mount.has_channel(&packet.channel)
            {
                let channels = self.channels.get_or_insert_default();
                return channels.read(packet, session.limits());
            }
        }
        Incoming::Message(payload.into())
    }

    /// What [`pop_ready`](Self::pop_ready) is about to give.
    pub fn first_ready(&self) -> Option<&Envelope> {
        self.channels.as_ref()?.first_ready()
    }

    /// What it said in a channel before it was decided whether it may enter.
    pub fn pop_ready(&mut self) -> Option<Envelope> {
        self.channels.as_mut()?.pop_ready()
    }

    /// Whether [`pop_ready`](Self::pop_ready) has something.
    pub fn has_ready(&self) -> bool {
        self.first_ready().is_some()
    }

    /// So much waits for such decisions that nothing more should be read.
    pub fn is_full(&self, session: &Session) -> bool {
        self.channels.as_ref().is_some_and(|channels| channels.is_full(session.limits()))
    }

    /// Puts a message out.
    pub fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut impl Sink) {
        let envelope = outgoing.envelope();
        if envelope.is_bare() {
            return put_body(outgoing, Rendering::AsItIs, parser, out);
        }
        if !self.plugins {
            return match envelope.heading().subject {
                Subject::Data => put_body(outgoing, Rendering::TakenApart, parser, out),
                _ => out.put(outgoing, Rendering::TakenApart, |envelope| {
                    native::plain(envelope, parser)
                }),
            };
        }
        let heading = envelope.heading();
        let Some(channel) = heading.channel.as_deref() else {
            return match heading.subject {
                Subject::Data => put_body(outgoing, Rendering::TakenApart, parser, out),
                Subject::Event(name) if name.starts_with(OWN) => {}
                Subject::Event(_) | Subject::Request(..) => {
                    out.put(outgoing, Rendering::Emitted, |envelope| {
                        packet(envelope).map(Payload::Text)
                    });
                }
                Subject::Reply(number) => self.answer(number, true, envelope, out),
                Subject::Refuse(number) => self.answer(number, false, envelope, out),
            };
        };
        let Some(channels) = &mut self.channels else { return };
        let write_out = |payload: Payload| out.push(&payload);
        match &heading.subject {
            Subject::Event(name) if name == "primus.end" => channels.ended(channel, write_out),
            Subject::Event(name) if name.starts_with(OWN) => {}
            _ => {
                if let Some(packet) = packet(envelope) {
                    channels.said(channel, &packet, write_out);
                }
            }
        }
    }

    /// Answers a request of the client, or one of ours in its place.
    fn answer(&mut self, number: u64, may: bool, envelope: &Envelope, out: &mut impl Sink) {
        let (slot, id) = channels::slot_and_id(number);
        if id == 0 {
            if let Some(channels) = &mut self.channels {
                channels.decided(slot, may, |payload| out.push(&payload));
            }
            return;
        }
        let Some(value) = body(envelope) else { return };
        let ack = emitter::ack(id, &value);
        let payload = match (slot, &self.channels) {
            (0, _) => Some(ack.into()),
            (slot, Some(channels)) => channels.answered(slot, &ack),
            (_, None) => None,
        };
        payload.into_iter().for_each(|payload| out.push(&payload));
    }
}

/// Puts out what a message carries, unless it would be taken for control.
fn put_body(outgoing: &Outgoing, rendering: Rendering, parser: &dyn Parser, out: &mut impl Sink) {
    if is_control(parser, &outgoing.envelope().body()) {
        tracing::warn!("a message that a classic client would take for control was not sent to it");
        return;
    }
    out.put(outgoing, rendering, |envelope| Some(envelope.body()));
}

fn body(envelope: &Envelope) -> Option<ByteString> {
    let body = emitter::json(envelope.body());
    if body.is_none() {
        tracing::warn!("bytes in an event or channel have no form for a classic client; not sent");
    }
    body
}

/// A message as the JSON that the emitter has for it.
fn packet(envelope: &Envelope) -> Option<ByteString> {
    let body = body(envelope)?;
    Some(match envelope.heading().subject {
        Subject::Event(name) => emitter::event(&name, &body, None).into(),
        Subject::Request(id, name) => emitter::event(&name, &body, Some(id)).into(),
        _ => body,
    })
}

impl Classic {
    /// The message by which it is asked for a sign of life, now.
    pub fn ping(parser: &dyn Parser) -> Option<Payload> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        control_string(parser, &format!("primus::ping::{}", now.as_millis()))
    }

    /// The message that tells it an end, if it is not to come back.
    pub fn end(parser: &dyn Parser, reason: &CloseReason) -> Option<Payload> {
        if reason.reconnects() {
            return None;
        }
        control_string(parser, "primus::server::close")
    }
}

impl std::fmt::Debug for Classic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classic").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

/// A control message as a value of the parser.
fn control_string(parser: &dyn Parser, control: &str) -> Option<Payload> {
    crate::parser::encode(parser, control).ok()
}

fn is_control(parser: &dyn Parser, payload: &Payload) -> bool {
    match payload {
        Payload::Text(text) => text.strip_prefix('"').unwrap_or(text).starts_with(CONTROL),
        Payload::Binary(_) => read_control(parser, payload).is_some(),
    }
}

/// What follows `primus::` if this value is a control string.
fn read_control(parser: &dyn Parser, payload: &Payload) -> Option<String> {
    let bytes = payload.as_bytes();
    // Room for what a parser may put before a string.
    let head = &bytes[..bytes.len().min(CONTROL.len() + 8)];
    if !head.windows(CONTROL.len()).any(|window| window == CONTROL.as_bytes()) {
        return None;
    }
    let value: String = crate::parser::decode(parser, payload).ok()?;
    // Bytes that could be read as a string are not what the parser makes of one.
    if payload.is_binary() && !crate::parser::encode(parser, &value).ok()?.is_binary() {
        return None;
    }
    value.strip_prefix(CONTROL).map(str::to_owned)
}
