//! The end of a session that faces the network.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Session,
    outbox::{Life, Place},
};
use crate::{close::CloseReason, packet::Outgoing};

/// What a carrier is told to do next.
#[derive(Debug)]
pub enum Work {
    /// Write this message.
    Message(Outgoing),
    /// Ask the peer for a sign of life, in whatever form this wire has.
    Ping,
    /// Everything has been taken and the session ends: tell the peer why, then call
    /// [`Carrier::finish`].
    End(CloseReason),
    /// The session is over or has another carrier: drop the connection without a word.
    Gone,
}

/// What [`Carrier::poll_take`] found besides messages.
#[derive(Debug, Default)]
pub struct Taken {
    /// A ping is due.
    pub ping: bool,
    /// As [`Work::End`].
    pub end: Option<CloseReason>,
    /// As [`Work::Gone`].
    pub gone: bool,
}

/// How a carrier carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carriage {
    /// Its task also polls the handler: it calls [`Carrier::begin_turn`] and [`Carrier::run`].
    pub drives: bool,
    /// Pings are written while this carrier is there.
    pub heartbeat: bool,
    /// The peer answers pings, so long silence means that it is gone.
    pub answers: bool,
}

impl Carriage {
    /// One long connection whose task drives the handler: a WebSocket.
    pub const DRIVER: Self = Self { drives: true, heartbeat: true, answers: true };
    /// A stream to a client that answers by other requests.
    pub const STREAM: Self = Self { drives: false, heartbeat: true, answers: true };
    /// A stream to a client that cannot answer: pings keep the connection awake, and only its loss
    /// tells that the client is gone.
    pub const FEED: Self = Self { drives: false, heartbeat: true, answers: false };
    /// One held request.
    pub const SILENT: Self = Self { drives: false, heartbeat: false, answers: false };
}

/// Attaches one connection to a session. Dropping it detaches the session, which ends: what is
/// not delivered by then is not delivered.
#[derive(Debug)]
pub struct Carrier {
    session: Arc<Session>,
    generation: u64,
    done: bool,
}

impl Carrier {
    pub(super) fn new(session: Arc<Session>, generation: u64) -> Self {
        Self { session, generation, done: false }
    }

    /// The session that is carried.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Which attach of the session this is, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes what is to be written: messages of up to `budget` bytes together, at least one.
    /// `each` runs under the outbox's lock and must not touch the session.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        mut each: impl FnMut(Outgoing),
    ) -> Poll<Taken> {
        let mut taken = Taken::default();
        let mut outbox = self.session.outbox();
        if outbox.generation != self.generation || matches!(outbox.life, Life::Ended(_)) {
            taken.gone = true;
            return Poll::Ready(taken);
        }
        taken.ping = std::mem::take(&mut outbox.ping);
        let (mut count, mut bytes) = (0u64, 0);
        while bytes < budget
            && let Some(outgoing) = outbox.pop()
        {
            bytes += outgoing.payload().len().max(1);
            count += 1;
            each(outgoing);
        }
        if outbox.is_empty()
            && let Life::Ending(reason, _) = &outbox.life
        {
            taken.end = Some(reason.clone());
        }
        if count == 0 && !taken.ping && taken.end.is_none() {
            let mut first = false;
            if let Place::Carried { waker, .. } = &mut outbox.place {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => {
                        first = true;
                        *waker = Some(cx.waker().clone());
                    }
                }
            }
            drop(outbox);
            if first && self.session.is_woken() {
                // The handler was woken when there was no waker yet to pass that on to.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let waiting = if count > 0 && outbox.bytes() <= self.session.limits().pressure {
            std::mem::take(&mut outbox.waiting)
        } else {
            Vec::new()
        };
        drop(outbox);
        self.session.meters().sent(count, bytes);
        for waker in waiting {
            waker.wake();
        }
        Poll::Ready(taken)
    }

    /// For a carrier that has been told the end and waits for the peer: wakes the task when the
    /// session is cut. True if it has been.
    pub fn poll_cut(&mut self, cx: &mut Context<'_>) -> bool {
        let mut outbox = self.session.outbox();
        if outbox.generation != self.generation || matches!(outbox.life, Life::Ended(_)) {
            return true;
        }
        if let Place::Carried { waker, .. } = &mut outbox.place {
            *waker = Some(cx.waker().clone());
        }
        drop(outbox);
        if self.session.is_woken() {
            cx.waker().wake_by_ref();
        }
        false
    }

    /// The next thing to do, one at a time.
    pub fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Work> {
        let mut message = None;
        let taken = std::task::ready!(self.poll_take(cx, 1, |outgoing| message = Some(outgoing)));
        if taken.ping && message.is_some() {
            // One thing at a time: the ping comes with the next call.
            self.session.outbox().ping = true;
        }
        Poll::Ready(match (message, taken) {
            (Some(message), _) => Work::Message(message),
            (None, Taken { gone: true, .. }) => Work::Gone,
            (None, Taken { ping: true, .. }) => Work::Ping,
            (None, Taken { end: Some(reason), .. }) => Work::End(reason),
            (None, _) => Work::Gone,
        })
    }

    /// The next thing to do. Safe to drop: nothing is lost while it waits.
    pub async fn work(&mut self) -> Work {
        poll_fn(|cx| self.poll_work(cx)).await
    }

    /// Says that this task is about to deliver messages and will call [`run`](Self::run) after, so
    /// that the handler's wake-ups need not wake this task.
    pub fn begin_turn(&self) {
        self.session.begin_turn();
    }

    /// Polls the handler if it has something to do, and ends the turn. Call
    /// [`poll_take`](Self::poll_take) after it.
    pub fn run(&self) {
        self.session.run();
        self.session.end_turn();
    }

    /// The end has reached the peer: the session is over, in good order.
    pub fn finish(mut self) {
        self.done = true;
        let reason = self.session.close_reason().unwrap_or(CloseReason::ENDED);
        self.session.close(self.generation, reason, true);
    }

    /// The connection is gone, and this is why.
    pub fn lost(mut self, reason: CloseReason) {
        self.done = true;
        self.session.detach(self.generation, reason);
    }

    /// Lets go without detaching: another request will take the session up by
    /// [`Session::unpark`] with the same generation. A client that gives no sign of life for
    /// `patience` is given up.
    pub fn park(mut self, patience: Duration) {
        self.done = true;
        let mut outbox = self.session.outbox();
        if outbox.generation == self.generation && matches!(outbox.place, Place::Carried { .. }) {
            outbox.place = Place::Parked { since: Instant::now(), patience };
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if !self.done {
            self.session.detach(self.generation, CloseReason::GOING_AWAY);
        }
    }
}
