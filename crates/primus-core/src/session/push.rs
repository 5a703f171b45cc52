//! From the application to the client: into the outbox, and what may wait there.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{
    Session, Wires,
    outbox::{Outbox, Pushed},
    sync::MutexGuard,
};
use crate::{
    envelope::Envelope,
    message::Message,
    packet::{Delivery, Outgoing},
    resume::Entry,
    spark::{WriteError, Written},
};

/// What became of a message for a client.
#[derive(Debug)]
pub(crate) enum Offered {
    Queued,
    /// And more waits than is good.
    Pressured,
    Dropped,
    Ended(Outgoing),
    /// There is no room; by the policy the session ends.
    Overflowed(Outgoing),
}

impl Offered {
    /// The session cannot have it. What a transform dropped was not meant for it.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Overflowed(_))
    }
}

impl Session {
    /// Pushes a message for this session alone.
    #[inline]
    pub(crate) fn write(
        self: &Arc<Self>,
        envelope: Envelope,
        delivery: Delivery,
    ) -> Result<Written, WriteError> {
        if delivery == Delivery::Reliable && self.writes_at_hand(envelope.len()) {
            Self::write_at_hand(envelope);
            return Ok(Written::Queued);
        }
        self.push(Outgoing::Own(envelope), delivery)
    }

    pub(crate) fn push(
        self: &Arc<Self>,
        outgoing: Outgoing,
        delivery: Delivery,
    ) -> Result<Written, WriteError> {
        let offered = self.offer(outgoing, delivery, None);
        self.settle();
        if matches!(offered, Offered::Queued) { Ok(Written::Queued) } else { self.written(offered) }
    }

    /// What a writer is told, where that is not simply that its message waits.
    #[cold]
    fn written(self: &Arc<Self>, offered: Offered) -> Result<Written, WriteError> {
        match offered {
            Offered::Queued => Ok(Written::Queued),
            Offered::Pressured => Ok(Written::Pressured),
            Offered::Dropped => Ok(Written::Dropped),
            Offered::Ended(outgoing) => Err(WriteError::Ended(Some(outgoing.into()))),
            Offered::Overflowed(outgoing) => {
                self.overflowed();
                Err(WriteError::TooSlow(Some(outgoing.into())))
            }
        }
    }

    /// As [`push`](Self::push), but what comes of it, which may run hooks of the application, is left
    /// to the caller: [`settle`](Self::settle), and [`overflowed`](Self::overflowed). Where there are
    /// `wires`, they take that of the session, if it has to be flushed; else the carrier is woken.
    #[inline]
    pub(crate) fn offer(
        self: &Arc<Self>,
        outgoing: Outgoing,
        delivery: Delivery,
        wires: Option<&mut Wires<'_>>,
    ) -> Offered {
        let mut outbox = self.outbox();
        if !outbox.has_room(&outgoing, &delivery, self.resume, self.limits()) {
            return self.offer_tight(outbox, Entry { outgoing, delivery }, wires);
        }
        let wake = outbox.append(Entry { outgoing, delivery }, self.resume);
        if wake && !self.has_turn() {
            wake_carrier(outbox, wires);
        }
        Offered::Queued
    }

    /// The same, where there may be no room, or no carrier.
    fn offer_tight(
        self: &Arc<Self>,
        mut outbox: MutexGuard<'_, Outbox>,
        entry: Entry,
        wires: Option<&mut Wires<'_>>,
    ) -> Offered {
        let charged = outbox.charged();
        let pushed = outbox.push(entry, self.resume, self.limits());
        let now = outbox.charged();
        if now != charged {
            // Under the lock, so that it is not refunded before it was charged.
            self.mount.shared.detached.charge(charged, now);
        }
        let displaced = std::mem::take(&mut outbox.displaced);
        let (offered, wake) = match pushed {
            Pushed::Queued { wake } => (Offered::Queued, wake),
            Pushed::Pressured { wake } => (Offered::Pressured, wake),
            Pushed::Ended(outgoing) => return Offered::Ended(outgoing),
            Pushed::Overflowed(outgoing) => return Offered::Overflowed(outgoing),
            Pushed::Dropped => {
                drop(outbox);
                self.meters().dropped("newest");
                return Offered::Dropped;
            }
        };
        if wake && !self.has_turn() {
            wake_carrier(outbox, wires);
        } else {
            drop(outbox);
        }
        for _ in 0..displaced {
            self.meters().dropped("oldest");
        }
        offered
    }

    /// Holds what is kept for all clients that are away within its budget.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.mount.shared.detached.bytes() > 0 {
            self.mount.shared.relieve();
        }
    }

    /// Whether so many messages of so many bytes can be queued at once.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let (outbox, limits) = (self.outbox(), self.limits());
        if outbox.is_detached() {
            return outbox.ring.len() + messages <= limits.resume_messages
                && outbox.ring.bytes() + bytes <= limits.resume_bytes;
        }
        outbox.ring.waiting_bytes() + bytes <= limits.max_queued
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.outbox().ring.waiting_bytes()
    }

    /// Bytes that are kept for the client: waiting, or not acknowledged.
    pub fn kept(&self) -> usize {
        self.outbox().ring.bytes()
    }

    /// As [`kept`](Self::kept), without what is shared with others; and what it costs to keep it.
    pub(crate) fn kept_alone(&self) -> usize {
        self.outbox().ring.cost()
    }

    /// The same, of a session that has not been charged for it: one with a carrier.
    pub(crate) fn carried_cost(&self) -> usize {
        let outbox = self.outbox();
        if outbox.is_detached() { 0 } else { outbox.ring.cost() }
    }

    /// Messages with numbers; bytes of what is written, of what waits, and of all.
    #[cfg(test)]
    pub(crate) fn kept_parts(&self) -> (usize, usize, usize, usize) {
        let outbox = self.outbox();
        let (bytes, waiting) = (outbox.ring.bytes(), outbox.ring.waiting_bytes());
        (outbox.ring.numbered(), bytes - waiting, waiting, bytes)
    }

    /// Whether it has no carrier, and waits for its client.
    pub fn is_detached(&self) -> bool {
        self.outbox().is_detached()
    }

    pub(crate) fn is_pressured(&self) -> bool {
        self.outbox().is_pressured(self.resume, self.limits())
    }

    pub(crate) fn undelivered(&self) -> Vec<Message> {
        let parser = &self.mount.settings().parser;
        let open = |outgoing: &Outgoing| Message::open(outgoing.envelope(), parser);
        self.outbox().undelivered().iter().map(open).collect()
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let mut outbox = self.outbox();
        if !outbox.is_open() {
            return Poll::Ready(Err(WriteError::Ended(None)));
        }
        if !outbox.is_pressured(self.resume, self.limits()) {
            self.awaits_room.store(false, Ordering::Relaxed);
            self.backlog.store(false, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        if self.backlog.swap(false, Ordering::Relaxed) {
            return Poll::Ready(Err(WriteError::Backlogged));
        }
        outbox.waiting.wait(cx);
        drop(outbox);
        if !self.awaits_room.swap(true, Ordering::Relaxed) {
            // The acknowledgement may be behind what nobody reads at the moment.
            self.read_on();
        }
        Poll::Pending
    }
}

/// Something waits that goes neither with what has not been written yet, nor at the end of a turn.
fn wake_carrier(outbox: MutexGuard<'_, Outbox>, wires: Option<&mut Wires<'_>>) {
    if let (Some(wires), Some(wire)) = (wires, outbox.wire()) {
        return wires.add(wire);
    }
    let carrier = outbox.carrier().cloned();
    drop(outbox);
    carrier.into_iter().for_each(Waker::wake);
}
