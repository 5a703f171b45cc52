//! What messages mean, whichever way they travel: plain ones, or those of the stock Primus client.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytestring::ByteString;
use primus_core::{
    Carriage, CloseReason, Envelope, Head, Outgoing, Parser, Payload, Session, native,
};
use primus_http::post::Waiting;
use primus_websocket::{Classic, Incoming, Rendering, Sink};

use crate::protocol::escape::quote;

/// What a client takes its messages for.
#[derive(Debug)]
pub(crate) enum Face {
    Plain,
    Classic(Classic),
}

impl Face {
    /// The stock Primus client has a mark in its query, as it has on a WebSocket.
    pub(crate) fn of(head: &Head, parser: &dyn Parser) -> Self {
        match head.query().get("_primuscb") {
            Some(_) => Self::Classic(Classic::new(parser)),
            None => Self::Plain,
        }
    }

    /// Whether it has a way to answer requests.
    pub(crate) fn answers(&self) -> bool {
        matches!(self, Self::Classic(classic) if classic.answers())
    }

    /// How a receiver carries: a plain client is never asked for a sign of life, as it has no way to give one.
    pub(crate) fn carriage(&self) -> Carriage {
        let classic = matches!(self, Self::Classic(_));
        Carriage { heartbeat: classic, answers: classic, ..Carriage::SILENT }
    }

    pub(crate) fn read(&mut self, text: ByteString, session: &Arc<Session>) -> Incoming {
        match self {
            Self::Plain => Incoming::Message(text.into()),
            Self::Classic(classic) => {
                session.seen();
                classic.read(text.into(), session)
            }
        }
    }

    pub(crate) fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut impl Sink) {
        match self {
            Self::Classic(classic) => classic.write(outgoing, parser, out),
            Self::Plain if outgoing.envelope().is_bare() => {
                out.put(outgoing, Rendering::AsItIs, |envelope| Some(envelope.body()));
            }
            Self::Plain => {
                out.put(outgoing, Rendering::TakenApart, |envelope| {
                    native::plain(envelope, parser)
                });
            }
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.first_ready().is_some()
    }

    /// The message that asks for a sign of life, if there is one.
    pub(crate) fn ping(&self, parser: &dyn Parser) -> Option<Payload> {
        match self {
            Self::Classic(_) => Classic::ping(parser),
            Self::Plain => None,
        }
    }

    /// The message that tells an end, if there is one.
    pub(crate) fn end(&self, parser: &dyn Parser, reason: &CloseReason) -> Option<Payload> {
        match self {
            Self::Classic(_) => Classic::end(parser, reason),
            Self::Plain => None,
        }
    }

    /// The end as SockJS tells it. The stock Primus client takes any other than the usual one for a fault.
    pub(crate) fn reason(&self, reason: CloseReason) -> CloseReason {
        match self {
            Self::Classic(_) => CloseReason::ENDED,
            Self::Plain => reason,
        }
    }
}

impl Waiting for Face {
    fn first_ready(&self) -> Option<&Envelope> {
        match self {
            Self::Classic(classic) => classic.first_ready(),
            Self::Plain => None,
        }
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        match self {
            Self::Classic(classic) => classic.pop_ready(),
            Self::Plain => None,
        }
    }

    fn is_full(&self, session: &Session) -> bool {
        matches!(self, Self::Classic(classic) if classic.is_full(session))
    }
}

/// A message as SockJS has it: a string. Bytes are base64.
pub(crate) fn quoted(payload: &Payload) -> String {
    let mut out = String::new();
    match payload {
        Payload::Text(text) => quote(text, &mut out),
        Payload::Binary(bytes) => quote(&STANDARD.encode(bytes), &mut out),
    }
    out
}
