//! Plain Engine.IO: a message is a message.

use std::sync::Arc;

use primus_core::{
    BoxFuture, Carriage, CloseReason, Envelope, Opening, Outgoing, Parser, Payload, Rejection,
    Session,
    classic::{Classic, Incoming, Rendering, Sink},
    native,
};

use crate::{
    language::{Caller, Greeting, Heard, Language, Opened, Speaker},
    writer::{Form, Writer, form},
};

/// Engine.IO and nothing above it, named `engine.io`: its messages are the application's, as the parser
/// wrote them. Its clients know no events; one is sent to them as other plain clients get it,
/// `{"event":"<name>","data":<args>}`. The client that Primus 8 makes for Engine.IO, which has `_primuscb` in its
/// query, is spoken to as it is over a WebSocket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

const NAME: &str = "engine.io";

/// A payload as it was written.
const MESSAGE: Form = form!("engine.io");
/// What a head said, for a client that knows other heads.
const TAKEN_APART: Form = form!("engine.io.0");
/// An event as `primus-emitter` has it.
const EMITTED: Form = form!("engine.io.1");

impl Language for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn greet<'a>(&'a self, caller: Caller<'a>) -> BoxFuture<'a, Result<Greeting, Rejection>> {
        Box::pin(async move {
            let parser = &caller.mount.settings().parser;
            let classic = caller.head.query().get("_primuscb").map(|_| Classic::new(&**parser));
            let answers = classic.as_ref().is_some_and(Classic::answers);
            let opening = Opening { answers, ..Opening::default() };
            let session = caller.mount.open(NAME, caller.head, opening).await?;
            let carrier = Some(session.attach(Carriage::SILENT));
            Ok(Greeting {
                speaker: match classic {
                    None => Box::new(PlainSpeaker),
                    Some(classic) => {
                        Box::new(ClassicSpeaker { classic, parser: Arc::clone(parser) })
                    }
                },
                opened: Opened { carrier, ..Opened::default() },
                pending: None,
                patience: None,
                headers: http::HeaderMap::new(),
            })
        })
    }
}

struct PlainSpeaker;

impl Speaker for PlainSpeaker {
    fn read(&mut self, message: Payload, _: Option<&Arc<Session>>) -> Result<Heard, CloseReason> {
        Ok(Heard::Deliver(message.into()))
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, to: &mut Writer<'_>) {
        to.put(outgoing, &MESSAGE, |envelope| native::plain(envelope, parser));
    }
}

/// Speaks with the client of Primus 8.
struct ClassicSpeaker {
    classic: Classic,
    parser: Arc<dyn Parser>,
}

impl Speaker for ClassicSpeaker {
    fn read(
        &mut self,
        message: Payload,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, CloseReason> {
        let Some(session) = session else { return Ok(Heard::Nothing) };
        Ok(match self.classic.read(message, session) {
            Incoming::Message(message) => Heard::Deliver(message),
            Incoming::Answer(answer) => Heard::Say(vec![answer]),
            Incoming::Answers(answers) => Heard::Say(answers),
            Incoming::End => Heard::Leave,
            Incoming::Nothing => Heard::Nothing,
        })
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        self.classic.pop_ready()
    }

    fn has_ready(&self) -> bool {
        self.classic.has_ready()
    }

    fn is_full(&self, session: &Session) -> bool {
        self.classic.is_full(session)
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, to: &mut Writer<'_>) {
        self.classic.write(outgoing, parser, to);
    }

    fn end(&mut self, reason: &CloseReason, to: &mut Writer<'_>) {
        Classic::end(&*self.parser, reason).iter().for_each(|words| to.say(words));
    }
}

impl Sink for Writer<'_> {
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    ) {
        let form = match rendering {
            Rendering::AsItIs => &MESSAGE,
            Rendering::TakenApart => &TAKEN_APART,
            Rendering::Emitted => &EMITTED,
        };
        Writer::put(self, outgoing, form, make);
    }

    fn push(&mut self, message: &Payload) {
        self.say(message);
    }
}
