//! A session without a carrier: it waits for its client, counted and bounded.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicIsize, Ordering},
    },
    task::Waker,
};

use tokio::time::Instant;

use super::{
    Session,
    notices::Notice,
    outbox::{Life, Place},
};
use crate::{close::CloseReason, resume::Grave};

/// All sessions that wait for their clients, the one that has waited longest first.
#[derive(Default)]
pub(crate) struct Waiting {
    sessions: Mutex<VecDeque<(Weak<Session>, u64)>>,
    bytes: AtomicIsize,
}

impl Waiting {
    /// Bytes that are kept for detached sessions.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// One of them keeps `now` bytes, and kept `before`.
    pub(crate) fn charge(&self, before: usize, now: usize) {
        self.bytes.fetch_add(now as isize - before as isize, Ordering::Relaxed);
    }

    fn enter(&self, session: &Arc<Session>, generation: u64) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push_back((Arc::downgrade(session), generation));
    }

    /// Gives up who has waited longest, until what is kept is within `budget` together with the
    /// `others` bytes that are kept elsewhere.
    pub(crate) fn relieve(&self, others: usize, budget: usize) {
        while self.bytes() > 0 && self.bytes().saturating_add(others) > budget {
            let oldest = {
                let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.pop_front()
            };
            let Some((session, generation)) = oldest else { return };
            if let Some(session) = session.upgrade()
                && session.waits_since(generation)
            {
                tracing::debug!(spark = %session.id(), "given up: resume_budget is used up");
                session.give_up(generation, CloseReason::GOING_AWAY, Grave::Expired);
            }
        }
    }

    /// Forgets those that wait no more.
    pub(crate) fn tidy(&self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|(session, generation)| {
            session.upgrade().is_some_and(|session| session.waits_since(*generation))
        });
        if sessions.is_empty() {
            *sessions = VecDeque::new();
        }
    }
}

impl Session {
    /// The carrier of `generation` is gone. The session waits for its client if it can, else it ends.
    pub(super) fn detach(self: &Arc<Self>, generation: u64, reason: CloseReason) {
        let end = self.close_reason();
        if end == Some(CloseReason::TOO_SLOW) {
            // There is nothing left to come back for but the news.
            self.give_up(generation, reason, Grave::Overflow);
            return;
        }
        // Who wanted the end, or caused it, or is told that of the whole server, comes not back.
        let final_end = end.is_some_and(|end| {
            end == CloseReason::NORMAL || end.blames_peer() || self.mount.phase().draining
        });
        if !self.is_resumable() || final_end {
            let reason = match &self.outbox().life {
                Life::Ending(end) => end.reason.clone(),
                _ => reason,
            };
            self.close(generation, reason, false);
            return;
        }
        let shared = &self.mount.shared;
        let (carrier, eased) = {
            let mut outbox = self.outbox();
            if outbox.is_ended()
                || outbox.claim.generation != generation
                || !matches!(outbox.place, Place::Carried(_) | Place::Parked { .. })
            {
                return;
            }
            let dropped = outbox.ring.drop_volatile();
            outbox.displaced += u32::try_from(dropped).unwrap_or(u32::MAX);
            let charged = outbox.ring.cost();
            let (since, told) = (Instant::now(), Box::new(reason.clone()));
            let place = Place::Detached { since, reason: told, charged };
            let carrier = match std::mem::replace(&mut outbox.place, place) {
                Place::Carried(carried) => carried.waker,
                _ => None,
            };
            outbox.blocked = false;
            outbox.ping = false;
            // Under the lock, so that it is not refunded before it was charged, and no resume is
            // told before it.
            shared.detached.charge(0, charged);
            self.notify(Notice::Detached(reason.clone()));
            let eased = dropped > 0 && !outbox.is_pressured(self.resume, self.limits());
            (carrier, outbox.waiting.take_if(eased))
        };
        shared.detached.enter(self, generation);
        tracing::debug!(spark = %self.id(), %reason, "detached");
        // A carrier that did not know it yet learns it now.
        carrier.into_iter().for_each(Waker::wake);
        eased.wake();
        self.reschedule();
        shared.relieve();
    }

    /// Whether it has been without a carrier ever since that of `generation` was lost.
    fn waits_since(&self, generation: u64) -> bool {
        let outbox = self.outbox();
        outbox.is_detached() && outbox.claim.generation == generation && !outbox.is_ended()
    }

    /// It has left this place: if it waited there, it does so no more. Called under the lock of the outbox.
    pub(super) fn refund(&self, was: &Place) {
        if let Place::Detached { charged, .. } = was {
            self.mount.shared.detached.charge(*charged, 0);
        }
    }

    /// More was written than is kept. A client that is there is told so; one that is away will be.
    pub(crate) fn overflowed(self: &Arc<Self>) {
        self.meters().dropped("disconnect");
        let (detached, generation) = {
            let outbox = self.outbox();
            (outbox.is_detached(), outbox.claim.generation)
        };
        if !detached || !self.give_up(generation, CloseReason::TOO_SLOW, Grave::Overflow) {
            // What it is told may get lost, and it comes back to ask.
            if self.is_resumable() {
                self.mount.bury(self, Grave::Overflow);
            }
            self.end_at_once(CloseReason::TOO_SLOW);
        }
    }

    /// Ends a session that cannot wait any longer, and remembers why. False if another carrier than
    /// that of `generation` has it by now: then it goes on.
    pub(crate) fn give_up(
        self: &Arc<Self>,
        generation: u64,
        reason: CloseReason,
        grave: Grave,
    ) -> bool {
        let reason = match &self.outbox().life {
            Life::Ending(end) => end.reason.clone(),
            _ => reason,
        };
        self.mount.bury(self, grave);
        self.close(generation, reason, false)
    }
}
