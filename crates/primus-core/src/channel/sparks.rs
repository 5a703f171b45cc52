//! A channel, and the sparks that are in it.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::Serialize;

use super::{Channel, ChannelRules, Inner, Rules};
use crate::{
    broadcast::Audience, handle::Spark, id::SparkId, message::Payload, parser::EncodeError,
    rooms::Rooms, shared::Shared,
};

impl Channel {
    pub(crate) fn new(name: &str, dynamic: bool, rules: Arc<Rules>, shared: Weak<Shared>) -> Self {
        let inner = Inner {
            name: name.into(),
            dynamic,
            rules: ChannelRules::new(rules),
            rooms: Rooms::new(),
            sparks: RwLock::default(),
            visits: AtomicUsize::new(0),
            shared,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The name; empty of the root.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The name, as frames have it.
    pub(crate) fn on_wire(&self) -> Option<&str> {
        (!self.inner.name.is_empty()).then_some(&*self.inner.name)
    }

    pub(crate) fn is_root(&self) -> bool {
        self.inner.name.is_empty()
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules.rules
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.inner.rooms
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.inner.shared.upgrade()
    }

    /// All its sparks, to write to.
    pub fn everyone(&self) -> Audience {
        Audience::of_channel(self)
    }

    /// All its sparks but one.
    pub fn except(&self, spark: &Spark) -> Audience {
        self.everyone().except(spark)
    }

    /// The sparks in a room of this channel. A room name is a room name: there are no wildcards.
    pub fn room(&self, name: &str) -> Audience {
        self.everyone().room(name)
    }

    /// Writes a value to all its sparks. Returns how many it was queued for.
    ///
    /// # Errors
    /// When a parser cannot encode the value.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize, EncodeError> {
        self.everyone().write(value)
    }

    /// Writes a payload as it is to all its sparks. Returns how many it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        self.everyone().write_message(payload)
    }

    /// Emits an event to all its sparks. Returns how many it was queued for.
    ///
    /// # Errors
    /// As [`Audience::emit`].
    pub fn emit<T: Serialize + ?Sized>(
        &self,
        name: &str,
        args: &T,
    ) -> Result<usize, crate::EmitError> {
        self.everyone().emit(name, args)
    }

    /// How many sparks there are.
    pub fn len(&self) -> usize {
        if self.is_root() {
            let mounts = self.shared().map(|shared| shared.mounts()).unwrap_or_default();
            return mounts.iter().map(|mount| mount.sessions()).sum();
        }
        self.sparks().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The spark with this id, if it is here.
    pub fn spark(&self, id: SparkId) -> Option<Spark> {
        if self.is_root() {
            return self.shared()?.mounts().iter().find_map(|mount| mount.spark(id));
        }
        self.sparks().get(&id).cloned()
    }

    fn sparks(&self) -> RwLockReadGuard<'_, HashMap<SparkId, Spark>> {
        self.inner.sparks.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sparks_mut(&self) -> RwLockWriteGuard<'_, HashMap<SparkId, Spark>> {
        self.inner.sparks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is in it, nothing is kept in it, and a pattern makes it again.
    pub(crate) fn is_needless(&self) -> bool {
        self.inner.dynamic
            && self.inner.visits.load(Ordering::Acquire) == 0
            && self.sparks().is_empty()
            && self.inner.rooms.names().is_empty()
    }

    /// All sparks of a channel that is not the root.
    pub(crate) fn all(&self) -> Vec<Spark> {
        self.sparks().values().cloned().collect()
    }
}

/// Hooks and listeners.
impl Deref for Channel {
    type Target = ChannelRules;

    fn deref(&self) -> &ChannelRules {
        &self.inner.rules
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Channel {}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Channel").field(&self.name()).finish()
    }
}
