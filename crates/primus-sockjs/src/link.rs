//! What the requests of one session share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytestring::ByteString;
use primus_core::{DeliverError, Payload, Session};
use primus_http::post::{self, Owed};
use primus_websocket::Incoming;
use tokio::{sync::Notify, time::Instant};

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
    /// Its client has been told of decisions, so that what waits for them may have become less.
    decided: Notify,
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
    owed: Owed,
    /// The messages that tell the end have been said.
    ended: bool,
}

impl Link {
    pub(crate) fn new(face: Face, place: (Arc<Sessions>, Key)) -> Self {
        Self {
            face: Mutex::new(face),
            answers: Mutex::default(),
            turn: Default::default(),
            decided: Notify::new(),
            place,
        }
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
        if !post::deliver_until_room(&self.face, &self.decided, session, deadline).await? {
            return Err(DeliverError::Full(text.into()));
        }
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

    /// What had to wait for a decision, in a [`turn`](Self::turn). What finds no room stays.
    pub(crate) async fn deliver_ready(
        &self,
        session: &Arc<Session>,
        deadline: Instant,
    ) -> Result<(), DeliverError> {
        post::deliver_ready(&self.face, session, deadline).await
    }

    /// Its client has been told something, by which channels may have been opened to it, or closed.
    pub(crate) fn told(&self) {
        self.decided.notify_waiters();
    }

    fn owe(&self, answer: Payload) {
        let receiver = self.answers().owed.owe(answer);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// The answers that a receiver has to say. Pending as long as there is none.
    pub(crate) fn poll_answers(&self, cx: &mut Context<'_>) -> Poll<Vec<Payload>> {
        self.answers().owed.poll(cx)
    }

    /// True once.
    pub(crate) fn begin_end(&self) -> bool {
        !std::mem::replace(&mut self.answers().ended, true)
    }
}
