//! What pages and the server say to each other. `events.d.ts` is written from this, by
//! `cargo xtask types`.

use primus_examples::types::Request;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What the server emits.
#[derive(TS)]
#[allow(dead_code, reason = "it is there for its types")]
pub(crate) struct ServerEvents {
    /// A room is new, or has another number of people.
    room: Room,
    joined: Presence,
    left: Presence,
    typing: Typist,
    /// To those who subscribed to a room.
    said: Line,
    /// To one person, and to whoever said it.
    told: Whisper,
    probe: Probe,
}

/// What pages emit and ask for.
#[derive(TS)]
#[allow(dead_code, reason = "it is there for its types")]
pub(crate) struct ClientEvents {
    /// Takes a nick, or is refused with 409; answers with the rooms that there are.
    nick: Request<Introduction, Vec<Room>>,
    members: Request<Behind, Members>,
    /// The last lines of this room.
    recent: Request<String, Vec<Line>>,
    say: Request<Say, ()>,
    tell: Request<Tell, ()>,
    /// In this room.
    typing: String,
    /// A message of the connection lab: its number.
    probe: u64,
}

#[derive(Serialize, TS)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) people: usize,
}

/// Somebody came to a room, or left it.
#[derive(Serialize, TS)]
pub(crate) struct Presence {
    pub(crate) room: String,
    pub(crate) nick: String,
    pub(crate) people: usize,
}

#[derive(Serialize, TS)]
pub(crate) struct Typist {
    pub(crate) room: String,
    pub(crate) nick: String,
}

/// Something that was said in a room.
#[derive(Serialize, Deserialize, TS)]
pub(crate) struct Line {
    pub(crate) nick: String,
    pub(crate) text: String,
    pub(crate) key: Option<String>,
    /// Milliseconds since 1970. No two lines have the same.
    pub(crate) at: u64,
}

/// Something that was said in private.
#[derive(Serialize, TS)]
pub(crate) struct Whisper {
    pub(crate) to: String,
    #[serde(flatten)]
    pub(crate) line: Line,
}

/// An answer of the connection lab: the number, and the how manieth it is in its session.
#[derive(Serialize, TS)]
pub(crate) struct Probe {
    pub(crate) n: u64,
    pub(crate) heard: u64,
}

/// Who somebody wants to be.
#[derive(Deserialize, TS)]
pub(crate) struct Introduction {
    pub(crate) nick: String,
    /// A secret: who has it, too, is the same person in another window, or back.
    #[serde(default)]
    pub(crate) key: String,
}

#[derive(Deserialize, TS)]
pub(crate) struct Say {
    pub(crate) room: String,
    pub(crate) text: String,
    /// The page's own name for the line.
    #[serde(default)]
    #[ts(optional)]
    pub(crate) key: Option<String>,
    /// Whether it may have been said before, in a session that is gone.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub(crate) again: bool,
}

#[derive(Deserialize, TS)]
pub(crate) struct Tell {
    pub(crate) to: String,
    pub(crate) text: String,
    #[serde(default)]
    #[ts(optional)]
    pub(crate) key: Option<String>,
}

/// Which members of a room: those behind this one, or the first.
#[derive(Deserialize, TS)]
pub(crate) struct Behind {
    pub(crate) room: String,
    #[serde(default)]
    #[ts(optional)]
    pub(crate) after: Option<String>,
}

/// A page of a room's members, by their nicks, and how many there are in all.
#[derive(Serialize, TS)]
pub(crate) struct Members {
    pub(crate) nicks: Vec<String>,
    pub(crate) people: usize,
    /// Ask for what is behind this, if there is more.
    pub(crate) next: Option<String>,
}
