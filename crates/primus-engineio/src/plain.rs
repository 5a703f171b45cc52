//! Plain Engine.IO: a message is a message.

use std::sync::Arc;

use primus_core::{
    BoxFuture, Carriage, CloseReason, Opening, Outgoing, Parser, Payload, Rejection, Session,
    native,
};

use crate::{
    language::{Caller, Greeting, Heard, Language, Opened, Speaker},
    writer::{Form, Writer, form},
};

/// Engine.IO and nothing above it, named `engine.io`: its messages are the application's, as the parser
/// wrote them. Its clients know no events; one is sent to them as other plain clients get it,
/// `{"event":"<name>","data":<args>}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

const NAME: &str = "engine.io";

/// A payload as it was written.
const MESSAGE: Form = form!("engine.io");

impl Language for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn greet<'a>(&'a self, caller: Caller<'a>) -> BoxFuture<'a, Result<Greeting, Rejection>> {
        Box::pin(async move {
            let session = caller.mount.open(NAME, caller.head, Opening::default()).await?;
            let carrier = Some(session.attach(Carriage::SILENT));
            Ok(Greeting {
                speaker: Box::new(PlainSpeaker),
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
