//! Rooms: which there are, and who may come in.

use http::StatusCode;
use primus::{Channel, Keep, Member, NameError, Rejection, Spark};

use crate::{events::Room, people::nick, presence};

/// Who comes in sees so much of what was said before.
pub(crate) const HISTORY: usize = 50;
/// There are no more than these; a room that nobody is in makes place.
const MOST: usize = 100;

/// Opens the first rooms. Pages come in by `primus.subscribe`, event streams by `?subscribe=`.
pub(crate) fn open(root: &Channel) -> Result<(), NameError> {
    for room in ["lobby", "music", "rust"] {
        root.keep(room, Keep::messages(HISTORY))?;
    }
    root.authorize_join(async |spark: Spark, room: String| may_join(&spark, &room));
    root.on_join(|spark, room| {
        if let Ok(nick) = nick(spark)
            && is_public(room)
        {
            // It fails if the spark has ended meanwhile, and then nobody is here.
            let _ = spark.join_as(&presence::of(room), Member::new(nick));
        }
    });
    root.on_leave(|spark, room| {
        if is_public(room) {
            spark.leave(&presence::of(room));
        }
    });
    let everywhere = root.clone();
    root.on_presence(move |room, change| presence::tell(&everywhere, room, change));
    Ok(())
}

/// A room that is not there is made, for whoever has a nick.
fn may_join(spark: &Spark, room: &str) -> Result<(), Rejection> {
    let root = spark.channel();
    if !is_public(room) {
        let error = "the name of a room has 1 to 24 characters, no / and no @ in front";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, error));
    }
    if root.position(room).is_some() {
        return Ok(());
    }
    nick(spark)?;
    let rooms = list(&root);
    if rooms.len() >= MOST {
        let idle = rooms.iter().find(|room| root.room(&room.name).is_empty());
        let full = || Rejection::new(StatusCode::CONFLICT, "there are too many rooms already");
        root.keep(&idle.ok_or_else(full)?.name, None).map_err(no_name)?;
    }
    root.keep(room, Keep::messages(HISTORY)).map_err(no_name)
}

fn no_name(error: NameError) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, error.to_string())
}

/// Whether this is the name of a room to talk in.
fn is_public(room: &str) -> bool {
    (1..=24).contains(&room.chars().count()) && !room.starts_with('@') && !room.contains('/')
}

/// The rooms that there are, and how many people are in each.
pub(crate) fn list(root: &Channel) -> Vec<Room> {
    let names = root.rooms_by_name().into_iter().filter(|name| is_public(name));
    let room = |name: &str| Room { name: name.to_owned(), people: presence::count(root, name) };
    let mut rooms: Vec<_> = names.map(|name| room(&name)).collect();
    rooms.sort_by(|one, other| one.name.cmp(&other.name));
    rooms
}
