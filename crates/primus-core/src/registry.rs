//! The sparks of a mount: 64 shards, short locks, never held across a push or an await.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    id::SparkId,
    prefetch::{FEW, prefetch},
    session::Session,
};

const SHARDS: usize = 64;

type Shard = RwLock<HashMap<SparkId, Arc<Session>>>;

pub(crate) struct Registry {
    shards: Box<[Shard]>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }

    fn shard(&self, id: SparkId) -> &Shard {
        &self.shards[id.shard(SHARDS)]
    }

    pub(crate) fn insert(&self, session: &Arc<Session>) {
        let mut shard = self.shard(session.id()).write().unwrap_or_else(PoisonError::into_inner);
        shard.insert(session.id(), Arc::clone(session));
    }

    pub(crate) fn remove(&self, id: SparkId) {
        let removed = {
            let mut shard = self.shard(id).write().unwrap_or_else(PoisonError::into_inner);
            let removed = shard.remove(&id);
            if shard.is_empty() {
                shard.shrink_to_fit();
            }
            removed
        };
        drop(removed); // may be the last reference: drop it outside the lock
    }

    pub(crate) fn get(&self, id: SparkId) -> Option<Arc<Session>> {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    /// Visits every session until `visit` says stop. Sessions that come or go meanwhile may or
    /// may not be visited.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&Arc<Session>) -> bool) -> bool {
        let mut copied = Vec::new();
        for shard in &self.shards {
            {
                let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
                // All that a reference more touches.
                shard.values().for_each(|session| prefetch(Arc::as_ptr(session), 1));
                copied.extend(shard.values().cloned());
            }
            for few in copied.chunks(FEW) {
                few.iter().for_each(|session| Session::prefetch(Arc::as_ptr(session)));
                if !few.iter().all(&mut visit) {
                    return false;
                }
            }
            copied.clear();
        }
        true
    }
}
