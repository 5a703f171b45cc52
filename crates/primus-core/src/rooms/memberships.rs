//! The rooms of one spark.

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;

use super::{How, Member, Position, Since};

#[derive(Default)]
struct Membership {
    subscribed: bool,
    /// As whom the spark is present there.
    member: Option<Member>,
}

/// By name. A spark that is over is in none; the names of those that it was in stay until nobody asks
/// any more.
#[derive(Default)]
pub(crate) struct Memberships {
    rooms: HashMap<Arc<str>, Membership>,
    /// What its client has missed of rooms that it is not in yet.
    missed: Missed,
    /// Its connection is away, so that it is present nowhere.
    absent: bool,
    over: bool,
}

/// What a client says it has of the rooms of a channel.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    pub(crate) positions: HashMap<Box<str>, Position>,
    /// Of rooms without a position: what was said since the first of these, until the second.
    pub(crate) since: Option<(Instant, Instant)>,
}

impl Missed {
    /// What is to be caught up with in a room; once.
    fn take(&mut self, room: &str) -> Option<Since> {
        if let Some(position) = self.positions.remove(room) {
            return Some(Since::Position(position));
        }
        let (since, until) = self.since?;
        (Instant::now() <= until).then_some(Since::Time(since))
    }
}

impl Memberships {
    pub(crate) fn miss(&mut self, missed: Missed) {
        self.missed = missed;
    }

    pub(crate) fn take_missed(&mut self, room: &str) -> Option<Since> {
        self.missed.take(room)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// No room takes it any more.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    /// Whether its client has subscribed by that.
    pub(crate) fn insert(&mut self, room: &Arc<str>, how: How) -> bool {
        let membership = self.rooms.entry(Arc::clone(room)).or_default();
        how == How::Subscribed && !std::mem::replace(&mut membership.subscribed, true)
    }

    /// Its client does not want the room any more; the application may have put it there, too. False
    /// if it did not want it before.
    pub(crate) fn unsubscribe(&mut self, room: &str) -> bool {
        let membership = self.rooms.get_mut(room);
        membership.is_some_and(|membership| std::mem::take(&mut membership.subscribed))
    }

    /// The member as whom it was present there; `None` also while it is absent.
    pub(crate) fn remove(&mut self, room: &str) -> Option<Member> {
        self.rooms.remove(room)?.member.filter(|_| !self.absent)
    }

    /// As whom the spark is in the room from now on; who it was before comes back.
    pub(crate) fn set_member(&mut self, room: &str, member: Option<Member>) -> Option<Member> {
        let membership = self.rooms.get_mut(room)?;
        std::mem::replace(&mut membership.member, member)
    }

    pub(crate) fn has(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }

    /// Whether its client asked for the room.
    pub(crate) fn is_subscribed(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|membership| membership.subscribed)
    }

    /// How many rooms its client asked for.
    pub(crate) fn subscriptions(&self) -> usize {
        self.rooms.values().filter(|membership| membership.subscribed).count()
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
        let rooms = self.rooms.iter();
        rooms.filter_map(|(room, it)| Some((Arc::clone(room), it.member.clone()?))).collect()
    }

    /// The rooms in which it is present at the moment; from now on in none.
    pub(crate) fn take_present(&mut self) -> Vec<(Arc<str>, Member)> {
        let present = if self.absent { Vec::new() } else { self.present() };
        self.rooms.values_mut().for_each(|membership| membership.member = None);
        present
    }
}
