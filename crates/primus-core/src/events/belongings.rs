//! What a spark has only once it uses it.

use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, Ordering},
};

use super::{Listeners, Serve};
use crate::{handle::Spark, message::Message, rooms::Memberships};

/// Listeners, what they are busy with, and the rooms that the spark is in.
#[derive(Default)]
pub(crate) struct Belongings {
    listeners: RwLock<Listeners>,
    serving: Mutex<Serve>,
    rooms: Mutex<Memberships>,
    hears_outgoing: AtomicBool,
}

impl Belongings {
    pub(crate) fn listeners(&self) -> RwLockReadGuard<'_, Listeners> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listeners_mut(&self) -> RwLockWriteGuard<'_, Listeners> {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is under way. Whoever serves takes it out.
    pub(crate) fn serving(&self) -> MutexGuard<'_, Serve> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is over: what is under way, and who listens, may hold the spark itself.
    pub(crate) fn clear(&self) -> impl Sized + use<> {
        (std::mem::take(&mut *self.serving()), std::mem::take(&mut *self.listeners_mut()))
    }

    pub(crate) fn rooms(&self) -> MutexGuard<'_, Memberships> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hear_outgoing(&self) {
        self.hears_outgoing.store(true, Ordering::Release);
    }

    pub(crate) fn hears_outgoing(&self) -> bool {
        self.hears_outgoing.load(Ordering::Acquire)
    }

    /// Shows an event that goes out to who listens to all of them.
    pub(crate) fn announce_outgoing(&self, spark: &Spark, name: &str, message: &Message) {
        let listeners = self.listeners().any_outgoing().to_vec();
        for listener in listeners {
            listener(spark, name, message);
        }
    }
}
