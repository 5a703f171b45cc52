//! What a client is told: arrays, by the newest back channel.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use primus_core::{Carrier, Session, Taken, classic::Sink as _};

use super::{Link, Talk, hear::deliver_ready};

/// Bytes in one chunk; the array that passes it is the last.
pub(crate) const BUDGET: usize = 10 << 10;
const NOOP: &str = "[\"noop\"]";
const STOP: &str = "[\"stop\"]";

/// What a back channel says next.
pub(crate) enum Next {
    /// The number of the first array, and the arrays.
    Arrays(u64, Vec<Bytes>),
    /// Another back channel has taken its place, or the session is over.
    Gone,
}

impl Link {
    /// A new back channel begins, which says everything again that is not acknowledged.
    pub(crate) fn begin(&self, carrier: &Carrier) {
        let mut talk = self.talk();
        if talk.generation < carrier.generation() {
            talk.generation = carrier.generation();
            talk.open = true;
            talk.arrays.rewind();
        }
    }

    /// The back channel of that generation is gone.
    pub(crate) fn closed(&self, generation: u64) {
        let mut talk = self.talk();
        if talk.generation == generation {
            talk.open = false;
            talk.owed.leave();
        }
    }

    /// Takes what there is to say, or waits for it.
    pub(crate) fn poll_next(&self, carrier: &mut Carrier, cx: &mut Context<'_>) -> Poll<Next> {
        let session = Arc::clone(carrier.session());
        let parser = &*session.mount().settings().parser;
        let (next, ready) = {
            let mut talk = self.talk();
            if talk.generation != carrier.generation() {
                return Poll::Ready(Next::Gone);
            }
            if let Some((first, values)) = talk.arrays.again(BUDGET) {
                return Poll::Ready(Next::Arrays(first, values));
            }
            let first = talk.arrays.next();
            let mut face = self.face();
            let mut said = Vec::new();
            let mut bytes = 0;
            let gone = loop {
                if bytes >= BUDGET || talk.ended || self.is_full(&talk, &session) {
                    break false;
                }
                let mut all = face.said();
                if let Poll::Ready(answers) = talk.owed.poll(cx) {
                    answers.iter().for_each(|answer| all.push(answer));
                }
                let mut message = None;
                // One at a time: each message has arrays of its own.
                let taken =
                    match carrier.poll_take(cx, 1, |outgoing| message = Some(outgoing.clone())) {
                        Poll::Pending if all.all.is_empty() => {
                            break false;
                        }
                        Poll::Pending => Taken::default(),
                        Poll::Ready(taken) => taken,
                    };
                if taken.gone.is_some() && all.all.is_empty() {
                    break true;
                }
                if let Some(message) = &message {
                    face.write(message, parser, &mut all);
                }
                if taken.ping
                    && let Some(ping) = face.ping(parser)
                {
                    all.push(&ping);
                }
                if let Some(reason) = &taken.end {
                    if let Some(end) = face.end(parser, reason) {
                        all.push(&end);
                    }
                    // Who is to come back is not told to stop.
                    if !reason.reconnects() {
                        all.all.push(Bytes::from_static(STOP.as_bytes()));
                    }
                    talk.ended = true;
                }
                for value in all.all {
                    bytes += value.len().max(1);
                    talk.arrays.say(value.clone());
                    said.push(value);
                }
                if message.is_some() {
                    talk.arrays.said_message();
                }
            };
            let next = match said.is_empty() {
                false => Poll::Ready(Next::Arrays(first, said)),
                true if gone => Poll::Ready(Next::Gone),
                true => Poll::Pending,
            };
            (next, face.has_ready())
        };
        if ready {
            deliver_ready(&session);
        }
        self.decided.notify_waiters();
        next
    }

    /// So much is not acknowledged that the client had better ask anew, which says what it has.
    pub(crate) fn wants_ack(&self, session: &Session) -> bool {
        self.is_full(&self.talk(), session)
    }

    fn is_full(&self, talk: &Talk, session: &Session) -> bool {
        let limits = session.limits();
        talk.arrays.bytes() > limits.resume_bytes || talk.arrays.len() >= limits.resume_messages
    }

    /// Whether everything has been said, the end included.
    pub(crate) fn has_ended(&self) -> bool {
        let talk = self.talk();
        talk.ended && talk.arrays.is_said()
    }

    /// A sign of the server's life, by the back channel of that generation.
    pub(crate) fn noop(&self, generation: u64) -> Option<(u64, Bytes)> {
        let mut talk = self.talk();
        if talk.generation != generation || talk.ended {
            return None;
        }
        let (id, noop) = (talk.arrays.next(), Bytes::from_static(NOOP.as_bytes()));
        talk.arrays.say(noop.clone());
        Some((id, noop))
    }

    /// What the client is not known to have.
    pub(crate) fn rest(&self) -> (u64, Vec<Bytes>) {
        let mut talk = self.talk();
        talk.arrays.rewind();
        talk.arrays.again(usize::MAX).unwrap_or_default()
    }
}
