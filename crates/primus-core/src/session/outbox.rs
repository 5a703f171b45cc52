//! What waits to be written to one client, and who writes it.
//!
//! One deque under one lock, with the carrier's waker beside it. Empty, it holds no heap.

use std::{collections::VecDeque, task::Waker, time::Duration};

use tokio::time::Instant;

use crate::{
    close::CloseReason,
    packet::Outgoing,
    settings::{Limits, Overflow},
};

/// Where a session is in its life.
#[derive(Debug, Clone)]
pub(super) enum Life {
    Open,
    /// What is queued is written, then the reason; cut when that takes too long.
    Ending(CloseReason, Instant),
    Ended(CloseReason),
}

/// Who carries the session.
#[derive(Debug)]
pub(super) enum Place {
    /// Nobody: it has not been attached yet, or has ended.
    Nowhere,
    /// A carrier, which `waker` wakes. One that `drives` polls the handler in its own task.
    Carried { waker: Option<Waker>, drives: bool },
    /// Between two polls.
    Parked { since: Instant, patience: Duration },
}

#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    pub(super) life: Life,
    pub(super) place: Place,
    /// Counts attaches; a carrier of an older generation can neither take nor park.
    pub(super) generation: u64,
    /// Messages that had to make room and are not counted yet.
    pub(super) displaced: u32,
    /// The heartbeat wants a ping written.
    pub(super) ping: bool,
    /// Tasks that wait for room or for the end.
    pub(super) waiting: Vec<Waker>,
}

/// What became of a push.
pub(super) enum Pushed {
    Queued,
    Pressured,
    Dropped,
    Overflowed,
    Ended,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            life: Life::Open,
            place: Place::Nowhere,
            generation: 0,
            displaced: 0,
            ping: false,
            waiting: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.life, Life::Open)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends, within the hard mark. The oldest message, which is the next to be written, does not
    /// count, and there is room for one of the maximum size behind it.
    pub(super) fn push(&mut self, outgoing: Outgoing, limits: &Limits) -> Pushed {
        if !self.is_open() {
            return Pushed::Ended;
        }
        let size = outgoing.payload().len();
        let most = limits.max_queued.max(limits.max_message);
        if self.waiting_bytes() + size > most && !self.queue.is_empty() {
            match limits.overflow {
                Overflow::Disconnect => return Pushed::Overflowed,
                Overflow::DropNewest => return Pushed::Dropped,
                Overflow::DropOldest => {
                    while self.waiting_bytes() + size > most && self.pop().is_some() {
                        self.displaced += 1;
                    }
                }
            }
        }
        self.bytes += size;
        self.queue.push_back(outgoing);
        if self.bytes > limits.pressure { Pushed::Pressured } else { Pushed::Queued }
    }

    fn waiting_bytes(&self) -> usize {
        self.bytes - self.queue.front().map_or(0, |oldest| oldest.payload().len())
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.pop_front()?;
        self.bytes -= outgoing.payload().len();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(outgoing)
    }

    pub(super) fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
    }

    /// The waker of the carrier, if one waits. It stays registered.
    pub(super) fn carrier(&self) -> Option<&Waker> {
        match &self.place {
            Place::Carried { waker, .. } => waker.as_ref(),
            _ => None,
        }
    }

    /// Whether the end has taken longer than it may.
    pub(super) fn overdue(&self, now: Instant, limit: Duration) -> bool {
        matches!(self.life, Life::Ending(_, since) if now.duration_since(since) > limit)
    }
}
