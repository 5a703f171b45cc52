//! What messages mean: values to plain clients, strings to the stock Primus client.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use bytestring::ByteString;
use primus_core::{
    Carriage, CloseReason, Envelope, MountSettings, Outgoing, Parser, Payload, Query, Session,
    WireForm,
    classic::{Classic, Incoming, Rendering, Sink},
    native,
    request::in_script,
};
use primus_http::post::Waiting;

use crate::protocol::{
    json::{is_json, quote},
    maps::Map,
};

/// What a client takes its messages for.
#[derive(Debug)]
pub(crate) enum Face {
    /// With the parser `json` a message is a value both ways; with another it is a text.
    Plain { values: bool },
    /// The stock Primus client has what a parser made in strings.
    Classic(Box<Classic>),
}

impl Face {
    /// The stock Primus client has no mark here, as it has on a WebSocket; our own that speaks like it has that one.
    pub(crate) fn of(mount: &MountSettings, query: &Query, primus: Option<bool>) -> Self {
        let parser = &*mount.parser;
        let marked = query.get("_primuscb").is_some();
        if marked || primus.unwrap_or(mount.path.trim_end_matches('/') == "/primus") {
            Self::Classic(Box::new(Classic::new(parser)))
        } else {
            Self::Plain { values: parser.name() == "json" }
        }
    }

    /// Whether it has a way to answer requests.
    pub(crate) fn answers(&self) -> bool {
        matches!(self, Self::Classic(classic) if classic.answers())
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain { .. })
    }

    /// How a back channel carries: a plain client has no way to answer a ping.
    pub(crate) fn carriage(&self) -> Carriage {
        let classic = !self.is_plain();
        Carriage { heartbeat: classic, answers: classic, ..Carriage::SILENT }
    }

    pub(crate) fn read(&mut self, map: Map, session: &Arc<Session>) -> Incoming {
        let message = |text: ByteString| Incoming::Message(text.into());
        match (self, map) {
            (_, Map::Bad) => Incoming::Nothing,
            (Self::Classic(classic), Map::Text(text) | Map::Json(text) | Map::Object(text)) => {
                classic.read(text.into(), session)
            }
            (Self::Plain { values: true }, Map::Text(text)) => message(quote(&text).into()),
            (Self::Plain { .. }, Map::Text(text) | Map::Json(text) | Map::Object(text)) => {
                message(text)
            }
        }
    }

    /// Puts a message as the values that are said of it.
    pub(crate) fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, said: &mut Said) {
        match self {
            Self::Classic(classic) => classic.write(outgoing, parser, said),
            Self::Plain { .. } if outgoing.envelope().is_bare() => {
                said.put(outgoing, Rendering::AsItIs, |envelope| Some(envelope.body()));
            }
            Self::Plain { .. } => {
                said.put(outgoing, Rendering::TakenApart, |envelope| {
                    native::plain(envelope, parser)
                });
            }
        }
    }

    /// What is said of the next message.
    pub(crate) fn said(&self) -> Said {
        Said { values: matches!(self, Self::Plain { values: true }), all: Vec::new() }
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.first_ready().is_some()
    }

    /// The message that asks for a sign of life, if there is one.
    pub(crate) fn ping(&self, parser: &dyn Parser) -> Option<Payload> {
        if self.is_plain() { None } else { Classic::ping(parser) }
    }

    /// The message that tells an end, if there is one.
    pub(crate) fn end(&self, parser: &dyn Parser, reason: &CloseReason) -> Option<Payload> {
        if self.is_plain() { None } else { Classic::end(parser, reason) }
    }
}

impl Waiting for Face {
    fn first_ready(&self) -> Option<&Envelope> {
        match self {
            Self::Classic(classic) => classic.first_ready(),
            Self::Plain { .. } => None,
        }
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        match self {
            Self::Classic(classic) => classic.pop_ready(),
            Self::Plain { .. } => None,
        }
    }

    fn is_full(&self, session: &Session) -> bool {
        matches!(self, Self::Classic(classic) if classic.is_full(session))
    }
}

/// What is said of one message: JSON values.
#[derive(Debug)]
pub(crate) struct Said {
    values: bool,
    pub(crate) all: Vec<Bytes>,
}

const VALUES: [WireForm; 3] = [
    WireForm("browserchannel.value"),
    WireForm("browserchannel.value.plain"),
    WireForm("browserchannel.value.emitted"),
];
const STRINGS: [WireForm; 3] = [
    WireForm("browserchannel.string"),
    WireForm("browserchannel.string.plain"),
    WireForm("browserchannel.string.emitted"),
];

impl Said {
    fn render(values: bool, payload: &Payload) -> Bytes {
        match payload {
            Payload::Text(text) if values && is_json(text) => in_script(text),
            Payload::Text(text) => quote(text),
            Payload::Binary(bytes) => quote(&STANDARD.encode(bytes)),
        }
        .into()
    }
}

impl Sink for Said {
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    ) {
        let forms = if self.values { VALUES } else { STRINGS };
        let form = rendering.of(forms);
        let make = |envelope: &Envelope| {
            make(envelope).map(|payload| Self::render(self.values, &payload)).unwrap_or_default()
        };
        let value = outgoing.frame(form, make);
        self.all.extend(Some(value).filter(|value| !value.is_empty()));
    }

    fn push(&mut self, message: &Payload) {
        self.all.push(Self::render(self.values, message));
    }
}
