//! A session: one client, whatever carries it now.
//!
//! Passive data, never a task. Four small locks, never held together and never across an await:
//! the outbox (what waits to be written, where the carrier is, the state of life), the inbox, the
//! slot of the handler, and the callbacks.
//!
//! ```text
//!             open ──attach──▶ carried ◀──unpark/park──▶ parked
//!                                │ end(reason)             │
//!                                ▼                         │ no poll in time
//!                             ending: outbox drains,       │
//!                             the carrier says why         │
//!            finish, drop, cut   │                         │
//!                                ▼                         ▼
//!                              ended ── handler returns or its grace passes ──▶ on_disconnection
//! ```

mod callbacks;
mod carrier;
mod ending;
mod handler;
mod heartbeat;
mod inbox;
mod outbox;
mod receive;

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

pub(crate) use self::callbacks::OnData;
pub use self::{
    callbacks::Callbacks,
    carrier::{Carriage, Carrier, Taken, Work},
};
use self::{
    handler::Slot,
    inbox::Inbox,
    outbox::{Life, Outbox, Place, Pushed},
};
use crate::{
    admission::Permit,
    authorize::User,
    close::CloseReason,
    handshake::Handshake,
    id::{Secret, SparkId},
    message::Payload,
    metrics::Meters,
    mount::Mount,
    packet::Outgoing,
    settings::Limits,
    spark::{WriteError, Written},
};

/// A session could not take a message from its client.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The handler is behind: wait with [`Session::room`] and offer the message again.
    #[error("the handler is behind")]
    Full(Payload),
    /// The session is over.
    #[error("the session has ended")]
    Ended(Payload),
}

/// One client. Transformers hold it; handlers hold a [`Spark`] over it.
pub struct Session {
    id: SparkId,
    key: Secret,
    pub(crate) mount: Arc<Mount>,
    handshake: Handshake,
    user: Option<User>,
    meters: Arc<Meters>,
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
    token: OnceLock<Secret>,
    extension: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Session {
    pub(crate) fn new(
        mount: Arc<Mount>,
        handshake: Handshake,
        user: Option<User>,
        permit: Permit,
    ) -> Arc<Self> {
        let id = SparkId::random();
        let now = mount.clock();
        let meters = mount.meters(handshake.transformer());
        // Staggers the heartbeats of sessions that came at once: the first ping is due between half and a whole interval from now.
        let interval = mount.shared.settings.ping_interval.as_micros() as u64;
        let early = interval / 2 * id.shard(256) as u64 / 256;
        Arc::new(Self {
            id,
            key: Secret::random(),
            handshake,
            user,
            meters,
            outbox: Mutex::new(Outbox::new()),
            inbox: Mutex::new(Inbox::default()),
            slot: Mutex::new(Slot::new()),
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
            token: OnceLock::new(),
            extension: OnceLock::new(),
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

    fn meters(&self) -> &Meters {
        &self.meters
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

    pub(crate) fn issue_token(&self) -> Secret {
        *self.token.get_or_init(Secret::random)
    }

    /// The token of its HTTP carrier, if it has one.
    pub fn token(&self) -> Option<Secret> {
        self.token.get().copied()
    }

    /// What the transformer keeps with the session; set once.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.extension.get()?.downcast_ref()
    }

    /// Keeps something of the transformer's with the session. False if there was something.
    pub fn set_extension<T: Any + Send + Sync>(&self, value: T) -> bool {
        self.extension.set(Box::new(value)).is_ok()
    }

    /// Attaches a carrier. An older one becomes a stranger: it can neither take nor park, and its
    /// end is not the session's. The first attach starts the handler.
    pub fn attach(self: &Arc<Self>, carriage: Carriage) -> Carrier {
        let (generation, older) = {
            let mut outbox = self.outbox();
            if matches!(outbox.life, Life::Ended(_)) {
                // It ended before it was carried: a carrier of no generation learns that at once.
                return Carrier::new(Arc::clone(self), 0);
            }
            outbox.generation += 1;
            let place = Place::Carried { waker: None, drives: carriage.drives };
            (outbox.generation, std::mem::replace(&mut outbox.place, place))
        };
        self.heartbeat.store(carriage.heartbeat, Ordering::Relaxed);
        self.answers.store(carriage.answers, Ordering::Relaxed);
        self.seen();
        if matches!(older, Place::Nowhere) {
            self.mount.shared.connected(self.handshake.transformer(), 1);
        }
        if let Place::Carried { waker: Some(waker), .. } = older {
            waker.wake();
        }
        self.schedule();
        Carrier::new(Arc::clone(self), generation)
    }

    /// Takes up a parked session again. `None` if another request holds it, or it has ended.
    pub fn unpark(self: &Arc<Self>, generation: u64) -> Option<Carrier> {
        let mut outbox = self.outbox();
        if outbox.generation != generation || !matches!(outbox.place, Place::Parked { .. }) {
            return None;
        }
        outbox.place = Place::Carried { waker: None, drives: false };
        drop(outbox);
        self.seen();
        Some(Carrier::new(Arc::clone(self), generation))
    }

    fn detach(self: &Arc<Self>, generation: u64, reason: CloseReason) {
        let reason = match &self.outbox().life {
            Life::Ending(reason, _) => reason.clone(),
            _ => reason,
        };
        // Sessions do not outlive their carrier yet: losing it is the end.
        self.close(generation, reason, false);
    }

    pub(crate) fn push(self: &Arc<Self>, outgoing: Outgoing) -> Result<Written, WriteError> {
        let mut outbox = self.outbox();
        let was_empty = outbox.is_empty();
        let pushed = outbox.push(outgoing, self.limits());
        for _ in 0..std::mem::take(&mut outbox.displaced) {
            self.meters().dropped("oldest");
        }
        let written = match pushed {
            Pushed::Queued => Written::Queued,
            Pushed::Pressured => Written::Pressured,
            Pushed::Ended => return Err(WriteError::Ended),
            Pushed::Dropped => {
                drop(outbox);
                self.meters.dropped("newest");
                return Ok(Written::Dropped);
            }
            Pushed::Overflowed => {
                outbox.clear();
                drop(outbox);
                self.meters.dropped("disconnect");
                self.end(CloseReason::TOO_SLOW);
                return Err(WriteError::TooSlow);
            }
        };
        if was_empty && let Some(carrier) = outbox.carrier() {
            let carrier = carrier.clone();
            drop(outbox);
            if !self.driving.load(Ordering::Acquire) {
                carrier.wake();
            }
        }
        Ok(written)
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.outbox().bytes()
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let mut outbox = self.outbox();
        if !outbox.is_open() {
            return Poll::Ready(Err(WriteError::Ended));
        }
        if outbox.bytes() <= self.limits().pressure {
            return Poll::Ready(Ok(()));
        }
        wait_in(&mut outbox.waiting, cx);
        Poll::Pending
    }
}

fn wait_in(waiting: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("handshake", &self.handshake)
            .finish_non_exhaustive()
    }
}
