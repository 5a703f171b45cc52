//! SockJS over a WebSocket, and a WebSocket without it.

use std::sync::Arc;

use http::StatusCode;
use primus_core::{
    Carriage, Carrier, CloseReason, Envelope, Mount, Opening, Outgoing, Parser, Payload, Request,
    Response, Session, native,
};
use primus_http::post::Waiting as _;
use primus_websocket::{
    Dialect, Form, Handshake, Incoming, Out, Rendering, Sink, accept, form, offered,
};
use tracing::Instrument as _;

use crate::{
    face::{Face, quoted},
    headers::text,
    protocol::{
        frame::{OPEN, close, messages},
        payload::{Messages, PayloadError},
    },
    transformer::NAME,
};

/// Answers a request for a WebSocket. `raw`: without SockJS.
pub(crate) async fn open(
    request: Request,
    mount: &Arc<Mount>,
    raw: bool,
) -> Result<Response, Response> {
    let Request { head, upgrade, .. } = request;
    if !head.wants_websocket() {
        return Err(text(StatusCode::BAD_REQUEST, "Not a valid websocket request"));
    }
    let settings = mount.settings();
    let face = if raw { Face::Plain } else { Face::of(&head, &*settings.parser) };
    let known = &settings.subprotocols;
    let protocol = offered(&head.headers)
        .find(|protocol| known.is_empty() || known.iter().any(|known| known == protocol));
    let (response, handshake) = accept(&head, upgrade, protocol, settings).map_err(|no| *no)?;
    let opening = Opening { protocol, answers: face.answers(), ..Opening::default() };
    let session = mount.open(NAME, &head, opening).await.map_err(|no| no.into_response())?;
    let span = tracing::debug_span!("sockjs", address = ?head.address, spark = %session.id());
    let face = (!raw).then_some(face);
    tokio::spawn(start(session, handshake, face).instrument(span));
    Ok(response)
}

/// Waits for the socket of a session that is authorized already.
async fn start(session: Arc<Session>, handshake: Handshake, face: Option<Face>) {
    // Attached before the socket is there, so that a client that goes meanwhile ends the session.
    let carrier = session.attach(Carriage::DRIVER);
    let mut connection = match handshake.connection(session.mount().settings()).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "the client went during the handshake"),
    };
    match face {
        None => connection.drive(carrier, Raw),
        Some(face) => {
            connection.send(&OPEN.into());
            connection.drive(carrier, Framed { face, session, read: None, answers: Vec::new() });
        }
    }
}

const RAW: Form = form!("sockjs.raw");
const RAW_HEAD: Form = form!("sockjs.raw.plain");

/// A message is a message.
struct Raw;

impl Dialect for Raw {
    fn is_data(&self, _: &Payload) -> bool {
        true
    }

    fn read(&mut self, message: Payload, _: &mut Carrier) -> Result<Incoming, CloseReason> {
        Ok(Incoming::Message(message.into()))
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        if outgoing.envelope().is_bare() {
            out.put(outgoing, &RAW, |envelope| Some(envelope.body()));
        } else {
            out.put(outgoing, &RAW_HEAD, |envelope| native::plain(envelope, parser));
        }
    }

    fn write_ping(&mut self, _: &mut Carrier, out: &mut Out) {
        out.push_ping();
    }
}

/// Messages in frames of SockJS.
struct Framed {
    face: Face,
    session: Arc<Session>,
    /// What is left of the client's last message, which may have many in it.
    read: Option<Messages>,
    /// What it is owed for that.
    answers: Vec<Payload>,
}

/// Answers to the messages in one; of a flood of questions the last ones count.
const MOST_ANSWERS: usize = 16;

impl Framed {
    /// The next message for the application in what was read.
    fn advance(&mut self) -> Option<Envelope> {
        loop {
            if self.face.is_full(&self.session) {
                return None;
            }
            let text = self.read.as_mut()?.next();
            let Some(text) = text else {
                self.read = None;
                return None;
            };
            match self.face.read(text, &self.session) {
                Incoming::Message(message) => return Some(message),
                Incoming::Answer(answer) => {
                    if self.answers.len() == MOST_ANSWERS {
                        self.answers.remove(0);
                    }
                    self.answers.push(answer);
                }
                _ => {}
            }
        }
    }
}

impl Dialect for Framed {
    fn read(&mut self, message: Payload, carrier: &mut Carrier) -> Result<Incoming, CloseReason> {
        let Payload::Text(text) = message else { return Err(broken()) };
        let max = carrier.session().limits().max_message;
        let messages = Messages::read_message(text, max).map_err(|error| match error {
            PayloadError::TooBig(_) => CloseReason::TOO_BIG,
            _ => broken(),
        })?;
        self.read = Some(messages);
        Ok(self.advance().map_or(Incoming::Nothing, Incoming::Message))
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        self.face.pop_ready().or_else(|| self.advance())
    }

    fn has_ready(&self) -> bool {
        self.face.has_ready() || self.read.as_ref().is_some_and(|read| !read.is_done())
    }

    fn is_full(&self, session: &Session) -> bool {
        self.face.is_full(session)
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        self.face.write(outgoing, parser, &mut Frames(out));
    }

    fn write_ping(&mut self, carrier: &mut Carrier, out: &mut Out) {
        match self.face.ping(parser(carrier)) {
            Some(ping) => Frames(out).push(&ping),
            None => out.push_ping(),
        }
    }

    fn write_ack(&mut self, _: &mut Carrier, out: &mut Out) {
        self.answers.drain(..).for_each(|answer| Frames(out).push(&answer));
    }

    fn write_end(&mut self, reason: &CloseReason, carrier: &mut Carrier, out: &mut Out) {
        self.write_ack(carrier, out);
        if let Some(words) = self.face.end(parser(carrier), reason) {
            Frames(out).push(&words);
        }
        // Who does not speak SockJS is not answered in it.
        if *reason != broken() {
            out.push_message(&close(&self.face.reason(reason.clone())).into());
        }
    }
}

fn parser(carrier: &Carrier) -> &dyn Parser {
    &*carrier.session().mount().settings().parser
}

/// What a client did whose messages cannot be read.
fn broken() -> CloseReason {
    CloseReason::from_code(3000, "Broken framing.")
}

/// A frame for each message.
struct Frames<'a>(&'a mut Out);

const AS_IT_IS: Form = form!("sockjs");
const TAKEN_APART: Form = form!("sockjs.plain");
const EMITTED: Form = form!("sockjs.emitted");

impl Sink for Frames<'_> {
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    ) {
        let form = rendering.of([&AS_IT_IS, &TAKEN_APART, &EMITTED]);
        self.0.put(outgoing, form, |envelope| make(envelope).map(|payload| framed(&payload)));
    }

    fn push(&mut self, message: &Payload) {
        self.0.push_message(&framed(message));
    }
}

fn framed(payload: &Payload) -> Payload {
    messages([&*quoted(payload)]).into()
}
