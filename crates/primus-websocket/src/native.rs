//! The three dialects of `/primus` over a WebSocket (docs/protocol.md §1).

use primus_core::{
    Carrier, CloseReason, Envelope, Outgoing, Payload, Session,
    classic::{Classic, Incoming, Rendering, Sink},
    native::{self, Frame, FrameError},
    parser::Parser,
};

use crate::{deflate::Form, dialect::Dialect, form, out::Out};

/// Text as the application wrote it.
const AS_IT_IS: Form = form!("websocket");
/// Text that begins with `primus::`, escaped.
const ESCAPED: Form = form!("websocket.2");
/// What a head said, for those who know no heads.
const TAKEN_APART: Form = form!("websocket.0");
/// An event as `primus-emitter` has it.
const EMITTED: Form = form!("websocket.1");

impl Sink for Out {
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    ) {
        let form = rendering.of([&AS_IT_IS, &TAKEN_APART, &EMITTED]);
        Self::put(self, outgoing, form, make);
    }

    fn push(&mut self, message: &Payload) {
        self.push_message(message);
    }
}

/// One of them, and what it remembers.
pub(crate) enum Native {
    Resumable,
    Classic(Classic),
    Plain,
}

impl Native {
    fn resumable(frame: Frame, carrier: &mut Carrier) -> Result<Incoming, CloseReason> {
        match frame {
            Frame::Message(message) => {
                return native::from_client(message).map(Incoming::Message).map_err(bad_control);
            }
            Frame::Ack { recv, next } => carrier.acked(recv, next)?,
            Frame::Ping(number, recv) => {
                acked(carrier, recv)?;
                let recv = carrier.ack_now();
                let pong = format!("primus::pong:{number}:{recv}::");
                return Ok(Incoming::Answer(pong.into()));
            }
            Frame::Pong(_, recv) => {
                acked(carrier, recv)?;
                carrier.session().ponged();
            }
            Frame::End => return Ok(Incoming::End),
            // Once is enough, and refusing is not the client's part.
            Frame::Attach(_) | Frame::Refuse(_) => {
                return native::parse("primus::".into())
                    .map(|_| Incoming::Nothing)
                    .map_err(bad_control);
            }
        }
        Ok(Incoming::Nothing)
    }

    /// Writes everything else: as Primus 8 has it, taken apart, or escaped where it could be taken for control.
    #[inline(never)]
    fn write_framed(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        match self {
            Self::Classic(classic) => classic.write(outgoing, parser, out),
            Self::Plain => out.put(outgoing, &TAKEN_APART, |it| native::plain(it, parser)),
            Self::Resumable => match native::escape(outgoing.envelope()) {
                Some(escaped) => out.put(outgoing, &ESCAPED, |_| Some(escaped.clone())),
                None => out.put_as_it_is(outgoing, &AS_IT_IS),
            },
        }
    }
}

impl Dialect for Native {
    #[inline]
    fn is_data(&self, message: &Payload) -> bool {
        match self {
            Self::Plain => true,
            Self::Resumable => !native::has_head(message),
            Self::Classic(_) => false,
        }
    }

    fn read(&mut self, message: Payload, carrier: &mut Carrier) -> Result<Incoming, CloseReason> {
        match self {
            Self::Plain => Ok(Incoming::Message(message.into())),
            Self::Resumable => {
                let frame = match message {
                    Payload::Text(text) => native::parse(text),
                    binary => native::read_message(binary).map(Frame::Message),
                };
                Self::resumable(frame.map_err(bad_control)?, carrier)
            }
            Self::Classic(classic) => Ok(classic.read(message, carrier.session())),
        }
    }

    #[inline]
    fn pop_ready(&mut self) -> Option<Envelope> {
        match self {
            Self::Classic(classic) => classic.pop_ready(),
            _ => None,
        }
    }

    #[inline]
    fn has_ready(&self) -> bool {
        matches!(self, Self::Classic(classic) if classic.has_ready())
    }

    #[inline]
    fn is_full(&self, session: &Session) -> bool {
        matches!(self, Self::Classic(classic) if classic.is_full(session))
    }

    #[inline]
    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        if matches!(self, Self::Plain) && outgoing.envelope().is_bare() {
            out.put_as_it_is(outgoing, &AS_IT_IS);
        } else {
            self.write_framed(outgoing, parser, out);
        }
    }

    fn write_ping(&mut self, carrier: &mut Carrier, out: &mut Out) {
        match self {
            Self::Plain => out.push_ping(),
            Self::Resumable => {
                let (clock, recv) = (carrier.session().mount().clock(), carrier.ack_now());
                out.push_message(&format!("primus::ping:{clock}:{recv}::").into());
            }
            Self::Classic(_) => {
                if let Some(ping) = Classic::ping(parser(carrier)) {
                    out.push_message(&ping);
                }
            }
        }
    }

    #[inline]
    fn write_ack(&mut self, carrier: &mut Carrier, out: &mut Out) {
        if matches!(self, Self::Resumable)
            && let Some(recv) = carrier.ack(!out.is_empty())
        {
            out.push_message(&native::ack_frame(recv).into());
        }
    }

    fn write_end(&mut self, reason: &CloseReason, carrier: &mut Carrier, out: &mut Out) {
        match self {
            Self::Plain => {}
            Self::Resumable => {
                out.push_message(&native::end_frame(reason, carrier.ack_now()).into());
            }
            Self::Classic(_) => {
                if let Some(close) = Classic::end(parser(carrier), reason) {
                    out.push_message(&close);
                }
            }
        }
    }
}

fn parser(carrier: &Carrier) -> &dyn Parser {
    &*carrier.session().mount().settings().parser
}

fn acked(carrier: &mut Carrier, recv: Option<u64>) -> Result<(), CloseReason> {
    recv.map_or(Ok(()), |recv| carrier.acked(recv, None))
}

fn bad_control(error: FrameError) -> CloseReason {
    CloseReason::BAD_CONTROL.with_text(error.to_string())
}
