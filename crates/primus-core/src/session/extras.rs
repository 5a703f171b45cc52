//! What a session has only once it uses it. One that does not pays for a pointer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;

use super::{Client, Session, control::Decisions};
use crate::{
    channel::Seat,
    events::{Belongings, Collector, Pending, RequestError},
    handle::Spark,
    id::SparkId,
    names,
    rooms::{Missed, Position},
};

/// Bytes in the name of a history; ours have fewer.
const LONGEST_EPOCH: usize = 64;

#[derive(Default)]
pub(crate) struct Extras {
    belongings: Belongings,
    pending: Pending,
    seats: Mutex<Seats>,
    /// Rooms that the client joined by itself, in all channels.
    subscriptions: AtomicUsize,
    decisions: Mutex<Decisions>,
}

/// Its places in channels, by their names.
#[derive(Default)]
struct Seats {
    taken: HashMap<Box<str>, Arc<Seat>>,
    /// What its client has missed in channels that it is about to enter.
    missed: HashMap<Box<str>, Missed>,
    /// The session has ended, so there will be no more.
    over: bool,
}

impl Extras {
    fn seats(&self) -> MutexGuard<'_, Seats> {
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
        if !self.client.is(Client::ANSWERS) {
            return Err(RequestError::Unanswerable);
        }
        // From here on the end of the session finds it, so that it is not forgotten.
        let pending = &self.extras().pending;
        if !self.outbox().is_open() {
            return Err(RequestError::Closed);
        }
        pending.add(id, spark, collector, self.limits().max_requests)?;
        // It may be behind what nobody reads at the moment.
        self.read_on();
        Ok(())
    }

    /// Whether something is expected that is behind what waits in the inbox.
    pub(super) fn expects(&self) -> bool {
        self.awaits_room.load(Ordering::Relaxed)
            || self.pending_if_any().is_some_and(|pending| pending.len() > 0)
    }

    /// The client sends so much that what is expected behind it cannot be read. To be called without a
    /// lock.
    pub(super) fn backlogged(&self) {
        if let Some(pending) = self.pending_if_any() {
            pending.fail(|| RequestError::Backlogged);
        }
        if self.awaits_room.swap(false, Ordering::Relaxed) {
            self.backlog.store(true, Ordering::Relaxed);
            self.wake_waiting();
        }
    }

    /// Whether its client may join one more room by itself.
    pub(crate) fn may_subscribe(&self) -> bool {
        self.extras().subscriptions.load(Ordering::Relaxed) < self.limits().max_subscriptions
    }

    /// Its client has joined rooms by itself, or left them.
    pub(crate) fn count_subscriptions(&self, change: isize) {
        self.extras().subscriptions.fetch_add(change as usize, Ordering::Relaxed);
    }

    /// Its place in a channel, by the channel's name.
    pub(crate) fn seat(&self, channel: &str) -> Option<Arc<Seat>> {
        self.extras.get()?.seats().taken.get(channel).cloned()
    }

    /// Keeps a place in a channel, within the limit. `Err`: there is one already, or there are too
    /// many.
    pub(super) fn keep_seat(&self, seat: &Arc<Seat>) -> Result<(), &'static str> {
        // Made before it is asked, so that an end behind that finds it.
        let extras = self.extras();
        if self.is_ended() {
            return Err("the session has ended");
        }
        let mut seats = extras.seats();
        let name = seat.channel().name();
        if seats.over {
            return Err("the session has ended");
        }
        if seats.taken.contains_key(name) {
            return Err("this session is in the channel already");
        }
        if seats.taken.len() >= self.limits().max_channels {
            return Err("this session is in too many channels (max_channels)");
        }
        seats.taken.insert(name.into(), Arc::clone(seat));
        Ok(())
    }

    pub(crate) fn forget_seat(&self, seat: &Seat) {
        if let Some(extras) = self.extras.get() {
            let mut seats = extras.seats();
            let name = seat.channel().name();
            if seats.taken.get(name).is_some_and(|other| other.id() == seat.id()) {
                seats.taken.remove(name);
            }
        }
    }

    /// What its client says it has of the rooms of a channel that it is in, or about to enter: it is sent what
    /// is behind these positions, and of other rooms with a history what was said since then, as soon as
    /// it is in a room; then an event `primus.history`, `{"room", "recovered"}`, for each room that it is in.
    /// Of positions, as many count as a client may have subscriptions.
    pub fn catch_up(
        &self,
        channel: &str,
        positions: impl IntoIterator<Item = (Box<str>, Position)>,
        since: Option<Instant>,
    ) {
        let until = self.mount.shared.settings.grace();
        // They are kept until they are of use, so no client may have any number of them.
        let possible = |(room, mut position): (Box<str>, Position)| {
            if position.epoch.len() > LONGEST_EPOCH {
                position.epoch = String::new(); // which none of ours is, either
            }
            names::check(&room).is_ok().then_some((room, position))
        };
        let most = self.limits().max_subscriptions;
        let positions = positions.into_iter().filter_map(possible).take(most).collect();
        let missed = Missed { positions, since: since.map(|since| (since, until)) };
        match self.seat(channel) {
            Some(seat) => Spark::from_seat(&seat).catch_up(missed),
            None => {
                let mut seats = self.extras().seats();
                if !seats.over && seats.missed.len() < self.limits().max_channels {
                    seats.missed.insert(channel.into(), missed);
                }
            }
        }
    }

    pub(super) fn take_missed(&self, channel: &str) -> Option<Missed> {
        self.extras.get()?.seats().missed.remove(channel)
    }

    /// The spark of this session in a channel, if it is in that.
    pub fn spark_of(&self, channel: &str) -> Option<Spark> {
        self.seat(channel).map(|seat| Spark::from_seat(&seat))
    }

    /// The channels that it is in beside the root, and its ids there.
    pub fn channels(&self) -> Vec<(Box<str>, SparkId)> {
        let Some(extras) = self.extras.get() else { return Vec::new() };
        let seats = extras.seats();
        seats.taken.iter().map(|(name, seat)| (name.clone(), seat.id())).collect()
    }

    /// All its places in channels; there will be no more.
    pub(super) fn take_seats(&self) -> Vec<Arc<Seat>> {
        let Some(extras) = self.extras.get() else { return Vec::new() };
        let mut seats = extras.seats();
        seats.over = true;
        std::mem::take(&mut seats.taken).into_values().collect()
    }

    /// Its sparks: that of the root, and those in channels.
    pub(crate) fn sparks(self: &Arc<Self>) -> Vec<Spark> {
        let mut sparks = vec![Spark::from_session(self)];
        if let Some(extras) = self.extras.get() {
            sparks.extend(extras.seats().taken.values().map(Spark::from_seat));
        }
        sparks
    }

    /// Requests to the protocol itself that are being decided.
    pub(super) fn decisions(&self) -> MutexGuard<'_, Decisions> {
        self.extras().decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
