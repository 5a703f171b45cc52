//! The rooms of a channel by their names, in shards with a lock each.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{How, Keep, Room};
use crate::{handle::Spark, id::SparkId};

const SHARDS: usize = 16;

type Shard = HashMap<Arc<str>, Arc<Room>>;

/// The rooms of a channel. A room is there as long as it has members or keeps its history.
pub(crate) struct Rooms {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Room>> {
        self.shard(name).get(name).cloned()
    }

    /// Works on a room under the lock that decides whether it is there. It is made where it is not,
    /// and goes where nothing holds it any more.
    fn with<R>(&self, name: &str, work: impl FnOnce(&Arc<Room>) -> R) -> R {
        let mut shard = self.shard(name);
        let room = match shard.get(name) {
            Some(room) => Arc::clone(room),
            None => {
                let name: Arc<str> = name.into();
                let room = Arc::new(Room::new(Arc::clone(&name)));
                shard.insert(name, Arc::clone(&room));
                room
            }
        };
        let result = work(&room);
        if room.is_needless() {
            shard.remove(name);
            if shard.is_empty() {
                shard.shrink_to_fit();
            }
        }
        result
    }

    /// Puts a spark into a room. `false`: it was there in this way.
    pub(crate) fn enter(&self, name: &str, spark: &Spark, how: How) -> (Arc<Room>, bool) {
        self.with(name, |room| (Arc::clone(room), room.enter(spark, how)))
    }

    /// Takes a spark out of a room, as far as it is there in this way. The room, if it is not in it
    /// any more.
    pub(crate) fn leave(&self, name: &str, spark: SparkId, how: Option<How>) -> Option<Arc<Room>> {
        self.with(name, |room| room.leave(spark, how).then(|| Arc::clone(room)))
    }

    /// Lets a room keep its history, or not any more.
    pub(crate) fn keep(&self, name: &str, keep: Option<Keep>) {
        // The history is locked before this lock, never behind it.
        let room = self.with(name, |room| {
            room.begin_to_keep();
            Arc::clone(room)
        });
        room.keep(keep);
        self.tidy(name);
    }

    /// Lets a room go that nothing holds any more.
    pub(crate) fn tidy(&self, name: &str) {
        if self.get(name).is_some() {
            self.with(name, |_| ());
        }
    }

    /// The names of all rooms.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let shard = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.keys().cloned().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(shard).collect()
    }
}
