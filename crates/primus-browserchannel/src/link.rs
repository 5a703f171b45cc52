//! What the requests of one session share.

mod hear;
mod tell;

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use primus_core::{CloseReason, Session};
use primus_http::post::Owed;
use tokio::sync::Notify;

use crate::{
    face::Face,
    protocol::{arrays::Arrays, rids::Rids},
};

pub(crate) use self::{
    hear::{NoTurn, NotTaken},
    tell::{BUDGET, Next},
};

/// Kept with a session as its extension.
pub(crate) struct Link {
    face: Mutex<Face>,
    talk: Mutex<Talk>,
    rids: Mutex<Order>,
    /// A request has been served, so that the next may be.
    served: Notify,
    /// One request delivers at a time. The number of the next map.
    maps: tokio::sync::Mutex<u64>,
    /// Its client has been told of decisions, so that what waits for them may have become less.
    decided: Notify,
}

/// What is said to the client.
#[derive(Default)]
struct Talk {
    arrays: Arrays,
    /// The generation of the newest back channel.
    generation: u64,
    /// Whether it is there.
    open: bool,
    /// What the protocol itself has to say, by the next back channel.
    owed: Owed,
    /// The end has been said.
    ended: bool,
}

/// The order of requests, and how many wait in it.
struct Order {
    rids: Rids,
    waiting: u32,
}

impl Link {
    /// Of a session that is opened by request `rid`. `hello` is its first array.
    pub(crate) fn new(face: Face, rid: u64, hello: Bytes) -> Self {
        let mut talk = Talk::default();
        talk.arrays.say(hello);
        talk.arrays.rewind();
        Self {
            face: Mutex::new(face),
            talk: Mutex::new(talk),
            rids: Mutex::new(Order { rids: Rids::after(rid), waiting: 0 }),
            served: Notify::new(),
            maps: tokio::sync::Mutex::new(0),
            decided: Notify::new(),
        }
    }

    /// That of a session of ours.
    pub(crate) fn of(session: &Session) -> Option<&Self> {
        session.extension()
    }

    pub(crate) fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rids(&self) -> MutexGuard<'_, Order> {
        self.rids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a session is ended whose client sends what is no JSON.
pub(crate) fn invalid_json() -> CloseReason {
    CloseReason::BAD_CONTROL.with_text("Invalid JSON")
}
