//! The three dialects over a WebSocket (docs/protocol.md §1).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::{
    Carrier, CloseReason, Envelope, Outgoing, Payload, Session,
    native::{self, Frame, FrameError},
    parser::Parser,
};

use crate::{
    classic::{Classic, control_string},
    deflate::{Form, form, put_compressed},
    frame,
    out::Out,
};

/// Text as the application wrote it.
pub(crate) const AS_IT_IS: Form = form!("websocket");
/// Text that begins with `primus::`, escaped.
const ESCAPED: Form = form!("websocket.2");
/// What a head said, for those who know no heads.
pub(crate) const TAKEN_APART: Form = form!("websocket.0");

pub(crate) enum Dialect {
    Resumable,
    Classic(Classic),
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
        &mut self,
        text: ByteString,
        session: &Session,
    ) -> Result<Incoming, FrameError> {
        match self {
            Self::Plain => Ok(Incoming::Message(text.into())),
            Self::Resumable => match native::parse(text)? {
                Frame::Message(message) => native::from_client(message).map(Incoming::Message),
                Frame::Ack { recv, next } => Ok(Incoming::Ack { recv, next }),
                Frame::Ping(number, recv) => Ok(Incoming::Ping { number, recv }),
                Frame::Pong(_, recv) => Ok(Incoming::Pong { recv }),
                Frame::End => Ok(Incoming::End),
                // Once is enough, and refusing is not the client's part.
                Frame::Attach(_) | Frame::Refuse(_) => {
                    native::parse("primus::".into()).map(|_| Incoming::Nothing)
                }
            },
            Self::Classic(classic) => Ok(classic.read(text.into(), session)),
        }
    }

    /// What the bytes of a binary frame are. Where the parser makes binary messages, control of the
    /// classic dialect is binary, too.
    pub(crate) fn read_binary(
        &mut self,
        bytes: Bytes,
        session: &Session,
    ) -> Result<Incoming, FrameError> {
        match self {
            Self::Resumable => {
                native::from_client(native::read_message(bytes.into())?).map(Incoming::Message)
            }
            Self::Classic(classic) => Ok(classic.read(bytes.into(), session)),
            Self::Plain => Ok(Incoming::Message(bytes.into())),
        }
    }

    /// What has been read before, and may be delivered now.
    pub(crate) fn pop_ready(&mut self) -> Option<Envelope> {
        match self {
            Self::Classic(classic) => classic.pop_ready(),
            _ => None,
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        matches!(self, Self::Classic(classic) if classic.has_ready())
    }

    /// Nothing more should be read before something has been written.
    pub(crate) fn is_full(&self, session: &Session) -> bool {
        matches!(self, Self::Classic(classic) if classic.is_full(session))
    }

    /// Puts a message on the wire.
    pub(crate) fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        let escaped = match self {
            Self::Classic(classic) => return classic.write(outgoing, parser, out),
            Self::Plain if !outgoing.envelope().is_bare() => {
                return put(outgoing, &TAKEN_APART, out, |envelope| {
                    native::plain(envelope, parser)
                });
            }
            Self::Plain => None,
            Self::Resumable => native::escape(outgoing.envelope()),
        };
        if escaped.is_some() {
            return put(outgoing, &ESCAPED, out, |_| escaped.clone());
        }
        if put_compressed(outgoing, &AS_IT_IS, out, |envelope| Some(envelope.frame().clone())) {
            return;
        }
        match outgoing {
            Outgoing::Own(envelope) => out.push_message(envelope.frame()),
            Outgoing::Shared(packet) => {
                out.push(packet.frame(AS_IT_IS.plain, |envelope| frame::message(envelope.frame())));
            }
        }
    }

    /// Asks for a sign of life; an acknowledgement rides on it.
    pub(crate) fn write_ping(&self, carrier: &mut Carrier, out: &mut Out) {
        match self {
            Self::Plain => out.small(frame::put_ping),
            Self::Resumable => {
                let (clock, recv) = (carrier.session().mount().clock(), carrier.ack_now());
                out.push_message(&format!("primus::ping:{clock}:{recv}::").into());
            }
            Self::Classic(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let ping = format!("primus::ping::{}", now.as_millis());
                if let Some(ping) = control_string(parser(carrier), &ping) {
                    out.push_message(&ping);
                }
            }
        }
    }

    /// Acknowledges what has been received, if it is time.
    pub(crate) fn write_ack(&self, carrier: &mut Carrier, out: &mut Out) {
        if matches!(self, Self::Resumable)
            && let Some(recv) = carrier.ack(!out.is_empty())
        {
            out.push_message(&native::ack_frame(recv).into());
        }
    }

    /// Says why the session ends, where the dialect has words for it beside the close frame.
    pub(crate) fn write_end(&self, reason: &CloseReason, carrier: &mut Carrier, out: &mut Out) {
        match self {
            Self::Plain => {}
            Self::Resumable => {
                out.push_message(&native::end_frame(reason, carrier.ack_now()).into());
            }
            Self::Classic(_) if reason.reconnects() => {}
            Self::Classic(_) => {
                if let Some(close) = control_string(parser(carrier), "primus::server::close") {
                    out.push_message(&close);
                }
            }
        }
    }
}

fn parser(carrier: &Carrier) -> &dyn Parser {
    &*carrier.session().mount().settings().parser
}

/// Puts a message out in a form that has to be made: once for all who share it. What has none has an
/// empty frame, and so is not sent.
pub(crate) fn put(
    outgoing: &Outgoing,
    form: &Form,
    out: &mut Out,
    make: impl Fn(&Envelope) -> Option<Payload>,
) {
    if put_compressed(outgoing, form, out, &make) {
        return;
    }
    match outgoing {
        Outgoing::Own(envelope) => {
            make(envelope).into_iter().for_each(|payload| out.push_message(&payload));
        }
        Outgoing::Shared(packet) => out.push(packet.frame(form.plain, |envelope| {
            make(envelope).map(|payload| frame::message(&payload)).unwrap_or_default()
        })),
    }
}
