//! Plain Engine.IO: a message is a message. The stock Primus client is told by its query.

use std::sync::Arc;

use primus_core::{
    BoxFuture, Carriage, CloseReason, Opening, Outgoing, Parser, Payload, Rejection, Session,
    classic::Classic, native,
};

use crate::{
    classic::ClassicSpeaker,
    language::{Caller, Greeting, Heard, Language, Opened, Speaker},
    writer::{Form, Writer, form},
};

/// Engine.IO and nothing above it, named `engine.io`: its messages are the application's, as the parser
/// wrote them. Its clients know no events; one is sent to them as other plain clients get it,
/// `{"event":"<name>","data":<args>}`.
///
/// The client that Primus 8 generates for its transformer `engine.io` is known by `_primuscb` in its query, as over every
/// other protocol, and has its own control messages, and its plugins. It takes the sid for the id of its
/// spark, as it was with Primus 8, so its sid is that.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

const NAME: &str = "engine.io";

/// A payload as it was written.
pub(crate) const MESSAGE: Form = form!("engine.io");

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
            let sid = classic.is_some().then(|| session.id().to_string().into());
            let speaker: Box<dyn Speaker> = match classic {
                Some(classic) => Box::new(ClassicSpeaker { classic, parser: Arc::clone(parser) }),
                None => Box::new(PlainSpeaker),
            };
            Ok(Greeting {
                speaker,
                sid,
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
