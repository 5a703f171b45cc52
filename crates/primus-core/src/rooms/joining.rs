//! A spark and its rooms.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use super::{How, Member, Missed, Since, room::Caught};
use crate::{
    authorize::Rejection,
    handle::Spark,
    names::{self, NameError},
};

/// A spark could not join a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is over, so it is in no room any more.
    #[error("the spark has ended")]
    Ended,
    /// The name is none for a room.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Spark {
    /// Puts the spark into a room of its channel; it stays there until it leaves or ends, whatever
    /// its connection does. To be in it already is no error.
    ///
    /// ```
    /// # fn f(spark: &primus_core::handle::Spark) -> Result<(), Box<dyn std::error::Error>> {
    /// spark.join("rust")?;
    /// spark.channel().room("rust").except(spark).write("somebody is here")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it has ended, or the name is none for a room.
    pub fn join(&self, room: &str) -> Result<(), JoinError> {
        names::check(room)?;
        let missed = self.belongings().rooms().take_missed(room);
        let new = match missed {
            None => self.enter(room, How::Joined),
            Some(since) => self.enter_behind(room, &since),
        };
        let new = new.ok_or(JoinError::Ended)?;
        if new {
            self.channel().tell_joined(self, room);
        }
        Ok(())
    }

    /// As [`join`](Self::join), and lets others see that `member` is present there: in
    /// [`members`](crate::Audience::members), and by
    /// [`on_presence`](crate::channel::ChannelRules::on_presence). Called again, it changes who that is.
    ///
    /// A member is present from the first spark that joins as it until its last spark leaves the
    /// room, or is over, or without a connection, for longer than `detach_grace` (5 s).
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_as(&self, room: &str, member: Member) -> Result<(), JoinError> {
        self.join(room)?;
        let channel = self.channel();
        let changes = {
            let mut rooms = self.belongings().rooms();
            if rooms.is_over() {
                return Err(JoinError::Ended);
            }
            // It may have been taken out again just now: then it is nobody there.
            let there = channel.rooms().get(room).filter(|_| rooms.has(room));
            let Some(there) = there else { return Ok(()) };
            let before = rooms.set_member(room, Some(member.clone()));
            if rooms.is_absent() {
                [None, None] // it appears when its connection is back
            } else {
                let appeared = there.appear(&member);
                let gone = before.and_then(|before| there.disappear(&before.id));
                [gone, appeared]
            }
        };
        for change in changes.into_iter().flatten() {
            channel.tell_presence(room, &change);
        }
        Ok(())
    }

    /// Puts it into a room, sends what its client has missed there, and tells it whether that was all.
    fn enter_behind(&self, room: &str, since: &Since) -> Option<bool> {
        let there = self.channel().rooms().get(room).filter(|there| there.keeps_history());
        let Some(there) = there else {
            if matches!(since, Since::Position(_)) {
                self.tell_history(room, Some(false));
            }
            return self.enter(room, How::Joined);
        };
        let (entered, caught) = there.catch_up(self, since, || self.enter(room, How::Joined));
        self.session().settle();
        self.tell_history(room, Some(caught.and_then(|caught| caught.recovered) == Some(true)));
        entered
    }

    fn tell_history(&self, room: &str, recovered: Option<bool>) {
        self.tell("primus.history", &json!({ "room": room, "recovered": recovered }));
    }

    /// Its client says what it has of the rooms of this channel: it is sent the rest, at once where it is in
    /// a room, else when it is put there.
    pub(crate) fn catch_up(&self, mut missed: Missed) {
        for room in self.rooms() {
            let since = missed.positions.remove(&*room).map(Since::Position);
            match since.or_else(|| Some(Since::Time(missed.since?.0))) {
                Some(since) => self.catch_up_in(&room, &since),
                // Its client asks for nothing, and may wait for the word that this was all.
                None => self.tell_history(&room, None),
            }
        }
        self.belongings().rooms().miss(missed);
    }

    fn catch_up_in(&self, room: &str, since: &Since) {
        let there = self.channel().rooms().get(room).filter(|there| there.keeps_history());
        let caught = there.and_then(|there| there.catch_up(self, since, || ()).1);
        self.session().settle();
        // A room without a history has lost nothing, unless it kept one before.
        let had = matches!(since, Since::Position(_)).then_some(false);
        self.tell_history(room, caught.map_or(had, |caught| Some(caught.recovered == Some(true))));
    }

    /// Whether that is new; `None`: it has ended.
    fn enter(&self, room: &str, how: How) -> Option<bool> {
        // From here on the end of the session finds it, so that it cannot stay behind.
        let belongings = self.belongings();
        if self.is_over() {
            return None;
        }
        let mut rooms = belongings.rooms();
        if rooms.is_over() {
            return None;
        }
        let (there, new) = self.channel().rooms().enter(room, self, how);
        if rooms.insert(there.name(), how) {
            self.session().count_subscriptions(1);
        }
        Some(new)
    }

    /// Joins at the wish of the client, and sends it what it missed.
    pub(crate) fn subscribe(&self, room: &str, since: &Since) -> Result<Option<Caught>, Rejection> {
        let session = self.session();
        if !self.belongings().rooms().is_subscribed(room) && !session.may_subscribe() {
            let error = "this client subscribed to too many rooms (max_subscriptions)";
            return Err(Rejection::new(StatusCode::TOO_MANY_REQUESTS, error));
        }
        // What is said until it has caught up waits for the lock that both take.
        let there = self.channel().rooms().get(room).filter(|there| there.keeps_history());
        let (entered, caught) = match there {
            None => (self.enter(room, How::Subscribed), None),
            Some(there) => there.catch_up(self, since, || self.enter(room, How::Subscribed)),
        };
        session.settle();
        match entered {
            None => Err(Rejection::new(StatusCode::GONE, "the session has ended")),
            Some(new) => {
                if new {
                    self.channel().tell_joined(self, room);
                }
                Ok(caught)
            }
        }
    }

    /// Takes the spark out of a room; false if it was not there.
    pub fn leave(&self, room: &str) -> bool {
        self.leave_as(room, None)
    }

    pub(crate) fn leave_as(&self, room: &str, how: Option<How>) -> bool {
        let Some(belongings) = self.belongings_if_any() else { return false };
        let channel = self.channel();
        let (left, change) = {
            let mut rooms = belongings.rooms();
            // Who leaves a room does not want it any more, either.
            if how != Some(How::Joined) && rooms.unsubscribe(room) {
                self.session().count_subscriptions(-1);
            }
            let Some(there) = channel.rooms().leave(room, self.id(), how) else { return false };
            let member = rooms.remove(room);
            (true, member.and_then(|member| there.disappear(&member.id)))
        };
        channel.tell_left(self, room);
        if let Some(change) = change {
            channel.tell_presence(room, &change);
            channel.rooms().tidy(room);
        }
        left
    }

    /// Takes the spark out of all rooms.
    pub fn leave_all(&self) {
        for room in self.rooms() {
            self.leave(&room);
        }
    }

    /// The rooms that it is in; once it has ended, those that it was in.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        self.belongings_if_any().map(|own| own.rooms().names()).unwrap_or_default()
    }

    /// Whether it is in a room.
    pub fn is_in(&self, room: &str) -> bool {
        self.channel().rooms().get(room).is_some_and(|room| room.has(self.id()))
    }

    /// It is over: no room has it any more.
    pub(crate) fn leave_all_at_end(&self) {
        let Some(belongings) = self.belongings_if_any() else { return };
        let channel = self.channel();
        let (names, present) = {
            let mut rooms = belongings.rooms();
            rooms.end();
            self.session().count_subscriptions(-(rooms.subscriptions() as isize));
            (rooms.names(), rooms.take_present())
        };
        for (room, member) in present {
            channel.depart(&room, &member);
        }
        for room in names {
            if channel.rooms().leave(&room, self.id(), None).is_some() {
                channel.tell_left(self, &room);
            }
        }
    }

    /// Its connection has been away for longer than a reconnect takes.
    pub(crate) fn be_absent(&self) {
        self.show(false);
    }

    /// Its connection is back.
    pub(crate) fn be_present(&self) {
        self.show(true);
    }

    fn show(&self, here: bool) {
        let Some(belongings) = self.belongings_if_any() else { return };
        let channel = self.channel();
        let mut changes = Vec::new();
        {
            let mut rooms = belongings.rooms();
            // It may be back, or over, by the time at which it is said to be away.
            let outdated = !here && !self.session().is_detached();
            if outdated || rooms.is_over() || rooms.is_absent() != here {
                return;
            }
            rooms.set_absent(!here);
            for (name, member) in rooms.present() {
                let Some(room) = channel.rooms().get(&name) else { continue };
                let change = if here { room.appear(&member) } else { room.disappear(&member.id) };
                changes.extend(change.map(|change| (name, change)));
            }
        }
        for (room, change) in changes {
            channel.tell_presence(&room, &change);
        }
    }
}
