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
mod callbacks;
mod carrier;
mod control;
mod detach;
mod ending;
mod extras;
mod handler;
mod heartbeat;
mod inbox;
mod mail;
mod notices;
mod outbox;
mod receive;
mod wakers;
mod wire;

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

pub use self::{
    attach::Asked,
    callbacks::Callbacks,
    carrier::{Carriage, Carrier, Taken, Work},
    control::PublishError,
    outbox::Resume,
    wire::Wire,
};
pub(crate) use self::{
    callbacks::OnData,
    detach::Waiting,
    mail::{Lane, Mail, MailBox, Popped, poll_mail},
    wire::Wires,
};
use self::{
    extras::Extras,
    handler::Slot,
    inbox::Inbox,
    notices::Notices,
    outbox::{Outbox, Pushed},
};
use crate::{
    admission::Permit,
    authorize::User,
    envelope::Envelope,
    handshake::Handshake,
    id::{Secret, SparkId, id_and_key},
    message::Message,
    metrics::Meters,
    mount::Mount,
    packet::{Delivery, Outgoing},
    resume::Entry,
    settings::Limits,
    spark::{WriteError, Written},
};

/// A session could not take a message from its client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The handler is behind: wait with [`Session::room`] and offer the message again.
    #[error("the handler is behind")]
    Full(Envelope),
    /// The session is over.
    #[error("the session has ended")]
    Ended(Envelope),
    /// Something before it is missing: the client has to go on behind number `recv`.
    #[error("messages are missing between {recv} and this one")]
    Gap {
        /// The highest number received.
        recv: u64,
    },
    /// It came by a carrier that another one has replaced.
    #[error("another carrier has the session")]
    Fenced,
}

/// What became of a message for a client.
#[derive(Debug)]
pub(crate) enum Offered {
    Queued,
    /// And more waits than is good.
    Pressured,
    Dropped,
    Ended(Outgoing),
    /// There is no room; by the policy the session ends.
    Overflowed(Outgoing),
}

impl Offered {
    /// The session cannot have it. What a transform dropped was not meant for it.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Overflowed(_))
    }
}

/// What its transformer says of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionKind {
    pub(crate) resume: Resume,
    /// Its client can answer requests.
    pub(crate) answers: bool,
    /// Its handler waits for [`Session::begin`].
    pub(crate) held: bool,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) presence: bool,
}

/// One client. Transformers hold it; handlers hold a [`Spark`] over it.
pub struct Session {
    id: SparkId,
    key: Secret,
    pub(crate) mount: Arc<Mount>,
    handshake: Handshake,
    user: Option<User>,
    resume: Resume,
    outbox: Mutex<Outbox>,
    inbox: Mutex<Inbox>,
    slot: Mutex<Slot>,
    callbacks: Mutex<Callbacks>,
    /// Microseconds on the mount's clock.
    last_seen: AtomicU64,
    last_ping: AtomicU64,
    /// Round trip of the last ping in microseconds; 0: not known.
    latency: AtomicU64,
    heartbeat: AtomicBool,
    /// A ping has not been answered yet.
    pinged: AtomicBool,
    answers: AtomicBool,
    /// The carrier does not read because the handler is behind.
    paused: AtomicBool,
    /// The carrier is in a turn and will run the handler and write before it waits, so nobody need wake it.
    driving: AtomicBool,
    announced: AtomicBool,
    permit: Mutex<Option<Permit>>,
    notices: Notices,
    token: Mutex<Option<Secret>>,
    extension: OnceLock<Box<dyn Any + Send + Sync>>,
    extras: OnceLock<Box<Extras>>,
    /// Somebody awaits `ready`.
    awaits_room: AtomicBool,
    /// That had to be given up: its client sends too much that nobody reads.
    backlog: AtomicBool,
    /// Its client can answer requests.
    answers_requests: bool,
    /// How often its client is pinged, in µs.
    ping_interval: u64,
    /// It is told who is present.
    hears_presence: bool,
}

impl Session {
    pub(crate) fn new(
        mount: Arc<Mount>,
        handshake: Handshake,
        user: Option<User>,
        permit: Permit,
        kind: SessionKind,
    ) -> Arc<Self> {
        let SessionKind { resume, answers: answers_requests, held, ping_interval, presence } = kind;
        let (id, key) = id_and_key();
        let now = mount.clock();
        let transport = handshake.transformer();
        // Without a window nothing would wait for the client.
        let keeps = !mount.settings().limits.resume_window.is_zero();
        // Staggers the heartbeats of sessions that came at once: the first ping is due between half and a whole interval from now.
        let ping_interval =
            ping_interval.unwrap_or(mount.shared.settings.ping_interval).as_micros() as u64;
        let early = ping_interval / 2 * id.shard(256) as u64 / 256;
        Arc::new(Self {
            id,
            key,
            handshake,
            user,
            resume: if keeps { resume } else { Resume::Never },
            outbox: Mutex::new(Outbox::new(transport)),
            inbox: Mutex::new(Inbox::default()),
            slot: Mutex::new(Slot::new(held)),
            callbacks: Mutex::new(Callbacks::default()),
            last_seen: AtomicU64::new(now),
            last_ping: AtomicU64::new(now.saturating_sub(early)),
            latency: AtomicU64::new(0),
            heartbeat: AtomicBool::new(false),
            pinged: AtomicBool::new(false),
            answers: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            driving: AtomicBool::new(false),
            announced: AtomicBool::new(false),
            permit: Mutex::new(Some(permit)),
            notices: Notices::default(),
            token: Mutex::new(None),
            extension: OnceLock::new(),
            extras: OnceLock::new(),
            awaits_room: AtomicBool::new(false),
            backlog: AtomicBool::new(false),
            answers_requests,
            ping_interval,
            hears_presence: presence,
            mount,
        })
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn callbacks(&self) -> MutexGuard<'_, Callbacks> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_callbacks(&self) -> Callbacks {
        std::mem::take(&mut *self.callbacks())
    }

    fn meters(&self) -> Arc<Meters> {
        self.mount.meters(self.transport())
    }

    /// The public id.
    pub fn id(&self) -> SparkId {
        self.id
    }

    /// The secret by which a client would resume.
    pub fn key(&self) -> Secret {
        self.key
    }

    /// The mount that it belongs to.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The limits of its mount.
    pub fn limits(&self) -> &Limits {
        &self.mount.settings().limits
    }

    /// What was kept of the request that opened it.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// What `authorize` returned.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The name of the transformer that carries it, or that carried it last.
    pub fn transport(&self) -> &'static str {
        self.outbox().transport
    }

    /// Whether it waits for a client that is away.
    pub fn is_resumable(&self) -> bool {
        self.resume != Resume::Never
    }

    /// Whether its client counts the messages, so that none may come without a number.
    pub fn is_counted(&self) -> bool {
        self.resume == Resume::Acknowledged
    }

    /// Whether its client understands what the protocol says by events of its own.
    pub(crate) fn hears_us(&self) -> bool {
        self.answers_requests
    }

    /// Whether it is told who comes to its rooms, and who leaves them.
    pub(crate) fn hears_presence(&self) -> bool {
        self.hears_presence
    }

    fn token_slot(&self) -> MutexGuard<'_, Option<Secret>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the token of its HTTP carrier; what it was before comes back.
    pub(crate) fn set_token(&self, token: Option<Secret>) -> Option<Secret> {
        std::mem::replace(&mut *self.token_slot(), token)
    }

    /// The token of its HTTP carrier, if it has one.
    pub fn token(&self) -> Option<Secret> {
        *self.token_slot()
    }

    /// What the transformer keeps with the session; set once.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.extension.get()?.downcast_ref()
    }

    /// Keeps something of the transformer's with the session. False if there was something.
    pub fn set_extension<T: Any + Send + Sync>(&self, value: T) -> bool {
        self.extension.set(Box::new(value)).is_ok()
    }

    pub(crate) fn push(
        self: &Arc<Self>,
        outgoing: Outgoing,
        delivery: Delivery,
    ) -> Result<Written, WriteError> {
        let offered = self.offer(outgoing, delivery, None);
        self.settle();
        match offered {
            Offered::Queued => Ok(Written::Queued),
            Offered::Pressured => Ok(Written::Pressured),
            Offered::Dropped => Ok(Written::Dropped),
            Offered::Ended(outgoing) => Err(WriteError::Ended(Some(outgoing.into()))),
            Offered::Overflowed(outgoing) => {
                self.overflowed();
                Err(WriteError::TooSlow(Some(outgoing.into())))
            }
        }
    }

    /// As [`push`](Self::push), but what comes of it, which may run hooks of the application, is left
    /// to the caller: [`settle`](Self::settle), and [`overflowed`](Self::overflowed). Where there are
    /// `wires`, they take that of the session, if it has to be flushed; else the carrier is woken.
    pub(crate) fn offer(
        self: &Arc<Self>,
        outgoing: Outgoing,
        delivery: Delivery,
        wires: Option<&mut Wires<'_>>,
    ) -> Offered {
        let mut outbox = self.outbox();
        let charged = outbox.charged;
        let pushed = outbox.push(Entry { outgoing, delivery }, self.resume, self.limits());
        if outbox.charged != charged {
            // Under the lock, so that it is not refunded before it was charged.
            self.mount.shared.detached.charge(charged, outbox.charged);
        }
        let displaced = std::mem::take(&mut outbox.displaced);
        let (offered, wake) = match pushed {
            Pushed::Queued { wake } => (Offered::Queued, wake),
            Pushed::Pressured { wake } => (Offered::Pressured, wake),
            Pushed::Ended(outgoing) => return Offered::Ended(outgoing),
            Pushed::Overflowed(outgoing) => return Offered::Overflowed(outgoing),
            Pushed::Dropped => {
                drop(outbox);
                self.meters().dropped("newest");
                return Offered::Dropped;
            }
        };
        let carrier = if !wake || self.driving.load(Ordering::Acquire) {
            None // what it has not written yet, or writes at the end of its turn, this goes with
        } else if let (Some(wires), Some(wire)) = (wires, outbox.wire()) {
            wires.add(wire);
            None
        } else {
            outbox.carrier().cloned()
        };
        drop(outbox);
        carrier.into_iter().for_each(Waker::wake);
        for _ in 0..displaced {
            self.meters().dropped("oldest");
        }
        offered
    }

    /// Holds what is kept for all clients that are away within its budget.
    pub(crate) fn settle(&self) {
        if self.mount.shared.detached.bytes() > 0 {
            self.mount.shared.relieve();
        }
    }

    /// Whether so many messages of so many bytes can be queued at once.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let (outbox, limits) = (self.outbox(), self.limits());
        if outbox.is_detached() {
            return outbox.ring.len() + messages <= limits.resume_messages
                && outbox.ring.bytes() + bytes <= limits.resume_bytes;
        }
        outbox.ring.waiting_bytes() + bytes <= limits.max_queued
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.outbox().ring.waiting_bytes()
    }

    /// Bytes that are kept for the client: waiting, or not acknowledged.
    pub fn kept(&self) -> usize {
        self.outbox().ring.bytes()
    }

    /// As [`kept`](Self::kept), without what is shared with others; and what it costs to keep it.
    pub(crate) fn kept_alone(&self) -> usize {
        self.outbox().ring.cost()
    }

    /// The same, of a session that has not been charged for it: one with a carrier.
    pub(crate) fn carried_cost(&self) -> usize {
        let outbox = self.outbox();
        if outbox.is_detached() { 0 } else { outbox.ring.cost() }
    }

    /// Messages with numbers; bytes of what is written, of what waits, and of all.
    #[cfg(test)]
    pub(crate) fn kept_parts(&self) -> (usize, usize, usize, usize) {
        let outbox = self.outbox();
        let (bytes, waiting) = (outbox.ring.bytes(), outbox.ring.waiting_bytes());
        (outbox.ring.numbered(), bytes - waiting, waiting, bytes)
    }

    /// Whether it has no carrier, and waits for its client.
    pub fn is_detached(&self) -> bool {
        self.outbox().is_detached()
    }

    pub(crate) fn is_pressured(&self) -> bool {
        self.outbox().is_pressured(self.resume, self.limits())
    }

    pub(crate) fn undelivered(&self) -> Vec<Message> {
        let parser = &self.mount.settings().parser;
        let open = |outgoing: &Outgoing| Message::open(outgoing.envelope(), Arc::clone(parser));
        self.outbox().undelivered.iter().flatten().map(open).collect()
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let mut outbox = self.outbox();
        if !outbox.is_open() {
            return Poll::Ready(Err(WriteError::Ended(None)));
        }
        if !outbox.is_pressured(self.resume, self.limits()) {
            self.awaits_room.store(false, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        if self.backlog.swap(false, Ordering::Relaxed) {
            return Poll::Ready(Err(WriteError::Backlogged));
        }
        outbox.waiting.wait(cx);
        drop(outbox);
        if !self.awaits_room.swap(true, Ordering::Relaxed) {
            // The acknowledgement may be behind what nobody reads at the moment.
            self.read_on();
        }
        Poll::Pending
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("handshake", &self.handshake)
            .field("transport", &self.transport())
            .finish_non_exhaustive()
    }
}
