//! Who is present, and who has been gone for so short a time that nobody need know.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::time::Instant;

use super::{Member, Page, PresenceChange, Room};
use crate::channel::Channel;

struct Here {
    info: Arc<Value>,
    /// How many sparks they have here. None: they are leaving.
    sparks: usize,
    /// The number of their last departure, so that one that was called off is known.
    departure: u64,
}

/// The members of a room, by their ids.
#[derive(Default)]
pub(crate) struct Present {
    here: BTreeMap<Arc<str>, Here>,
    /// How many departures there have been.
    departures: u64,
}

impl Present {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
    }
}

impl Room {
    pub(super) fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A spark of a member has come. `Some`: they were not here.
    pub(crate) fn appear(&self, member: &Member) -> Option<PresenceChange> {
        let mut present = self.present();
        if let Some(here) = present.here.get_mut(&member.id) {
            here.sparks += 1;
            here.info = Arc::clone(&member.info);
            return None;
        }
        let here = Here { info: Arc::clone(&member.info), sparks: 1, departure: 0 };
        present.here.insert(Arc::clone(&member.id), here);
        Some(PresenceChange::Joined(member.clone()))
    }

    /// A spark of a member is gone, for good. `Some`: it was the last one.
    pub(crate) fn disappear(&self, id: &str) -> Option<PresenceChange> {
        let mut present = self.present();
        let here = present.here.get_mut(id)?;
        here.sparks = here.sparks.saturating_sub(1);
        if here.sparks > 0 {
            return None;
        }
        Self::remove(&mut present, id)
    }

    /// The same, but they may be back in a moment. `Some`: it was the last one; the number of this
    /// departure.
    fn depart(&self, id: &str) -> Option<u64> {
        let mut present = self.present();
        present.departures += 1;
        let departure = present.departures;
        let here = present.here.get_mut(id)?;
        here.sparks = here.sparks.saturating_sub(1);
        here.departure = departure;
        (here.sparks == 0).then_some(departure)
    }

    /// A departure is final, unless they have come back since.
    fn departed(&self, id: &str, departure: u64) -> Option<PresenceChange> {
        let mut present = self.present();
        let here = present.here.get(id)?;
        if here.sparks > 0 || here.departure != departure {
            return None;
        }
        Self::remove(&mut present, id)
    }

    fn remove(present: &mut Present, id: &str) -> Option<PresenceChange> {
        let (id, here) = present.here.remove_entry(id)?;
        Some(PresenceChange::Left(Member { id, info: here.info }))
    }

    pub(crate) fn count_present(&self) -> usize {
        self.present().here.len()
    }

    /// At most `most` members behind `after`, in the order of their ids.
    pub(crate) fn page(&self, after: Option<&str>, most: usize) -> Page {
        let present = self.present();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = present.here.range::<str, _>((from, Bound::Unbounded));
        let member = |(id, here): (&Arc<str>, &Here)| Member {
            id: Arc::clone(id),
            info: Arc::clone(&here.info),
        };
        let members: Vec<_> = rest.by_ref().take(most).map(member).collect();
        let next = rest.next().and(members.last().map(|member| Arc::clone(&member.id)));
        Page { members, next }
    }
}

struct Departure {
    due: Instant,
    channel: Channel,
    room: Arc<Room>,
    id: Arc<str>,
    number: u64,
}

/// Members whose last spark is over, and who may be back within the grace.
#[derive(Default)]
pub(crate) struct Departures(Mutex<Vec<Departure>>);

impl Departures {
    fn list(&self) -> MutexGuard<'_, Vec<Departure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A spark of a member is over; where it was their last one, they leave at `due`.
    pub(crate) fn begin(&self, due: Instant, channel: &Channel, room: &Arc<Room>, id: &Arc<str>) {
        if let Some(number) = room.depart(id) {
            let (channel, room, id) = (channel.clone(), Arc::clone(room), Arc::clone(id));
            self.list().push(Departure { due, channel, room, id, number });
        }
    }

    /// Those whose time is over have left.
    pub(crate) fn sweep(&self, now: Instant) {
        let over: Vec<_> = self.list().extract_if(.., |departure| departure.due <= now).collect();
        for Departure { channel, room, id, number, .. } in over {
            if let Some(change) = room.departed(&id, number) {
                channel.tell_presence(room.name(), &change);
                channel.rooms().tidy(room.name());
                if let Some(shared) = channel.shared() {
                    shared.forget_channel(&channel);
                }
            }
        }
    }
}
