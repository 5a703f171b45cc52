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
mod handler;
mod inbox;
mod outbox;

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

use tokio::time::Instant;

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
    handle::Spark,
    handshake::Handshake,
    id::{Secret, SparkId},
    message::{Message, Payload},
    metrics::Meters,
    mount::Mount,
    packet::Outgoing,
    request::BoxFuture,
    settings::Limits,
    spark::{State, WriteError, Written},
    transform::{self, Flow},
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

    // ---- carriers ----

    /// Attaches a carrier. An older one becomes a stranger: it can neither take nor park, and its
    /// end is not the session's. The first attach starts the handler.
    pub fn attach(self: &Arc<Self>, carriage: Carriage) -> Carrier {
        let (generation, older) = {
            let mut outbox = self.outbox();
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

    // ---- from the client ----

    /// Any traffic is a sign of life.
    pub fn seen(&self) {
        self.last_seen.store(self.mount.clock(), Ordering::Relaxed);
    }

    /// The peer answered the last ping.
    pub fn ponged(&self) {
        let sent = self.last_ping.load(Ordering::Relaxed);
        let round_trip = self.mount.clock().saturating_sub(sent);
        self.latency.store(round_trip.max(1), Ordering::Relaxed);
    }

    /// Hands a message to the handler's inbox.
    ///
    /// # Errors
    /// When the inbox is at its mark, or the session is over; the message comes back.
    pub fn deliver(self: &Arc<Self>, payload: Payload) -> Result<(), DeliverError> {
        let size = payload.len();
        let reader = {
            let mut inbox = self.inbox();
            if inbox.closed {
                return Err(DeliverError::Ended(payload));
            }
            if inbox.is_full(self.limits()) {
                return Err(DeliverError::Full(payload));
            }
            inbox.push(payload);
            inbox.reader.take()
        };
        self.meters.received(size);
        match reader {
            Some(reader) => reader.wake(),
            None if self.callbacks().data().is_some() => self.schedule(),
            None => {}
        }
        Ok(())
    }

    /// Ready when the inbox has room or is closed.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inbox = self.inbox();
        if inbox.closed || !inbox.is_full(self.limits()) {
            self.paused.store(false, Ordering::Relaxed);
            return Poll::Ready(());
        }
        // The deadline of the heartbeat does not run while we are the ones who do not read.
        self.paused.store(true, Ordering::Relaxed);
        if !inbox.room.iter().any(|waker| waker.will_wake(cx.waker())) {
            inbox.room.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the inbox has room or is closed.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// The client will send no more: `next` yields what is there, then `None`. Writing goes on.
    pub fn end_input(self: &Arc<Self>) {
        let (reader, room) = {
            let mut inbox = self.inbox();
            inbox.closed = true;
            (inbox.reader.take(), std::mem::take(&mut inbox.room))
        };
        reader.into_iter().chain(room).for_each(Waker::wake);
        self.schedule();
    }

    // ---- to the client ----

    pub(crate) fn push(self: &Arc<Self>, outgoing: Outgoing) -> Result<Written, WriteError> {
        let mut outbox = self.outbox();
        let was_empty = outbox.is_empty();
        let pushed = outbox.push(outgoing, self.limits());
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

    // ---- the end ----

    /// Ends the session: what is queued is written, then the client is told why. The first reason
    /// holds.
    pub fn end(self: &Arc<Self>, reason: CloseReason) {
        let (carrier, waiting, nowhere) = {
            let mut outbox = self.outbox();
            if !outbox.is_open() {
                return;
            }
            outbox.life = Life::Ending(reason.clone(), Instant::now());
            let nowhere = matches!(outbox.place, Place::Nowhere);
            (outbox.carrier().cloned(), std::mem::take(&mut outbox.waiting), nowhere)
        };
        self.end_input();
        carrier.into_iter().chain(waiting).for_each(Waker::wake);
        if nowhere {
            let generation = self.outbox().generation;
            self.close(generation, reason, true);
        }
    }

    /// The session is over. `clean`: the peer was told so. False if it had been over, or
    /// `generation` is not the current one.
    fn close(self: &Arc<Self>, generation: u64, reason: CloseReason, clean: bool) -> bool {
        let (carrier, waiting, was) = {
            let mut outbox = self.outbox();
            if outbox.generation != generation || matches!(outbox.life, Life::Ended(_)) {
                return false;
            }
            outbox.life = Life::Ended(reason.clone());
            outbox.clear();
            let was = std::mem::replace(&mut outbox.place, Place::Nowhere);
            let carrier = match &was {
                Place::Carried { waker, .. } => waker.clone(),
                _ => None,
            };
            (carrier, std::mem::take(&mut outbox.waiting), was)
        };
        if !matches!(was, Place::Nowhere) {
            self.mount.shared.connected(self.handshake.transformer(), -1);
        }
        self.mount.forget(self);
        self.mount.shared.ended(&reason, clean);
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.end_input();
        carrier.into_iter().chain(waiting).for_each(Waker::wake);
        if self.is_handler_done() {
            self.announce_disconnection();
        } else {
            self.give_grace();
        }
        true
    }

    /// The handler may finish what it does, for so long.
    fn give_grace(self: &Arc<Self>) {
        let session = Arc::clone(self);
        let grace = self.mount.shared.settings.handler_grace;
        self.mount.shared.runtime().spawn(async move {
            session.run();
            let over = std::future::poll_fn(|cx| session.poll_announced(cx));
            if tokio::time::timeout(grace, over).await.is_err() {
                tracing::warn!(spark = %session.id(), "the handler outlived its spark; dropped");
                session.abandon_handler();
            }
        });
    }

    fn poll_announced(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if self.announced.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        wait_in(&mut outbox.waiting, cx);
        Poll::Pending
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut self.outbox().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Cuts the session without telling the client.
    pub(crate) fn cut(self: &Arc<Self>, reason: CloseReason) -> bool {
        let (generation, reason) = {
            let outbox = self.outbox();
            let reason = match &outbox.life {
                Life::Ending(reason, _) => reason.clone(),
                _ => reason,
            };
            (outbox.generation, reason)
        };
        self.close(generation, reason, false)
    }

    /// Why the session is ending or has ended.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match &self.outbox().life {
            Life::Open => None,
            Life::Ending(reason, _) | Life::Ended(reason) => Some(reason.clone()),
        }
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        matches!(self.outbox().life, Life::Ended(_))
    }

    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if matches!(outbox.life, Life::Ended(_)) {
            return Poll::Ready(());
        }
        wait_in(&mut outbox.waiting, cx);
        Poll::Pending
    }

    pub(crate) fn state(&self) -> State {
        let outbox = self.outbox();
        match (&outbox.life, &outbox.place) {
            (Life::Ended(_), _) => State::Closed,
            (Life::Ending(..), _) => State::Ending,
            (Life::Open, Place::Nowhere) => State::Opening,
            (Life::Open, _) => State::Open,
        }
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        match self.latency.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    // ---- the heartbeat ----

    /// Called now and then: asks for signs of life, gives up who gives none, cuts ends that hang.
    pub(crate) fn sweep(self: &Arc<Self>, clock: u64, now: Instant) {
        let settings = &self.mount.shared.settings;
        let micros = |duration: Duration| duration.as_micros() as u64;
        let (interval, timeout) = (micros(settings.ping_interval), micros(settings.ping_timeout));
        let mut outbox = self.outbox();
        if outbox.overdue(now, self.limits().close_timeout) {
            drop(outbox);
            self.cut(CloseReason::GOING_AWAY);
            return;
        }
        if let Place::Parked { since } = outbox.place {
            // Without heartbeats a client between two polls still has to come back.
            let patience = settings.ping_timeout.max(Duration::from_millis(100));
            if now.duration_since(since) > patience {
                drop(outbox);
                self.cut(CloseReason::HEARTBEAT);
            }
            return;
        }
        let seen = self.last_seen.load(Ordering::Relaxed);
        if matches!(outbox.place, Place::Nowhere) {
            // Opened by a transformer that never attached it.
            if clock.saturating_sub(seen) > micros(self.limits().attach_timeout) {
                drop(outbox);
                self.cut(CloseReason::GOING_AWAY);
            }
            return;
        }
        if interval == 0 || !self.heartbeat.load(Ordering::Relaxed) || !outbox.is_open() {
            return;
        }
        if self.paused.load(Ordering::Relaxed) {
            drop(outbox);
            return self.seen();
        }
        let seen = self.last_seen.load(Ordering::Relaxed);
        let answers = self.answers.load(Ordering::Relaxed);
        if answers && clock.saturating_sub(seen) > interval + timeout {
            drop(outbox);
            // It has been silent all the time, so nobody would read a farewell either.
            self.end(CloseReason::HEARTBEAT);
            return;
        }
        if clock.saturating_sub(self.last_ping.load(Ordering::Relaxed)) >= interval {
            self.last_ping.store(clock, Ordering::Relaxed);
            outbox.ping = true;
            if let Some(carrier) = outbox.carrier().cloned() {
                drop(outbox);
                carrier.wake();
            }
        }
    }

    // ---- what the handler reads ----

    pub(crate) fn poll_message(
        self: &Arc<Self>,
        spark: &Spark,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        loop {
            let transforming = self.inbox().transforming.take();
            if let Some(mut transforming) = transforming {
                match transforming.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.inbox().transforming = Some(transforming);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(message)) => return Poll::Ready(Some(message)),
                    Poll::Ready(None) => continue,
                }
            }
            let (payload, room) = {
                let mut inbox = self.inbox();
                let Some(payload) = inbox.pop() else {
                    if inbox.closed {
                        return Poll::Ready(None);
                    }
                    match &mut inbox.reader {
                        Some(reader) => reader.clone_from(cx.waker()),
                        None => inbox.reader = Some(cx.waker().clone()),
                    }
                    return Poll::Pending;
                };
                let room = if inbox.is_full(self.limits()) {
                    Vec::new()
                } else {
                    // Also when who waited for room has gone away meanwhile.
                    self.paused.store(false, Ordering::Relaxed);
                    std::mem::take(&mut inbox.room)
                };
                (payload, room)
            };
            room.into_iter().for_each(Waker::wake);
            let message = Message::new(payload, Arc::clone(&self.mount.settings().parser));
            match self.transform_in(spark, message) {
                Ok(Some(message)) => return Poll::Ready(Some(message)),
                Ok(None) => {}
                Err(future) => self.inbox().transforming = Some(future),
            }
        }
    }

    /// Runs the incoming transforms: at once as long as they are synchronous, else as a future.
    fn transform_in(
        self: &Arc<Self>,
        spark: &Spark,
        mut message: Message,
    ) -> Result<Option<Message>, BoxFuture<'static, Option<Message>>> {
        let transforms = &self.mount.shared.transforms.incoming;
        for (index, transform) in transforms.iter().enumerate() {
            match transform {
                transform::Incoming::Sync(transform) => {
                    if transform(spark, &mut message) == Flow::Drop {
                        return Ok(None);
                    }
                }
                transform::Incoming::Async(_) => {
                    let (session, spark) = (Arc::clone(self), spark.clone());
                    return Err(Box::pin(async move {
                        let mut message = message;
                        for transform in &session.mount.shared.transforms.incoming[index..] {
                            match transform {
                                transform::Incoming::Sync(transform) => {
                                    if transform(&spark, &mut message) == Flow::Drop {
                                        return None;
                                    }
                                }
                                transform::Incoming::Async(transform) => {
                                    message = transform(spark.clone(), message).await?;
                                }
                            }
                        }
                        Some(message)
                    }));
                }
            }
        }
        Ok(Some(message))
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
