//! One room.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;

use super::{History, Keep, NotAvailable, Position, presence::Present};
use crate::{
    broadcast::send_shared,
    handle::Spark,
    id::SparkId,
    packet::{Delivery, Packet},
    session::Offered,
};

/// In which way a spark is in a room. It may be so in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The application put it there.
    Joined,
    /// Its client asked for it.
    Subscribed,
}

struct Seated {
    spark: Spark,
    joined: bool,
    subscribed: bool,
}

/// What a subscriber wants of what was said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Since {
    /// Nothing.
    Now,
    /// All that is behind this.
    Position(Position),
    /// The last messages.
    Last(usize),
    /// What was said since then.
    Time(Instant),
}

pub(crate) struct Room {
    pub(super) name: Arc<str>,
    members: RwLock<HashMap<SparkId, Seated>>,
    subscribers: AtomicUsize,
    /// The publish lock of a room that keeps its history: it is held over offset, append and pushes.
    history: Mutex<Option<History>>,
    keeps: AtomicBool,
    pub(super) present: Mutex<Present>,
}

impl Room {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            members: RwLock::default(),
            subscribers: AtomicUsize::new(0),
            history: Mutex::new(None),
            keeps: AtomicBool::new(false),
            present: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn members(&self) -> RwLockReadGuard<'_, HashMap<SparkId, Seated>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn members_mut(&self) -> RwLockWriteGuard<'_, HashMap<SparkId, Seated>> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_needless(&self) -> bool {
        !self.keeps_history() && self.members().is_empty() && self.present().is_empty()
    }

    pub(super) fn enter(&self, spark: &Spark, how: How) -> bool {
        let mut members = self.members_mut();
        let seated = members.entry(spark.id()).or_insert_with(|| Seated {
            spark: spark.clone(),
            joined: false,
            subscribed: false,
        });
        let new = !seated.joined && !seated.subscribed;
        match how {
            How::Joined => seated.joined = true,
            How::Subscribed => {
                if !std::mem::replace(&mut seated.subscribed, true) {
                    self.subscribers.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        new
    }

    /// True: it is not here any more.
    pub(super) fn leave(&self, spark: SparkId, how: Option<How>) -> bool {
        let mut members = self.members_mut();
        let Some(seated) = members.get_mut(&spark) else { return false };
        if how != Some(How::Subscribed) {
            seated.joined = false;
        }
        if how != Some(How::Joined) && std::mem::take(&mut seated.subscribed) {
            self.subscribers.fetch_sub(1, Ordering::Relaxed);
        }
        let gone = !seated.joined && !seated.subscribed;
        let removed = gone.then(|| members.remove(&spark)).flatten();
        drop(members);
        drop(removed); // may be the last reference: drop it outside the lock
        gone
    }

    pub(crate) fn len(&self) -> usize {
        self.members().len()
    }

    pub(crate) fn has(&self, spark: SparkId) -> bool {
        self.members().contains_key(&spark)
    }

    /// All that are here at this moment.
    pub(crate) fn sparks(&self) -> Vec<Spark> {
        self.members().values().map(|seated| seated.spark.clone()).collect()
    }

    /// Whether messages to this room say so.
    pub(crate) fn is_labelled(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0 || self.keeps_history()
    }

    pub(crate) fn keeps_history(&self) -> bool {
        self.keeps.load(Ordering::Acquire)
    }

    /// It is needed from now on, until [`keep`](Self::keep) says otherwise.
    pub(super) fn begin_to_keep(&self) {
        self.keeps.store(true, Ordering::Release);
    }

    pub(super) fn keep(&self, keep: Option<Keep>) {
        let mut history = self.history();
        match (&mut *history, keep) {
            (Some(history), Some(keep)) => history.set(keep),
            (history, keep) => *history = keep.map(History::new),
        }
        self.keeps.store(history.is_some(), Ordering::Release);
    }

    /// What was said here: who publishes holds it.
    pub(crate) fn history(&self) -> MutexGuard<'_, Option<History>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a spark that has just come in what it missed, and tells where the room is by then.
    /// `enter` runs under the publish lock: nothing is said between.
    pub(crate) fn catch_up<T>(
        &self,
        spark: &Spark,
        since: &Since,
        enter: impl FnOnce() -> T,
    ) -> (T, Option<Caught>) {
        let mut history = self.history();
        let entered = enter();
        let Some(history) = &mut *history else { return (entered, None) };
        let parser = &spark.mount().settings().parser;
        let missed = match since {
            Since::Now => Ok(Vec::new()),
            Since::Position(position) => history.since(position, parser),
            Since::Last(count) => Ok(history.last(*count, parser)),
            Since::Time(time) => Ok(history.recent(time.elapsed(), parser)),
        };
        let bytes = |missed: &[Arc<Packet>]| missed.iter().map(|one| one.envelope().len()).sum();
        let recovered = match missed {
            _ if *since == Since::Now => None,
            Ok(missed) if spark.session().has_room(missed.len(), bytes(&missed)) => {
                let sent = |packet| send_shared(spark, packet, &Delivery::Reliable, None);
                // Each is sent, whatever became of the one before.
                let unsent = missed.iter().map(sent).filter(Offered::is_refused).count();
                Some(unsent == 0)
            }
            // All of it, or none: half of it would look like all.
            Ok(_) | Err(NotAvailable) => Some(false),
        };
        (entered, Some(Caught { position: history.position(), recovered }))
    }
}

/// Where a room with history is, and whether a subscriber got what it asked for.
#[derive(Debug)]
pub(crate) struct Caught {
    pub(crate) position: Position,
    pub(crate) recovered: Option<bool>,
}
