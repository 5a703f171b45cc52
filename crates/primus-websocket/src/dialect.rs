//! The three dialects over a WebSocket (docs/protocol.md §1).

use std::time::{SystemTime, UNIX_EPOCH};

use bytestring::ByteString;
use primus_core::{
    CloseReason, Outgoing, Payload, Session, WireForm,
    native::{self, Frame, FrameError},
    parser::{self, Parser},
};

use crate::{frame, out::Out};

/// Text as the application wrote it.
const AS_IT_IS: WireForm = WireForm("websocket");
/// Text that begins with `primus::`, escaped.
const ESCAPED: WireForm = WireForm("websocket.2");

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
    Data(Payload),
    /// The client asked for a sign of life, and gets this.
    Answer(Payload),
    Pong,
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
            Self::Plain => Ok(Incoming::Data(text.into())),
            Self::Resumable => match native::parse(text)? {
                Frame::Data(payload) => Ok(Incoming::Data(payload)),
                Frame::Ping(n) => Ok(Incoming::Answer(format!("primus::pong:{n}::").into())),
                Frame::Pong(_) => Ok(Incoming::Pong),
                Frame::End => Ok(Incoming::End),
                // Once is enough, and refusing is not the client's part.
                Frame::Attach(_) | Frame::Refuse(_) => {
                    native::parse("primus::".into()).map(|_| Incoming::Nothing)
                }
            },
            Self::Classic => {
                let parser = &*session.mount().settings().parser;
                let Some(control) = classic_control(parser, &text) else {
                    return Ok(Incoming::Data(text.into()));
                };
                Ok(match control.split("::").next() {
                    Some("pong") => Incoming::Pong,
                    Some("id") => {
                        let answer = format!("primus::id::{}", session.id());
                        classic(parser, &answer).map_or(Incoming::Nothing, Incoming::Answer)
                    }
                    _ => Incoming::Nothing,
                })
            }
        }
    }

    /// Puts a message on the wire.
    pub(crate) fn write(self, outgoing: &Outgoing, out: &mut Out) {
        let payload = outgoing.payload();
        let (form, escaped) = match (self, payload) {
            (Self::Resumable, Payload::Text(text)) if text.starts_with(CONTROL) => {
                (ESCAPED, Some(Payload::Text(native::encode_text(text))))
            }
            (Self::Classic, Payload::Text(text)) if is_classic_control(text) => {
                tracing::warn!(
                    "a message that a classic client would take for control was not sent to it"
                );
                return;
            }
            _ => (AS_IT_IS, None),
        };
        match outgoing {
            Outgoing::Own(payload) => out.push_message(escaped.as_ref().unwrap_or(payload)),
            Outgoing::Shared(packet) => out.push(
                packet.frame(form, |payload| frame::message(escaped.as_ref().unwrap_or(payload))),
            ),
        }
    }

    pub(crate) fn write_ping(self, session: &Session, out: &mut Out) {
        match self {
            Self::Plain => out.small(frame::put_ping),
            Self::Resumable => {
                let ping = format!("primus::ping:{}::", session.mount().clock());
                out.push_message(&ping.into());
            }
            Self::Classic => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let ping = format!("primus::ping::{}", now.as_millis());
                if let Some(ping) = classic(&*session.mount().settings().parser, &ping) {
                    out.push_message(&ping);
                }
            }
        }
    }

    /// Says why the session ends, where the dialect has words for it beside the close frame.
    pub(crate) fn write_end(self, reason: &CloseReason, session: &Session, out: &mut Out) {
        match self {
            Self::Plain => {}
            Self::Resumable => out.push_message(&native::end_frame(reason).into()),
            Self::Classic if reason.reconnects() => {}
            Self::Classic => {
                let parser = &*session.mount().settings().parser;
                if let Some(close) = classic(parser, "primus::server::close") {
                    out.push_message(&close);
                }
            }
        }
    }
}

fn classic(parser: &dyn Parser, control: &str) -> Option<Payload> {
    parser::encode(parser, control).ok()
}

fn is_classic_control(text: &str) -> bool {
    text.strip_prefix('"').unwrap_or(text).starts_with(CONTROL)
}

/// What follows `primus::` if this value is a control string.
fn classic_control(parser: &dyn Parser, text: &ByteString) -> Option<String> {
    if !is_classic_control(text) {
        return None;
    }
    let value: String = parser::decode(parser, &text.clone().into()).ok()?;
    value.strip_prefix(CONTROL).map(str::to_owned)
}
