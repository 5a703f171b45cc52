//! The end of a session that faces the network.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Resume, Session, Turn, Wire,
    outbox::{Carried, Life, Outbox, Place},
    sync::MutexGuard,
};
use crate::{close::CloseReason, metrics::Meters, packet::Outgoing};

mod incoming;

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
    /// As [`Work::End`]. In a box: it is rarely there, and would be moved each time.
    pub end: Option<Box<CloseReason>>,
    /// As [`Work::Gone`], and why.
    pub gone: Option<Box<CloseReason>>,
    /// Nothing is left; the task is woken for what comes, as if it had been asked for in vain.
    pub drained: bool,
}

/// How a carrier carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carriage {
    /// Its task also polls the handler: it calls [`Carrier::begin_turn`] and [`Turn::run`].
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

/// Attaches one connection to a session. Dropping it detaches the session: it waits for its client,
/// or ends, if its client cannot come back.
pub struct Carrier {
    session: Arc<Session>,
    meters: Arc<Meters>,
    generation: u64,
    /// The number of the next message from the client; 0: what comes is dropped until it says.
    expected: u64,
    /// Bytes of messages received and not acknowledged yet.
    untold_bytes: u32,
    /// How many they are.
    untold: u16,
    done: bool,
}

impl Carrier {
    pub(super) fn new(
        session: Arc<Session>,
        generation: u64,
        transport: &'static str,
        expected: u64,
    ) -> Self {
        let meters = session.mount.meters(transport);
        Self { session, meters, generation, expected, untold_bytes: 0, untold: 0, done: false }
    }

    /// The session that is carried.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Which attach of the session this is, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Lends the session what writes without this carrier's task, for as long as it is carried by this
    /// carrier.
    pub fn lend(&self, wire: Arc<dyn Wire>) {
        let mut outbox = self.session.outbox();
        if outbox.is_carried_by(self.generation)
            && let Place::Carried(carried) = &mut outbox.place
        {
            carried.wire = Some(wire);
        }
    }

    /// The same client goes on by another connection, to which this carrier belongs from now on: a transport
    /// switch within one protocol, without an attach. What was lent is given back.
    pub fn change(&mut self, carriage: Carriage) {
        let session = &self.session;
        let mut outbox = session.outbox();
        if !outbox.is_carried_by(self.generation) {
            return; // which the next take tells
        }
        outbox.blocked = false;
        let carried = Carried { drives: carriage.drives, ..Carried::default() };
        outbox.place = Place::Carried(carried);
        session.heartbeat.store(carriage.heartbeat, Ordering::Relaxed);
        session.answers.store(carriage.answers, Ordering::Relaxed);
        session.paused.store(false, Ordering::Relaxed);
        drop(outbox);
        session.seen();
        session.reschedule();
    }

    /// Takes what is to be written: messages of up to `budget` bytes together, at least one.
    /// `each` runs under the outbox's lock and must not touch the session.
    pub fn poll_take(
        &self,
        cx: &mut Context<'_>,
        budget: usize,
        mut each: impl FnMut(&Outgoing),
    ) -> Poll<Taken> {
        let mut taken = Taken::default();
        let session = &self.session;
        let mut outbox = session.outbox_alone();
        if !outbox.is_carried_by(self.generation) {
            session.put_down_written(&mut outbox);
            taken.gone = Some(Box::new(self.leave(outbox)));
            return Poll::Ready(taken);
        }
        outbox.blocked = false;
        taken.ping = std::mem::take(&mut outbox.ping);
        let keep = (session.resume != Resume::Never).then(|| session.limits().caps());
        // No more at once than is kept, so that none of it makes room for the rest.
        let most = keep.map_or(u64::MAX, |caps| caps.messages.max(1) as u64);
        let (mut count, mut bytes) = session.drain_written(&mut outbox, budget, &mut each);
        if count == 0 && keep.is_none() && outbox.ring.bytes() + outbox.ring.len() <= budget {
            (count, bytes) = outbox.ring.drain(&mut each);
        }
        while bytes < budget
            && count < most
            && let Some(size) = outbox.ring.take(keep, |outgoing| {
                each(outgoing);
                outgoing.envelope().len()
            })
        {
            bytes += size.max(1);
            count += 1;
        }
        let mut first = false;
        if outbox.ring.is_drained() {
            if let Life::Ending(end) = &outbox.life {
                taken.end = Some(Box::new(end.reason.clone()));
            } else if let Place::Carried(carried) = &mut outbox.place {
                taken.drained = true;
                session.leave_untouched(self.generation);
                first = carried.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker()));
                match &mut carried.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => carried.waker = Some(cx.waker().clone()),
                }
            }
        }
        let eased = count > 0
            && !outbox.waiting.is_empty()
            && !outbox.is_pressured(session.resume, session.limits());
        let waiting = outbox.waiting.take_if(eased);
        drop(outbox);
        if first && session.is_woken() {
            // The handler was woken when there was no waker yet to pass that on to, or another one.
            cx.waker().wake_by_ref();
        }
        if count == 0 && !taken.ping && taken.end.is_none() {
            return Poll::Pending;
        }
        self.meters.sent(count, bytes);
        waiting.wake();
        Poll::Ready(taken)
    }

    /// In a turn, the same of what has been written in it, where nobody else has had the outbox since it was found empty:
    /// without its lock. Who has it later wakes the task.
    #[inline]
    pub(super) fn take_at_hand(
        &self,
        budget: usize,
        each: impl FnMut(&Outgoing),
    ) -> Option<Poll<Taken>> {
        let (count, bytes) = self.session.drain_untouched(budget, each)?;
        if count == 0 {
            return Some(Poll::Pending);
        }
        self.meters.sent(count, bytes);
        Some(Poll::Ready(Taken { drained: true, ..Taken::default() }))
    }

    /// Its task is woken by another waker from now on.
    pub fn moved(&self) {
        drop(self.session.outbox()); // so that it is looked at, and the waker left there
    }

    /// Why this is not the carrier any more.
    fn leave(&self, outbox: MutexGuard<'_, Outbox>) -> CloseReason {
        let reason = outbox.why_gone(self.generation);
        // In a turn of ours messages may have come for the one that is there now.
        let current = outbox.carrier().filter(|_| !outbox.ring.is_drained()).cloned();
        drop(outbox);
        current.into_iter().for_each(Waker::wake);
        reason
    }

    /// The connection takes no more at the moment: volatile messages are dropped until the next
    /// [`poll_take`](Self::poll_take).
    pub fn blocked(&self) {
        let mut outbox = self.session.outbox();
        if outbox.is_carried_by(self.generation) {
            outbox.blocked = true;
        }
    }

    /// For a carrier that takes nothing now, because it has been told the end or its connection is
    /// full: wakes the task when the session is cut or goes on elsewhere. Ready with the reason if
    /// it has.
    pub fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut outbox = self.session.outbox();
        if !outbox.is_carried_by(self.generation) {
            return Poll::Ready(self.leave(outbox));
        }
        if let Place::Carried(carried) = &mut outbox.place {
            carried.waker = Some(cx.waker().clone());
        }
        drop(outbox);
        if self.session.is_woken() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The next thing to do, one at a time.
    pub fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Work> {
        let mut message = None;
        let taken =
            std::task::ready!(self.poll_take(cx, 1, |outgoing| message = Some(outgoing.clone())));
        if taken.ping && message.is_some() {
            // One thing at a time: the ping comes with the next call.
            self.session.outbox().ping = true;
        }
        Poll::Ready(match (message, taken) {
            (Some(message), _) => Work::Message(message),
            (None, Taken { gone: Some(_), .. }) => Work::Gone,
            (None, Taken { ping: true, .. }) => Work::Ping,
            (None, Taken { end: Some(reason), .. }) => Work::End(*reason),
            (None, _) => Work::Gone,
        })
    }

    /// The next thing to do. Safe to drop: nothing is lost while it waits.
    pub async fn work(&mut self) -> Work {
        poll_fn(|cx| self.poll_work(cx)).await
    }

    /// Begins a turn, in which messages are delivered by it, the handler is run and what that writes is taken.
    #[inline]
    pub fn begin_turn(&mut self) -> Turn<'_> {
        Turn::begin(self)
    }

    /// Polls the handler if it has something to do, outside of a turn. Call [`poll_take`](Self::poll_take) after it.
    pub fn run(&self) {
        self.session.run();
    }

    /// Ends the session, unless another carrier has it: what its peer wants or does is nothing to
    /// the client that is there now.
    pub fn end(&self, reason: CloseReason) {
        self.session.end_by(self.generation, reason);
    }

    /// The peer has answered the end, so it has everything that was written before it.
    pub fn answered(&self) {
        let mut outbox = self.session.outbox();
        if outbox.is_carried_by(self.generation) {
            let written = outbox.ring.next() - 1;
            let _ = outbox.ring.ack(written);
        }
    }

    /// The end has reached the peer: the session is over, in good order.
    pub fn finish(mut self) {
        self.done = true;
        let reason = self.session.close_reason().unwrap_or(CloseReason::ENDED);
        self.session.close(self.generation, reason, true);
    }

    /// The connection is gone, and this is why. The session is detached.
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
        if outbox.is_carried_by(self.generation) {
            outbox.place = Place::Parked { since: Instant::now(), patience };
        }
    }
}

impl Session {
    /// The client has ended the session, by a request beside its carrier of `generation`: it is
    /// over at once, wherever that carrier is.
    pub fn left(self: &Arc<Self>, generation: u64) {
        let reason = self.close_reason().unwrap_or(CloseReason::NORMAL);
        self.close(generation, reason, true);
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier")
            .field("session", &self.session)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if !self.done {
            self.session.detach(self.generation, CloseReason::GOING_AWAY);
        }
    }
}
