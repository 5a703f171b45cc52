//! Who a session is: its ids, the request that opened it, and what it belongs to.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Callbacks, Client, Resume, Session,
    brought::Brought,
    handler::Slot,
    inbox::Inbox,
    notices::Notices,
    outbox::Outbox,
    sync::{self, Mutex, MutexGuard, PoisonError},
};
use crate::{
    admission::Permit,
    authorize::User,
    handshake::Handshake,
    id::{Secret, SparkId, id_and_key},
    metrics::Meters,
    mount::Mount,
    prefetch::prefetch,
    settings::Limits,
};

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

impl Session {
    pub(crate) fn new(
        mount: Arc<Mount>,
        handshake: Handshake,
        user: Option<User>,
        permit: Permit,
        kind: SessionKind,
    ) -> Arc<Self> {
        let SessionKind { resume, answers, held, ping_interval, presence } = kind;
        let (id, key) = id_and_key();
        let now = mount.clock();
        let meters = mount.meters(handshake.transformer());
        permit.keep();
        // Without a window nothing would wait for the client.
        let keeps = !mount.settings().limits.resume_window.is_zero();
        // Staggers the heartbeats of sessions that came at once: the first ping is due between half and a whole interval from now.
        let ping_interval = ping_interval.unwrap_or(mount.shared.settings.ping_interval);
        let early = ping_interval.as_micros() as u64 / 2 * id.shard(256) as u64 / 256;
        Arc::new(Self {
            id,
            key,
            handshake,
            user,
            resume: if keeps { resume } else { Resume::Never },
            outbox: Mutex::new(Outbox::new(meters)),
            inbox: Mutex::new(Inbox::default()),
            slot: Mutex::new(Slot::new(held)),
            callbacks: Mutex::new(Callbacks::default()),
            last_seen: AtomicU64::new(now),
            last_ping: AtomicU64::new(now.saturating_sub(early)),
            latency: AtomicU32::new(0),
            heartbeat: AtomicBool::new(false),
            pinged: AtomicBool::new(false),
            answers: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            driving: sync::AtomicBool::new(false),
            untouched: sync::AtomicBool::new(false),
            served: AtomicBool::new(false),
            announced: AtomicBool::new(false),
            admitted: AtomicBool::new(true),
            notices: Notices::default(),
            extension: OnceLock::new(),
            extras: OnceLock::new(),
            awaits_room: AtomicBool::new(false),
            backlog: AtomicBool::new(false),
            ping_interval: u32::try_from(ping_interval.as_micros().div_ceil(1000))
                .unwrap_or(u32::MAX),
            client: Client::new(answers, presence, resume != Resume::Never),
            brought: Brought::new(),
            mount,
        })
    }

    /// Has the processor fetch what every message to this session looks at, if it is still there; nothing is read.
    #[inline]
    pub fn prefetch(session: *const Self) {
        prefetch(session, Self::LINES);
    }

    #[inline]
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        let mut outbox = self.outbox_alone();
        self.put_down_written(&mut outbox);
        outbox
    }

    /// Without what is at hand.
    #[inline]
    pub(super) fn outbox_alone(&self) -> MutexGuard<'_, Outbox> {
        let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever is written from now on has to go behind what may be pushed.
        self.untouched.store(false, Ordering::Relaxed);
        outbox
    }

    #[inline]
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_turn() {
            self.brought.watch(false);
            self.put_back_claimed(&mut inbox);
        } else {
            inbox.mail.claimed |= self.brought.look_in();
        }
        inbox
    }

    pub(super) fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn callbacks(&self) -> MutexGuard<'_, Callbacks> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_callbacks(&self) -> Callbacks {
        std::mem::take(&mut *self.callbacks())
    }

    pub(super) fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.outbox().meters)
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
    #[inline]
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
        self.outbox().transport()
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
        self.client.is(Client::ANSWERS)
    }

    /// Whether it is told who comes to its rooms, and who leaves them.
    pub(crate) fn hears_presence(&self) -> bool {
        self.client.is(Client::HEARS_PRESENCE)
    }

    /// Sets the token of its HTTP carrier; what it was before comes back.
    pub(crate) fn set_token(&self, token: Option<Secret>) -> Option<Secret> {
        std::mem::replace(&mut self.outbox().token, token.map(Box::new)).map(|token| *token)
    }

    /// The token of its HTTP carrier, if it has one.
    pub fn token(&self) -> Option<Secret> {
        self.outbox().token.as_deref().copied()
    }

    /// What the transformer keeps with the session; set once.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.extension.get()?.downcast_ref()
    }

    /// Keeps something of the transformer's with the session. False if there was something.
    pub fn set_extension<T: Any + Send + Sync>(&self, value: T) -> bool {
        self.extension.set(Box::new(Box::new(value))).is_ok()
    }
}

impl Session {
    /// It is not counted any more among those who are admitted.
    pub(super) fn give_back(&self) {
        if self.admitted.swap(false, Ordering::AcqRel) {
            let shared = &self.mount.shared;
            shared.admission.release(self.handshake.address(), &shared.settings);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.give_back(); // one that never came to be
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
