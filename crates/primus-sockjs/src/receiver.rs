//! A carrier for the time of one answer: what there is to say, as frames.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use primus_core::{Carrier, CloseReason, Outgoing, Parser, Payload, Session, Taken};
use tokio::time::Instant;

use crate::{
    batch::Batch,
    link::Link,
    protocol::frame::{self, Wrapping},
    sessions::{Key, Sessions},
};

/// Bytes of messages in one frame; the message that passes it is the last.
const BUDGET: usize = 128 << 10;

/// Takes frames from a session. Dropped, it takes the session with it: what its client has got by then, nobody knows.
pub(crate) struct Receiver {
    carrier: Carrier,
    pub(crate) wrapping: Wrapping,
    sessions: Arc<Sessions>,
    key: Key,
    /// How long the session waits for the next receiver, and its end is told.
    delay: Duration,
}

/// What is said next.
pub(crate) enum Next {
    Frame(Bytes),
    /// The last frame.
    Last(Bytes),
}

impl Receiver {
    pub(crate) fn new(
        carrier: Carrier,
        wrapping: Wrapping,
        (sessions, key): (Arc<Sessions>, Key),
        delay: Duration,
    ) -> Self {
        Self { carrier, wrapping, sessions, key, delay }
    }

    /// Takes what there is to say, or waits for it.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let mut messages = Vec::new();
            let taken =
                self.carrier.poll_take(cx, BUDGET, |message| messages.push(message.clone()));
            let session = Arc::clone(self.carrier.session());
            let Some(link) = Link::of(&session) else {
                return Poll::Ready(self.last(CloseReason::GOING_AWAY));
            };
            let answers = match link.poll_answers(cx) {
                Poll::Ready(answers) => answers,
                Poll::Pending => Vec::new(),
            };
            let taken = match taken {
                Poll::Pending if answers.is_empty() => return Poll::Pending,
                Poll::Pending => Taken::default(),
                Poll::Ready(taken) => taken,
            };
            if let Some(reason) = taken.gone {
                return Poll::Ready(self.last(*reason));
            }
            let parser = &*session.mount().settings().parser;
            let mut own = answers;
            own.extend(taken.ping.then(|| link.face().ping(parser)).flatten());
            if let Some(reason) = &taken.end
                && link.begin_end()
            {
                own.extend(link.face().end(parser, reason));
            }
            if let Some(frame) = self.frame(link, &messages, &own, parser) {
                deliver_ready(link, &session);
                return Poll::Ready(Next::Frame(frame));
            }
            // The end comes alone: it is a frame of its own, and asked for once more until it has been told.
            if let Some(reason) = taken.end {
                return Poll::Ready(self.last(link.face().reason(*reason)));
            }
            deliver_ready(link, &session);
        }
    }

    /// Messages, and what the protocol itself has to say, as one frame.
    fn frame(
        &self,
        link: &Link,
        messages: &[Outgoing],
        own: &[Payload],
        parser: &dyn Parser,
    ) -> Option<Bytes> {
        use primus_websocket::Sink as _;

        let mut batch = Batch::new(&self.wrapping, messages.len() == 1 && own.is_empty());
        let mut face = link.face();
        for message in messages {
            face.write(message, parser, &mut batch);
        }
        own.iter().for_each(|payload| batch.push(payload));
        batch.into_frame()
    }

    /// Tells the end. Who asks again is told again.
    fn last(&self, reason: CloseReason) -> Next {
        let frame = self.wrapping.wrap(&frame::close(&reason));
        self.sessions.bury(&self.key, self.carrier.session(), reason, self.delay);
        Next::Last(frame)
    }

    /// The client has what was said, and will ask for more.
    pub(crate) fn park(self) {
        // Not less than the sweep that looks for those who do not come.
        self.carrier.park(self.delay.max(Duration::from_millis(10)));
    }

    /// The client has been told the end.
    pub(crate) fn finish(self) {
        self.carrier.finish();
    }
}

/// Delivers what a decision that has just been told lets in.
fn deliver_ready(link: &Link, session: &Arc<Session>) {
    link.told();
    if !link.face().has_ready() {
        return;
    }
    let session = Arc::clone(session);
    tokio::spawn(async move {
        let Some(link) = Link::of(&session) else { return };
        let _turn = link.turn().await;
        let deadline = Instant::now() + session.limits().body_timeout;
        // What finds no room in time waits for the next POST.
        if let Err(error) = link.deliver_ready(&session, deadline).await {
            tracing::debug!(spark = %session.id(), %error, "not delivered");
        }
    });
}
