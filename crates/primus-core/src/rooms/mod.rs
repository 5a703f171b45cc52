//! Rooms: named sets of sparks in a channel, with what they keep and who is present.

mod history;
mod joining;
mod member;
mod memberships;
mod presence;
mod room;
mod shards;

pub(crate) use self::{
    history::{Copies, History},
    memberships::{Memberships, Missed},
    presence::Departures,
    room::{How, Room, Since},
    shards::Rooms,
};
pub use self::{
    history::{Keep, NotAvailable, Position},
    joining::JoinError,
    member::{Member, Page, PresenceChange},
};
