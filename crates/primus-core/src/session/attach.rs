//! A carrier attaches: the first one, one after a loss, one beside another that is still there.
//! It is the same each time.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{
    Carriage, Carrier, Resume, Session,
    notices::Notice,
    outbox::{Carried, Life, Outbox, Place},
};
use crate::{
    handle::Spark,
    metrics,
    resume::{Claim, Denied, Gone},
};

/// What a client says of itself when it attaches to a session that it had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// The highest number of a message that it has.
    pub recv: u64,
    /// The number of the first data frame that it will send. 0: whatever comes next, of a client that
    /// does not count.
    pub next: u64,
    /// The highest number that it has given to a message.
    pub sent: u64,
    /// The random number of the client.
    pub client: u64,
    /// Which of its attempts this is.
    pub attempt: u64,
    /// The generation of the last carrier that it knows it had.
    pub generation: u64,
}

impl Asked {
    fn claim(&self) -> Claim {
        Claim { generation: self.generation, client: self.client, attempt: self.attempt }
    }
}

impl Session {
    /// Attaches a first carrier, which starts the handler. If there is one, it becomes a stranger:
    /// it can neither take nor park, and its loss is not the session's.
    pub fn attach(self: &Arc<Self>, carriage: Carriage) -> Carrier {
        self.attach_as(&Asked { next: 1, ..Asked::default() }, carriage)
    }

    /// As [`attach`](Self::attach), for a client that may come back.
    pub(crate) fn attach_as(self: &Arc<Self>, asked: &Asked, carriage: Carriage) -> Carrier {
        let mut outbox = self.outbox();
        if outbox.is_ended() {
            // It ended before it was carried: a carrier of no generation learns that at once.
            let transport = outbox.transport();
            drop(outbox);
            return Carrier::new(Arc::clone(self), 0, transport, asked.next);
        }
        let transport = outbox.transport();
        let (was, generation) = self.take_over(&mut outbox, asked.claim(), carriage, transport);
        drop(outbox);
        self.carried(was, generation, asked, transport)
    }

    /// Attaches a client that had this session, if it may have it again: by compare-and-set on
    /// who attached last. Nothing changes where this is denied.
    pub(crate) fn resume(
        self: &Arc<Self>,
        asked: &Asked,
        carriage: Carriage,
        transport: &'static str,
    ) -> Result<Carrier, Denied> {
        let mut outbox = self.outbox();
        if outbox.is_ended() {
            return Err(Denied::Ended);
        }
        outbox.claim.check(&asked.claim())?;
        let mut asked = *asked;
        let room;
        {
            // The one place where two of the four locks are held: nothing may be delivered between.
            let mut inbox = self.inbox();
            let recv = inbox.intake.recv();
            // It speaks from the past: a copy does, or an attach that the client has given up
            // and gone on without.
            let outdated =
                if outbox.claim.is_by(asked.client) { Denied::Straggler } else { Denied::Conflict };
            if asked.sent < recv {
                return Err(outdated);
            }
            match outbox.ring.can_rewind(asked.recv) {
                Err(Gone::Acknowledged) => return Err(outdated),
                Err(Gone::Beyond) => return Err(Denied::Beyond),
                Err(Gone::Overflow) => return Err(Denied::Overflow),
                Ok(()) if asked.next > recv + 1 => return Err(Denied::Overflow),
                Ok(()) => {}
            }
            if asked.next == 0 {
                asked.next = recv + 1;
            }
            inbox.intake.fence(outbox.claim.generation + 1);
            // Who waits for room to deliver what an older carrier brought waits in vain.
            room = inbox.room.take();
        }
        let replayed = outbox.ring.rewind(asked.recv).unwrap_or(0);
        let (was, generation) = self.take_over(&mut outbox, asked.claim(), carriage, transport);
        // What the client has needs no room any more.
        let eased = !outbox.is_pressured(self.resume, self.limits());
        let waiting = outbox.waiting.take_if(eased);
        drop(outbox);
        room.wake();
        waiting.wake();
        metrics::replayed(replayed);
        Ok(self.carried(was, generation, &asked, transport))
    }

    /// All that has to be true before anyone else sees the session carried.
    fn take_over(
        self: &Arc<Self>,
        outbox: &mut Outbox,
        by: Claim,
        carriage: Carriage,
        transport: &'static str,
    ) -> (Place, u64) {
        outbox.claim = outbox.claim.taken_by(&by);
        outbox.blocked = false;
        let carried = Carried { drives: carriage.drives, ..Carried::default() };
        let was = std::mem::replace(&mut outbox.place, Place::Carried(carried));
        let shared = &self.mount.shared;
        if outbox.transport() != transport {
            metrics::switch(outbox.transport(), transport);
            if std::mem::take(&mut outbox.counted) {
                shared.connected(outbox.transport(), -1);
            }
            outbox.meters = self.mount.meters(transport);
        }
        if !std::mem::replace(&mut outbox.counted, true) {
            shared.connected(transport, 1);
        }
        if let Life::Ending(end) = &mut outbox.life {
            end.since = Instant::now(); // it was away: the time to tell the end begins now
        }
        self.heartbeat.store(carriage.heartbeat, Ordering::Relaxed);
        self.answers.store(carriage.answers, Ordering::Relaxed);
        self.paused.store(false, Ordering::Relaxed);
        self.seen();
        if matches!(was, Place::Detached { .. }) {
            self.refund(&was);
            self.notify(Notice::Resumed);
        }
        (was, outbox.claim.generation)
    }

    fn carried(
        self: &Arc<Self>,
        was: Place,
        generation: u64,
        asked: &Asked,
        transport: &'static str,
    ) -> Carrier {
        if matches!(was, Place::Detached { .. }) {
            self.sparks().iter().for_each(Spark::be_present);
        }
        if let Place::Carried(Carried { waker: Some(waker), .. }) = was {
            waker.wake();
        }
        self.schedule();
        self.reschedule();
        Carrier::new(Arc::clone(self), generation, transport, asked.next)
    }

    /// Whether it keeps messages for a reader that has everything up to `recv`, and does not say
    /// more before it comes back.
    pub(crate) fn feeds(&self, recv: u64) -> bool {
        self.resume == Resume::Feed && self.outbox().ring.can_rewind(recv) != Err(Gone::Beyond)
    }

    /// Takes up a parked session again. `None` if another request holds it, or it has ended.
    pub fn unpark(self: &Arc<Self>, generation: u64) -> Option<Carrier> {
        let mut outbox = self.outbox();
        if outbox.claim.generation != generation || !matches!(outbox.place, Place::Parked { .. }) {
            return None;
        }
        outbox.place = Place::Carried(Carried::default());
        let transport = outbox.transport();
        drop(outbox);
        self.seen();
        Some(Carrier::new(Arc::clone(self), generation, transport, 0))
    }

    /// The highest number received from the client.
    pub fn recv(&self) -> u64 {
        self.inbox().intake.recv()
    }

    /// The number of a message that is kept, by the [`serial`](crate::Packet::serial) of what many were
    /// sent.
    pub fn number_of(&self, serial: u64) -> Option<u64> {
        self.outbox().ring.number_of(serial)
    }

    /// The number before that of the first message that is kept.
    pub fn floor(&self) -> u64 {
        self.outbox().ring.floor()
    }

    /// The highest number that was ever given to a message for the client.
    pub fn sent(&self) -> u64 {
        self.outbox().ring.sent()
    }

    /// The number of the next message that a carrier takes.
    pub fn next(&self) -> u64 {
        self.outbox().ring.next()
    }

    /// Whether the client with this random number attached last.
    pub(crate) fn is_held_by(&self, client: u64) -> bool {
        self.outbox().claim.client == client
    }

    /// How many carriers there have been.
    pub fn generation(&self) -> u64 {
        self.outbox().claim.generation
    }
}
