//! The rooms of a channel, and who is told of what happens in them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::Channel;
use crate::{
    envelope::{Envelope, Head},
    handle::Spark,
    message::Message,
    names::{self, NameError},
    packet::{Delivery, Outgoing, Packet},
    rooms::{Keep, Member, NotAvailable, Position, PresenceChange},
};

impl Channel {
    /// The names of the rooms that have members, or keep their history.
    pub fn rooms_by_name(&self) -> Vec<Arc<str>> {
        self.inner.rooms.names()
    }

    /// Lets a room keep the last of what is said in it, from now on; `None`: not any more. A room
    /// that keeps is there also without members, so let it go when it is not needed.
    ///
    /// # Errors
    /// When the name is none for a room.
    pub fn keep(&self, room: &str, keep: impl Into<Option<Keep>>) -> Result<(), NameError> {
        names::check(room)?;
        self.inner.rooms.keep(room, keep.into());
        Ok(())
    }

    /// The last messages that a room has kept, oldest first, at most `most`.
    pub fn history(&self, room: &str, most: usize) -> Vec<Message> {
        let room = self.inner.rooms.get(room);
        room.and_then(|room| Some(room.history().as_mut()?.messages(most))).unwrap_or_default()
    }

    /// Where a room that keeps its history is.
    pub fn position(&self, room: &str) -> Option<Position> {
        Some(self.inner.rooms.get(room)?.history().as_ref()?.position())
    }

    /// What was said in a room behind `position`: all of it, oldest first.
    ///
    /// # Errors
    /// When something of it is not kept any more, or never was.
    pub fn since(&self, room: &str, position: &Position) -> Result<Vec<Message>, NotAvailable> {
        let room = self.inner.rooms.get(room).ok_or(NotAvailable)?;
        let mut history = room.history();
        history.as_mut().ok_or(NotAvailable)?.messages_since(position)
    }

    pub(crate) fn tell_joined(&self, spark: &Spark, room: &str) {
        if let Some(joined) = self.rules().joined() {
            quietly("on_join", || joined(spark, room));
        }
    }

    pub(crate) fn tell_left(&self, spark: &Spark, room: &str) {
        if let Some(left) = self.rules().left() {
            quietly("on_leave", || left(spark, room));
        }
    }

    pub(crate) fn tell_presence(&self, room: &str, change: &PresenceChange) {
        self.show_presence(room, change);
        if let Some(presence) = self.rules().presence() {
            quietly("on_presence", || presence(room, change));
        }
    }

    /// Tells those in the room whose clients want to know.
    fn show_presence(&self, room: &str, change: &PresenceChange) {
        let Some(shared) = self.shared().filter(|shared| shared.shows_presence()) else { return };
        let sparks = self.inner.rooms.get(room).map(|room| room.sparks()).unwrap_or_default();
        let (kind, member) = match change {
            PresenceChange::Joined(member) => ("join", member),
            PresenceChange::Left(member) => ("leave", member),
        };
        let mut packet = None;
        for spark in sparks.iter().filter(|spark| spark.session().hears_presence()) {
            let packet = packet.get_or_insert_with(|| {
                let said = serde_json::json!({ "room": room, "type": kind, "id": &*member.id, "info": &*member.info });
                let head = Head { channel: self.on_wire(), rooms: &[] }.event("primus.presence");
                shared.counters.count_encoded();
                let envelope = Envelope::join(&head, &said.to_string().into());
                Arc::new(Packet::new(envelope, Arc::clone(&shared.counters)))
            });
            // One that is over, or has no room for it, hears nothing any more.
            let outgoing = Outgoing::Shared(Arc::clone(packet));
            let _ = spark.session().push(outgoing, Delivery::Reliable);
        }
    }

    /// A member's spark that is over may be back within the grace.
    pub(crate) fn depart(&self, room: &str, member: &Member) {
        let (Some(shared), Some(room)) = (self.shared(), self.inner.rooms.get(room)) else {
            return;
        };
        shared.departures.begin(shared.settings.grace(), self, &room, &member.id);
    }
}

/// Calls a hook that is told of something: if it panics, what told it goes on.
fn quietly(hook: &str, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!(hook, "a hook panicked");
    }
}
