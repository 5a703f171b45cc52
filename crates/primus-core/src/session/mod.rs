//! A session: one client, whatever carries it now.
//!
//! Passive data, never a task. Four small locks, never across an await: the outbox (what waits to be
//! written, where the carrier is, the state of life), the inbox, the slot of the handler, and the
//! callbacks. Two of them are held together only in the moment of a resume (outbox, then inbox); nobody
//! is woken and no hook is called under any of them. What a session has only once it uses it is in its
//! [`extras`], with locks of their own, of which the same holds.
//!
//! ```text
//!             open ──attach──▶ carried ◀──unpark/park──▶ parked
//!                               │  ▲  │ end(reason)         │
//!               carrier is lost │  │  ▼                     │ no poll in time
//!                               │  │ ending: the outbox     │
//!                               │  │ drains, the carrier    │
//!                               ▼  │ attach    says why     │
//!                             detached ◀────────────────────┘
//!            finished, cut,      │ the resume window passes, or there is no room
//!            or not resumable    ▼
//!                              ended ── handler returns or its grace passes ──▶ on_disconnection
//! ```

mod attach;
mod batch;
mod brought;
mod callbacks;
mod carrier;
mod control;
mod detach;
mod ending;
mod extras;
mod handler;
mod heartbeat;
mod identity;
mod inbox;
mod mail;
mod notices;
mod outbox;
mod push;
mod receive;
#[cfg_attr(model, path = "../../../../tests/model/src/sync.rs")]
mod sync;
mod turn;
mod wakers;
mod wire;

use std::{
    any::Any,
    mem::offset_of,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
};

pub use self::{
    attach::Asked,
    batch::Batch,
    callbacks::Callbacks,
    carrier::{Carriage, Carrier, Taken, Work},
    control::PublishError,
    outbox::Resume,
    receive::DeliverError,
    turn::Turn,
    wire::Wire,
};
use self::{
    brought::Brought, extras::Extras, handler::Slot, inbox::Inbox, notices::Notices,
    outbox::Outbox, sync::Mutex,
};
pub(crate) use self::{
    callbacks::OnData,
    detach::Waiting,
    identity::SessionKind,
    mail::{Lane, Mail, MailBox, poll_mail},
    push::Offered,
    wire::Wires,
};
use crate::{
    authorize::User,
    handshake::Handshake,
    id::{Secret, SparkId},
    mount::Mount,
    prefetch::{COUNTERS, LINE},
};

/// One client. Transformers hold it; handlers hold a [`Spark`](crate::handle::Spark) over it.
// In this order, so that what a message to it looks at lies together: for each receiver of a broadcast a line of the
// cache is a miss. Nobody else may count on it.
#[repr(C)]
pub struct Session {
    outbox: Mutex<Outbox>,
    pub(crate) mount: Arc<Mount>,
    extras: OnceLock<Box<Extras>>,
    /// Nobody has had the outbox since its carrier found it empty.
    untouched: sync::AtomicBool,
    brought: Brought,
    resume: Resume,
    /// How often its client is pinged, in milliseconds.
    ping_interval: u32,
    id: SparkId,
    key: Secret,
    handshake: Handshake,
    user: Option<User>,
    inbox: Mutex<Inbox>,
    slot: Mutex<Slot>,
    callbacks: Mutex<Callbacks>,
    /// Microseconds on the mount's clock; or [`LATELY`](Self::LATELY), so that a message need not read it.
    last_seen: AtomicU64,
    last_ping: AtomicU64,
    /// Round trip of the last ping in microseconds; 0: not known.
    latency: AtomicU32,
    heartbeat: AtomicBool,
    /// A ping has not been answered yet.
    pinged: AtomicBool,
    answers: AtomicBool,
    /// The carrier does not read because the handler is behind.
    paused: AtomicBool,
    /// Callbacks have been set, or an event has come: something may have to be served beside the handler.
    served: AtomicBool,
    announced: AtomicBool,
    /// It has a place among all that are admitted.
    admitted: AtomicBool,
    /// Somebody awaits `ready`.
    awaits_room: AtomicBool,
    /// That had to be given up: its client sends too much that nobody reads.
    backlog: AtomicBool,
    client: Client,
    /// The carrier is in a turn and will run the handler before it waits, so nobody need wake it for that.
    driving: sync::AtomicBool,
    notices: Notices,
    /// In a box of its own: most have none, and a pointer to a `dyn` is two.
    extension: OnceLock<Box<Box<dyn Any + Send + Sync>>>,
}

/// What its client can, in one byte.
#[derive(Debug, Clone, Copy)]
struct Client(u8);

impl Client {
    /// It can answer requests.
    const ANSWERS: u8 = 1;
    /// It is told who is present.
    const HEARS_PRESENCE: u8 = 2;
    /// Its messages have numbers, and it counts ours: also where nothing is kept for its return.
    const COUNTS: u8 = 4;

    fn new(answers: bool, presence: bool, counts: bool) -> Self {
        let bit = |bit, is: bool| if is { bit } else { 0 };
        Self(
            bit(Self::ANSWERS, answers)
                | bit(Self::HEARS_PRESENCE, presence)
                | bit(Self::COUNTS, counts),
        )
    }

    #[inline]
    fn is(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

impl Session {
    /// Cache lines with all that a message looks at, behind the counters of an `Arc`.
    const LINES: usize = 4;
    /// Since the last sweep.
    const LATELY: u64 = u64::MAX;
}

const _: () =
    assert!(cfg!(model) || COUNTERS + offset_of!(Session, ping_interval) < Session::LINES * LINE);
