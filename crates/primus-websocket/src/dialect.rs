//! The three dialects over a WebSocket (docs/protocol.md §1).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::{
    Carrier, CloseReason, Envelope, Outgoing, Payload, Session, WireForm,
    native::{self, Frame, FrameError},
    parser::{self, Parser},
};

use crate::{frame, out::Out};

/// Text as the application wrote it.
const AS_IT_IS: WireForm = WireForm("websocket");
/// Text that begins with `primus::`, escaped.
const ESCAPED: WireForm = WireForm("websocket.2");
/// What a head said, for those who know no heads.
const TAKEN_APART: WireForm = WireForm("websocket.0");

const CONTROL: &str = "primus::";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Resumable,
    Classic,
    Plain,
}

/// What a text frame from the client turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Message(Envelope),
    /// The client has everything up to `recv`; and its next message has the number `next`.
    Ack {
        recv: u64,
        next: Option<u64>,
    },
    /// The client asked for a sign of life, and may have acknowledged with it.
    Ping {
        number: u64,
        recv: Option<u64>,
    },
    Pong {
        recv: Option<u64>,
    },
    /// The client asked for something, and gets this.
    Answer(Payload),
    End,
    /// Nothing to do.
    Nothing,
}

impl Dialect {
    pub(crate) fn read_text(
        self,
        text: ByteString,
        session: &Session,
    ) -> Result<Incoming, FrameError> {
        match self {
            Self::Plain => Ok(Incoming::Message(text.into())),
            Self::Resumable => match native::parse(text)? {
                Frame::Message(message) => Ok(Incoming::Message(message)),
                Frame::Ack { recv, next } => Ok(Incoming::Ack { recv, next }),
                Frame::Ping(number, recv) => Ok(Incoming::Ping { number, recv }),
                Frame::Pong(_, recv) => Ok(Incoming::Pong { recv }),
                Frame::End => Ok(Incoming::End),
                // Once is enough, and refusing is not the client's part.
                Frame::Attach(_) | Frame::Refuse(_) => {
                    native::parse("primus::".into()).map(|_| Incoming::Nothing)
                }
            },
            Self::Classic => Ok(read_classic(text.into(), session)),
        }
    }

    /// What the bytes of a binary frame are. Where the parser makes binary messages, control of the
    /// classic dialect is binary, too.
    pub(crate) fn read_binary(
        self,
        bytes: Bytes,
        session: &Session,
    ) -> Result<Incoming, FrameError> {
        match self {
            Self::Resumable => native::read_message(bytes.into()).map(Incoming::Message),
            Self::Classic => Ok(read_classic(bytes.into(), session)),
            Self::Plain => Ok(Incoming::Message(bytes.into())),
        }
    }

    /// Puts a message on the wire.
    pub(crate) fn write(self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        let envelope = outgoing.envelope();
        let (form, other) = match self {
            Self::Resumable => match native::escape(envelope) {
                Some(escaped) => (ESCAPED, Some(escaped)),
                None => (AS_IT_IS, None),
            },
            Self::Plain | Self::Classic if !envelope.is_bare() => {
                let Some(plain) = native::plain(envelope, parser) else { return };
                (TAKEN_APART, Some(plain))
            }
            Self::Plain => (AS_IT_IS, None),
            Self::Classic if is_classic_control(parser, envelope.frame()) => {
                tracing::warn!(
                    "a message that a classic client would take for control was not sent to it"
                );
                return;
            }
            Self::Classic => (AS_IT_IS, None),
        };
        match outgoing {
            Outgoing::Own(envelope) => {
                out.push_message(other.as_ref().unwrap_or(envelope.frame()));
            }
            Outgoing::Shared(packet) => out.push(packet.frame(form, |envelope| {
                frame::message(other.as_ref().unwrap_or(envelope.frame()))
            })),
        }
    }

    /// Asks for a sign of life; an acknowledgement rides on it.
    pub(crate) fn write_ping(self, carrier: &mut Carrier, out: &mut Out) {
        match self {
            Self::Plain => out.small(frame::put_ping),
            Self::Resumable => {
                let (clock, recv) = (carrier.session().mount().clock(), carrier.ack_now());
                out.push_message(&format!("primus::ping:{clock}:{recv}::").into());
            }
            Self::Classic => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let ping = format!("primus::ping::{}", now.as_millis());
                if let Some(ping) = classic(parser(carrier), &ping) {
                    out.push_message(&ping);
                }
            }
        }
    }

    /// Acknowledges what has been received, if it is time.
    pub(crate) fn write_ack(self, carrier: &mut Carrier, out: &mut Out) {
        if self == Self::Resumable
            && let Some(recv) = carrier.ack(!out.is_empty())
        {
            out.push_message(&native::ack_frame(recv).into());
        }
    }

    /// Says why the session ends, where the dialect has words for it beside the close frame.
    pub(crate) fn write_end(self, reason: &CloseReason, carrier: &mut Carrier, out: &mut Out) {
        match self {
            Self::Plain => {}
            Self::Resumable => {
                out.push_message(&native::end_frame(reason, carrier.ack_now()).into());
            }
            Self::Classic if reason.reconnects() => {}
            Self::Classic => {
                if let Some(close) = classic(parser(carrier), "primus::server::close") {
                    out.push_message(&close);
                }
            }
        }
    }
}

fn parser(carrier: &Carrier) -> &dyn Parser {
    &*carrier.session().mount().settings().parser
}

fn classic(parser: &dyn Parser, control: &str) -> Option<Payload> {
    parser::encode(parser, control).ok()
}

/// What a classic client says.
fn read_classic(payload: Payload, session: &Session) -> Incoming {
    let parser = &*session.mount().settings().parser;
    let Some(control) = classic_control(parser, &payload) else {
        return Incoming::Message(payload.into());
    };
    match control.split("::").next() {
        Some("pong") => Incoming::Pong { recv: None },
        Some("id") => {
            let answer = format!("primus::id::{}", session.id());
            classic(parser, &answer).map_or(Incoming::Nothing, Incoming::Answer)
        }
        _ => Incoming::Nothing,
    }
}

fn is_classic_control(parser: &dyn Parser, payload: &Payload) -> bool {
    match payload {
        Payload::Text(text) => text.strip_prefix('"').unwrap_or(text).starts_with(CONTROL),
        Payload::Binary(_) => classic_control(parser, payload).is_some(),
    }
}

/// What follows `primus::` if this value is a control string.
fn classic_control(parser: &dyn Parser, payload: &Payload) -> Option<String> {
    let bytes = payload.as_bytes();
    // Room for what a parser may put before a string.
    let head = &bytes[..bytes.len().min(CONTROL.len() + 8)];
    if !head.windows(CONTROL.len()).any(|window| window == CONTROL.as_bytes()) {
        return None;
    }
    let value: String = parser::decode(parser, payload).ok()?;
    // Bytes that could be read as a string are not what the parser makes of one.
    if payload.is_binary() && !parser::encode(parser, &value).ok()?.is_binary() {
        return None;
    }
    value.strip_prefix(CONTROL).map(str::to_owned)
}
