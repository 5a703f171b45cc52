//! What a session has only once it uses it. One that does not pays for a pointer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use super::{Session, control::Decisions};
use crate::{
    channel::Seat,
    events::{Belongings, Collector, Pending, RequestError},
    handle::Spark,
};

#[derive(Default)]
pub(crate) struct Extras {
    belongings: Belongings,
    pending: Pending,
    seats: Mutex<HashMap<Box<str>, Arc<Seat>>>,
    decisions: Mutex<Decisions>,
}

impl Extras {
    fn seats(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn extras(&self) -> &Extras {
        self.extras.get_or_init(Box::default)
    }

    pub(crate) fn belongings(&self) -> &Belongings {
        &self.extras().belongings
    }

    pub(crate) fn belongings_if_any(&self) -> Option<&Belongings> {
        self.extras.get().map(|extras| &extras.belongings)
    }

    pub(crate) fn pending_if_any(&self) -> Option<&Pending> {
        self.extras.get().map(|extras| &extras.pending)
    }

    /// An answer will come for `spark`, who waits for it.
    pub(crate) fn expect_answer(
        &self,
        id: u64,
        spark: &Spark,
        collector: &Arc<Collector>,
    ) -> Result<(), RequestError> {
        if !self.answers_requests {
            return Err(RequestError::Unanswerable);
        }
        if !self.outbox().is_open() {
            return Err(RequestError::Closed);
        }
        self.extras().pending.add(id, spark, collector, self.limits().max_requests)?;
        // It may be behind what nobody reads at the moment.
        self.read_on();
        Ok(())
    }

    /// Whether something is expected that is behind what waits in the inbox.
    pub(super) fn expects(&self) -> bool {
        self.awaits_room.load(Ordering::Relaxed)
            || self.pending_if_any().is_some_and(|pending| pending.len() > 0)
    }

    /// The client sends so much that what is expected behind it cannot be read.
    pub(super) fn backlogged(&self) {
        if let Some(pending) = self.pending_if_any() {
            pending.fail(|| RequestError::Backlogged);
        }
    }

    /// Its place in a channel, by the channel's name.
    pub(crate) fn seat(&self, channel: &str) -> Option<Arc<Seat>> {
        self.extras.get()?.seats().get(channel).cloned()
    }

    /// Keeps a place in a channel, within the limit. `Err`: there is one already, or there are too
    /// many.
    pub(super) fn keep_seat(&self, seat: &Arc<Seat>) -> Result<(), &'static str> {
        let mut seats = self.extras().seats();
        if !self.outbox().is_open() {
            return Err("the session has ended");
        }
        if seats.contains_key(seat.channel().name()) {
            return Err("this session is in the channel already");
        }
        if seats.len() >= self.limits().max_channels {
            return Err("this session is in too many channels (max_channels)");
        }
        seats.insert(seat.channel().name().into(), Arc::clone(seat));
        Ok(())
    }

    pub(crate) fn forget_seat(&self, seat: &Seat) {
        if let Some(extras) = self.extras.get() {
            let mut seats = extras.seats();
            if seats.get(seat.channel().name()).is_some_and(|other| other.id() == seat.id()) {
                seats.remove(seat.channel().name());
            }
        }
    }

    pub(super) fn take_seats(&self) -> Vec<Arc<Seat>> {
        let seats = self.extras.get().map(|extras| std::mem::take(&mut *extras.seats()));
        seats.into_iter().flat_map(HashMap::into_values).collect()
    }

    /// Requests to the protocol itself that are being decided.
    pub(super) fn decisions(&self) -> MutexGuard<'_, Decisions> {
        self.extras().decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
