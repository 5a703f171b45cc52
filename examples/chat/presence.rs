//! Who is in a room at this moment, and what is worth something at this moment only.
//!
//! Beside each room is another one, which keeps no history: with all who are present, by their nicks.

use primus::{Channel, PresenceChange, Spark};

use crate::{
    events::{Behind, Members, Presence, Room, Typist},
    people::{EVERYBODY, nick},
};

const BESIDE: &str = "/present";
const MEMBERS_A_PAGE: usize = 20;

/// The room of those who are present in `room`.
pub(crate) fn of(room: &str) -> String {
    format!("{room}{BESIDE}")
}

/// How many people are present in `room`; a person with two windows is one.
pub(crate) fn count(root: &Channel, room: &str) -> usize {
    root.room(&of(room)).count_members()
}

/// Somebody came or left. A reconnect or a reload is neither.
pub(crate) fn tell(root: &Channel, beside: &str, change: &PresenceChange) {
    let Some(room) = beside.strip_suffix(BESIDE) else { return };
    let (event, member) = match change {
        PresenceChange::Joined(member) => ("joined", member),
        PresenceChange::Left(member) => ("left", member),
    };
    let (name, people) = (room.to_owned(), count(root, room));
    let presence = Presence { room: name.clone(), nick: member.id.to_string(), people };
    let _ = root.room(beside).emit(event, &presence);
    // Of several numbers that wait for a client the last one will do.
    let _ = root.room(EVERYBODY).conflate(beside).emit("room", &Room { name, people });
}

/// A page of the members.
pub(crate) fn members(spark: &Spark, Behind { room, after }: Behind) -> Members {
    let root = spark.channel();
    let page = root.room(&of(&room)).members(after.as_deref(), MEMBERS_A_PAGE);
    let nicks = page.members.iter().map(|member| member.id.to_string()).collect();
    Members { nicks, people: count(&root, &room), next: page.next.map(|next| next.to_string()) }
}

/// Somebody types, which does not wait for anyone.
pub(crate) fn typing(spark: &Spark, room: String) {
    let beside = of(&room);
    if let Ok(nick) = nick(spark)
        && spark.is_in(&beside)
    {
        let others = spark.channel().room(&beside).except(spark).volatile();
        let _ = others.emit("typing", &Typist { room, nick: nick.to_owned() });
    }
}
