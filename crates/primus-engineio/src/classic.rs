//! The stock Primus 8 client over Engine.IO: its messages and its control strings are messages.

use std::sync::Arc;

use primus_core::{
    CloseReason, Envelope, Outgoing, Parser, Payload, Session,
    classic::{Classic, Incoming, Rendering, Sink},
};

use crate::{
    language::{Heard, Speaker},
    plain::MESSAGE,
    writer::{Form, Writer, form},
};

/// An event as `primus-emitter` has it.
const EMITTED: Form = form!("engine.io.emitted");

impl Sink for Writer<'_> {
    fn put(
        &mut self,
        outgoing: &Outgoing,
        rendering: Rendering,
        make: impl Fn(&Envelope) -> Option<Payload>,
    ) {
        let form = match rendering {
            // What plain clients get.
            Rendering::AsItIs | Rendering::TakenApart => &MESSAGE,
            Rendering::Emitted => &EMITTED,
        };
        Writer::put(self, outgoing, form, make);
    }

    fn push(&mut self, message: &Payload) {
        self.say(message);
    }
}

/// Speaks with a stock Primus 8 client.
pub(crate) struct ClassicSpeaker {
    pub(crate) classic: Classic,
    pub(crate) parser: Arc<dyn Parser>,
}

impl Speaker for ClassicSpeaker {
    fn read(
        &mut self,
        message: Payload,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, CloseReason> {
        let Some(session) = session else { return Ok(Heard::Nothing) };
        Ok(match self.classic.read(message, session) {
            Incoming::Message(envelope) => Heard::Deliver(envelope),
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

    fn ping(&self) -> Option<Payload> {
        Classic::ping(&*self.parser)
    }

    fn end(&mut self, reason: &CloseReason, to: &mut Writer<'_>) {
        if let Some(last) = Classic::end(&*self.parser, reason) {
            to.say(&last);
        }
    }
}
