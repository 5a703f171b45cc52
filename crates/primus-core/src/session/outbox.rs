//! What is on its way to one client, and who writes it.
//!
//! One ring under one lock, with the carrier's waker beside it. Empty, it holds no heap.

use std::{fmt, sync::Arc, task::Waker, time::Duration};

use tokio::time::Instant;

use super::{Wire, wakers::Wakers};
use crate::{
    close::CloseReason,
    packet::{Delivery, Outgoing},
    resume::{Claim, Entry, Ring},
    settings::{Limits, Overflow},
};

/// Where a session is in its life.
#[derive(Debug, Clone)]
pub(super) enum Life {
    Open,
    /// What is queued is written, then the reason; cut when that takes too long.
    Ending(Box<CloseReason>, Instant),
    Ended(Box<CloseReason>),
}

/// Who carries the session.
#[derive(Debug)]
pub(super) enum Place {
    /// Nobody: it has not been attached yet, or has ended.
    Nowhere,
    Carried(Carried),
    /// Between two polls.
    Parked {
        since: Instant,
        patience: Duration,
    },
    /// Nobody since then, for this reason; its client may come back.
    Detached {
        since: Instant,
        reason: Box<CloseReason>,
        /// What it has been charged for, among all that are detached.
        charged: usize,
    },
}

/// A carrier that is there.
#[derive(Default)]
pub(super) struct Carried {
    /// Wakes its task.
    pub(super) waker: Option<Waker>,
    /// Its task polls the handler, too.
    pub(super) drives: bool,
    /// Writes without its task.
    pub(super) wire: Option<Arc<dyn Wire>>,
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("drives", &self.drives).finish_non_exhaustive()
    }
}

/// What a session keeps for a client that may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resume {
    /// Nothing: when its carrier is lost, it ends.
    #[default]
    Never,
    /// What the client has not acknowledged.
    Acknowledged,
    /// The last messages: the client says what it has only when it comes back.
    Feed,
}

#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) ring: Ring,
    pub(super) life: Life,
    pub(super) place: Place,
    /// Who attached last; a carrier of an older generation can neither take nor park.
    pub(super) claim: Claim,
    /// The transformer of the carrier, or of the last one.
    pub(super) transport: &'static str,
    /// Whether `connected()` counts it.
    pub(super) counted: bool,
    /// The carrier cannot write at the moment.
    pub(super) blocked: bool,
    /// Messages that had to make room and are not counted yet.
    pub(super) displaced: u32,
    /// The heartbeat wants a ping written.
    pub(super) ping: bool,
    /// Tasks that wait for room or for the end.
    pub(super) waiting: Wakers,
    /// What the client is not known to have, once the session is over.
    pub(super) undelivered: Option<Box<[Outgoing]>>,
}

/// What became of a push.
pub(super) enum Pushed {
    /// It waits. `wake`: the carrier has to be told.
    Queued {
        wake: bool,
    },
    /// As queued, and more waits than is good.
    Pressured {
        wake: bool,
    },
    Dropped,
    /// There is no room; by the policy the session ends.
    Overflowed(Outgoing),
    Ended(Outgoing),
}

impl Outbox {
    pub(super) fn new(transport: &'static str) -> Self {
        Self {
            ring: Ring::default(),
            life: Life::Open,
            place: Place::Nowhere,
            claim: Claim::default(),
            transport,
            counted: false,
            blocked: false,
            displaced: 0,
            ping: false,
            waiting: Wakers::default(),
            undelivered: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.life, Life::Open)
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.life, Life::Ended(_))
    }

    pub(super) fn is_detached(&self) -> bool {
        matches!(self.place, Place::Detached { .. })
    }

    /// Whether the carrier of `generation` is the one.
    pub(super) fn is_carried_by(&self, generation: u64) -> bool {
        self.claim.generation == generation
            && !self.is_ended()
            && matches!(self.place, Place::Carried(_))
    }

    /// Why a carrier that is not the one any more had to go.
    pub(super) fn why_gone(&self, generation: u64) -> CloseReason {
        match (&self.life, &self.place) {
            (Life::Ended(reason), _) => (**reason).clone(),
            (_, Place::Detached { reason, .. }) if self.claim.generation == generation => {
                (**reason).clone()
            }
            _ => CloseReason::REPLACED,
        }
    }

    /// Appends, within the marks.
    pub(super) fn push(&mut self, entry: Entry, resume: Resume, limits: &Limits) -> Pushed {
        if !self.is_open() {
            return Pushed::Ended(entry.outgoing);
        }
        match &entry.delivery {
            Delivery::Volatile if self.must_wait(limits) => return Pushed::Dropped,
            Delivery::Latest(key) => {
                let freed = self.ring.conflate(key);
                self.charge(0, freed);
            }
            _ => {}
        }
        if self.is_detached() {
            // There is room for one of the maximum size behind what is within the caps.
            let caps = limits.caps();
            while self.ring.len() >= caps.messages || self.ring.bytes() > caps.bytes {
                // A feed does not say what it has: what was written makes room for what was not.
                let freed = (resume == Resume::Feed).then(|| self.ring.forget_written()).flatten();
                let Some(freed) = freed else { return Pushed::Overflowed(entry.outgoing) };
                self.charge(0, freed);
            }
            let cost = self.ring.push(entry);
            self.charge(cost, 0);
            return Pushed::Queued { wake: false };
        }
        let size = entry.outgoing.envelope().len();
        // The message that is the next to be written does not count, and there is room for one of
        // the maximum size behind it, also for a writer that stops only at the soft mark.
        let most = limits.max_queued.max(limits.pressure.saturating_add(limits.max_message));
        if !self.ring.is_drained() && self.ring.waiting_behind() + size > most {
            match limits.overflow {
                Overflow::Disconnect => return Pushed::Overflowed(entry.outgoing),
                Overflow::DropNewest => return Pushed::Dropped,
                Overflow::DropOldest => {
                    while self.ring.waiting_behind() + size > most && self.ring.drop_waiting() {
                        self.displaced += 1;
                    }
                }
            }
        }
        let wake = self.ring.is_drained();
        if resume == Resume::Never {
            self.ring.borrow(); // until it is written
        }
        self.ring.push(entry);
        if !self.is_pressured(resume, limits) {
            return Pushed::Queued { wake };
        }
        // The client may have acknowledged too little to get us out of this by itself.
        let ask = resume == Resume::Acknowledged && !std::mem::replace(&mut self.ping, true);
        Pushed::Pressured { wake: wake || ask }
    }

    /// What it has been charged for, while it is detached.
    pub(super) fn charged(&self) -> usize {
        match self.place {
            Place::Detached { charged, .. } => charged,
            _ => 0,
        }
    }

    /// It keeps more, or less, if it is detached.
    fn charge(&mut self, more: usize, less: usize) {
        if let Place::Detached { charged, .. } = &mut self.place {
            *charged = *charged + more - less;
        }
    }

    /// Whether a message could not leave at once.
    fn must_wait(&self, limits: &Limits) -> bool {
        !matches!(self.place, Place::Carried(_))
            || self.blocked
            || self.ring.waiting_bytes() > limits.pressure
    }

    /// Whether a writer had better wait.
    pub(super) fn is_pressured(&self, resume: Resume, limits: &Limits) -> bool {
        match resume {
            Resume::Acknowledged => {
                self.ring.bytes() > limits.pressure.min(limits.resume_bytes)
                    || self.ring.len() >= limits.resume_messages
            }
            Resume::Never | Resume::Feed => self.ring.waiting_bytes() > limits.pressure,
        }
    }

    /// Keeps what is left for whoever asks what is not known to have arrived.
    pub(super) fn clear(&mut self) {
        let left = self.ring.clear();
        if left.len() > 0 {
            let before = self.undelivered.take().unwrap_or_default();
            self.undelivered = Some(before.into_iter().chain(left).collect());
        }
    }

    /// The waker of the carrier, if one waits. It stays registered.
    pub(super) fn carrier(&self) -> Option<&Waker> {
        match &self.place {
            Place::Carried(carried) => carried.waker.as_ref(),
            _ => None,
        }
    }

    /// What writes without its task.
    pub(super) fn wire(&self) -> Option<&Arc<dyn Wire>> {
        match &self.place {
            Place::Carried(carried) => carried.wire.as_ref(),
            _ => None,
        }
    }

    /// Whether the end has taken longer than it may.
    pub(super) fn overdue(&self, now: Instant, limit: Duration) -> bool {
        matches!(self.life, Life::Ending(_, since) if now.duration_since(since) > limit)
    }
}
