//! What the requests of one session share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytestring::ByteString;
use primus_core::{DeliverError, Payload, Session};
use primus_http::post;
use primus_websocket::Incoming;
use tokio::time::Instant;

use crate::{
    face::Face,
    sessions::{Key, Sessions},
};

/// Kept with a session as its extension.
pub(crate) struct Link {
    face: Mutex<Face>,
    answers: Mutex<Answers>,
    /// One request delivers at a time, so that order is kept.
    turn: tokio::sync::Mutex<()>,
    /// Where its client finds it.
    place: (Arc<Sessions>, Key),
}

impl Drop for Link {
    fn drop(&mut self) {
        self.place.0.forget(&self.place.1);
    }
}

/// What the protocol itself has to say, by the next receiver.
#[derive(Default)]
struct Answers {
    owed: Vec<Payload>,
    receiver: Option<Waker>,
    /// The messages that tell the end have been said.
    ended: bool,
}

/// Answers that wait for a receiver; of a flood of questions the last ones count.
const MOST_ANSWERS: usize = 16;

impl Link {
    pub(crate) fn new(face: Face, place: (Arc<Sessions>, Key)) -> Self {
        Self { face: Mutex::new(face), answers: Mutex::default(), turn: Default::default(), place }
    }

    /// That of a session of ours.
    pub(crate) fn of(session: &Session) -> Option<&Self> {
        session.extension()
    }

    pub(crate) fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else delivers.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Hands over what the client sent, in a [`turn`](Self::turn), waiting for room until the deadline.
    pub(crate) async fn deliver(
        &self,
        session: &Arc<Session>,
        deadline: Instant,
        text: ByteString,
    ) -> Result<(), DeliverError> {
        self.deliver_ready(session, deadline).await?;
        let read = self.face().read(text, session);
        match read {
            Incoming::Message(message) => post::deliver(session, deadline, message).await,
            Incoming::Answer(answer) => {
                self.owe(answer);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What had to wait for a decision.
    pub(crate) async fn deliver_ready(
        &self,
        session: &Arc<Session>,
        deadline: Instant,
    ) -> Result<(), DeliverError> {
        loop {
            let ready = self.face().pop_ready();
            let Some(ready) = ready else { return Ok(()) };
            post::deliver(session, deadline, ready).await?;
        }
    }

    fn owe(&self, answer: Payload) {
        let receiver = {
            let mut answers = self.answers();
            if answers.owed.len() == MOST_ANSWERS {
                answers.owed.remove(0);
            }
            answers.owed.push(answer);
            answers.receiver.take()
        };
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// The answers that a receiver has to say. Pending as long as there is none.
    pub(crate) fn poll_answers(&self, cx: &mut Context<'_>) -> Poll<Vec<Payload>> {
        let mut answers = self.answers();
        if !answers.owed.is_empty() {
            return Poll::Ready(std::mem::take(&mut answers.owed));
        }
        match &mut answers.receiver {
            Some(receiver) => receiver.clone_from(cx.waker()),
            None => answers.receiver = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// True once.
    pub(crate) fn begin_end(&self) -> bool {
        !std::mem::replace(&mut self.answers().ended, true)
    }
}
