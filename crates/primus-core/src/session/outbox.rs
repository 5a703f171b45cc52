//! What is on its way to one client, and who writes it.
//!
//! One ring under one lock, with the carrier's waker beside it. Empty, it holds no heap.

use std::{fmt, sync::Arc, task::Waker, time::Duration};

use tokio::time::Instant;

use super::{Wire, wakers::Wakers};
use crate::{
    close::CloseReason,
    id::Secret,
    metrics::Meters,
    packet::{Delivery, Outgoing},
    resume::{Claim, Entry, Ring},
    settings::{Limits, Overflow},
};

/// Where a session is in its life.
#[derive(Debug, Clone)]
pub(super) enum Life {
    Open,
    /// What is queued is written, then the reason; cut when that takes too long.
    Ending(Box<End>),
    Ended(Box<End>),
}

/// How it ends.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) reason: CloseReason,
    /// When it began.
    pub(super) since: Instant,
    /// What the client is not known to have.
    undelivered: Vec<Outgoing>,
}

impl End {
    pub(super) fn new(reason: CloseReason) -> Self {
        Self { reason, since: Instant::now(), undelivered: Vec::new() }
    }
}

impl Life {
    /// It is over, for this reason.
    pub(super) fn over(&mut self, reason: CloseReason) {
        *self = Self::Ended(match std::mem::replace(self, Self::Open) {
            Self::Open => Box::new(End::new(reason)),
            Self::Ending(end) | Self::Ended(end) => Box::new(End { reason, ..*end }),
        });
    }
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
#[repr(C)] // so that it begins with what each message looks at
pub(super) struct Outbox {
    pub(super) place: Place,
    pub(super) life: Life,
    pub(super) ring: Ring,
    /// Who attached last; a carrier of an older generation can neither take nor park.
    pub(super) claim: Claim,
    /// Tasks that wait for room or for the end.
    pub(super) waiting: Wakers,
    /// The carrier cannot write at the moment.
    pub(super) blocked: bool,
    /// The heartbeat wants a ping written.
    pub(super) ping: bool,
    /// Whether `connected()` counts it.
    pub(super) counted: bool,
    /// Messages that had to make room and are not counted yet.
    pub(super) displaced: u32,
    /// Of the transformer of the carrier, or of the last one.
    pub(super) meters: Arc<Meters>,
    /// By which requests of an HTTP carrier find it.
    pub(super) token: Option<Box<Secret>>,
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
    pub(super) fn new(meters: Arc<Meters>) -> Self {
        Self {
            ring: Ring::default(),
            life: Life::Open,
            place: Place::Nowhere,
            claim: Claim::default(),
            meters,
            token: None,
            counted: false,
            blocked: false,
            displaced: 0,
            ping: false,
            waiting: Wakers::default(),
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
            (Life::Ended(end), _) => end.reason.clone(),
            (_, Place::Detached { reason, .. }) if self.claim.generation == generation => {
                (**reason).clone()
            }
            _ => CloseReason::REPLACED,
        }
    }

    /// Whether a message can be appended without a look at anything else: it has a carrier, and below the
    /// soft mark there is room.
    #[inline]
    pub(super) fn has_room(
        &self,
        outgoing: &Outgoing,
        delivery: &Delivery,
        resume: Resume,
        limits: &Limits,
    ) -> bool {
        let size = outgoing.envelope().len();
        matches!(self.life, Life::Open)
            && matches!(self.place, Place::Carried(_))
            && matches!(delivery, Delivery::Reliable)
            && match resume {
                Resume::Acknowledged => {
                    self.ring.bytes() + size <= limits.pressure.min(limits.resume_bytes)
                        && self.ring.len() + 1 < limits.resume_messages
                }
                Resume::Never | Resume::Feed => self.ring.waiting_bytes() + size <= limits.pressure,
            }
    }

    /// Appends. True: the carrier has to be told.
    #[inline]
    pub(super) fn append(&mut self, entry: Entry, resume: Resume) -> bool {
        let wake = self.ring.is_drained();
        let alone = self.ring.len() == 0 && matches!(entry.outgoing, Outgoing::Shared(_));
        if resume == Resume::Never && !alone {
            self.ring.borrow(); // until it is written
        }
        self.ring.push(entry);
        wake
    }

    /// Puts what was written earlier in front of all that waits.
    #[inline]
    pub(super) fn prepend(&mut self, earlier: impl DoubleEndedIterator<Item = Outgoing>) {
        self.ring.borrow(); // until it is written
        let entry = |outgoing| Entry { outgoing, delivery: Delivery::Reliable };
        self.ring.prepend(earlier.map(entry));
        if self.is_ended() {
            self.clear(); // as what was in it at the end
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
        let wake = self.append(entry, resume);
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

    /// For one that ends: keeps what is left for whoever asks what is not known to have arrived.
    pub(super) fn clear(&mut self) {
        let left = self.ring.clear();
        if let Life::Ending(end) | Life::Ended(end) = &mut self.life {
            end.undelivered.extend(left);
        }
    }

    /// What the client is not known to have.
    pub(super) fn undelivered(&self) -> &[Outgoing] {
        match &self.life {
            Life::Open => &[],
            Life::Ending(end) | Life::Ended(end) => &end.undelivered,
        }
    }

    /// Nobody asks any more.
    pub(super) fn forget_undelivered(&mut self) {
        if let Life::Ending(end) | Life::Ended(end) = &mut self.life {
            end.undelivered = Vec::new();
        }
    }

    /// The transformer of the carrier, or of the last one.
    pub(super) fn transport(&self) -> &'static str {
        self.meters.transport()
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
        matches!(&self.life, Life::Ending(end) if now.duration_since(end.since) > limit)
    }
}
