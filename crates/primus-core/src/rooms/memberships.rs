//! The rooms of one spark.

use std::{collections::HashMap, sync::Arc};

use super::{How, Member};

/// By name. A spark that is over is in none; the names of those that it was in stay until nobody asks
/// any more.
#[derive(Default)]
pub(crate) struct Memberships {
    /// And as which member it is present there.
    rooms: HashMap<Arc<str>, Option<Member>>,
    subscriptions: usize,
    /// Its connection is away, so that it is present nowhere.
    absent: bool,
    over: bool,
}

impl Memberships {
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// No room takes it any more.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    pub(crate) fn insert(&mut self, room: &Arc<str>, how: How) {
        self.subscriptions += usize::from(how == How::Subscribed);
        self.rooms.entry(Arc::clone(room)).or_default();
    }

    /// As which member the spark is in the room from now on; the one before comes back.
    pub(crate) fn set_member(&mut self, room: &str, member: Option<Member>) -> Option<Member> {
        self.rooms.get_mut(room).and_then(|slot| std::mem::replace(slot, member))
    }

    /// The member as which it was there.
    pub(crate) fn remove(&mut self, room: &str) -> Option<Member> {
        self.rooms.remove(room).flatten()
    }

    pub(crate) fn unsubscribed(&mut self) {
        self.subscriptions = self.subscriptions.saturating_sub(1);
    }

    /// How many rooms its client asked for.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.rooms.keys().cloned().collect()
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.absent
    }

    pub(crate) fn set_absent(&mut self, absent: bool) {
        self.absent = absent;
    }

    /// The rooms in which it is somebody.
    pub(crate) fn present(&self) -> Vec<(Arc<str>, Member)> {
        let present = self.rooms.iter();
        present.filter_map(|(room, member)| Some((Arc::clone(room), member.clone()?))).collect()
    }

    /// The rooms in which it is present at the moment; from now on in none.
    pub(crate) fn take_present(&mut self) -> Vec<(Arc<str>, Member)> {
        if self.absent { Vec::new() } else { self.present() }
    }
}
