//! One client, from its handshake to its end, over whatever transport: what its requests and sockets share.
//!
//! Passive data, as the session is: requests come and lend it their tasks, and once a WebSocket has taken over,
//! what is needed of it is there. While it polls, it holds the carrier between requests.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use primus_core::{
    Carriage, Carrier, CloseReason, DeliverError, Envelope, Mount, Payload, Pending,
};
use tokio::time::Instant;

use crate::{
    language::{After, Greeting, Heard, Opened, Speaker},
    options::Options,
    protocol::{Denied, Packet, Probe, Transports, Version},
    table::Table,
    writer::Writer,
};

/// Bytes of messages in one answer; the message that passes it is the last.
const BUDGET: usize = 256 << 10;
/// Packets of ours that wait for a poll before nothing more is read: a client that asks and does not look at the
/// answers shall not fill our memory.
const MOST_CONTROL: usize = 64;

/// Who speaks with the client, and for which session. The requests have it in turn, then the socket.
pub(crate) struct Talk {
    pub(crate) speaker: Box<dyn Speaker>,
    pub(crate) carrier: Option<Carrier>,
    /// What the client said and the session has not taken yet.
    pub(crate) held: VecDeque<Envelope>,
    /// Until there is a session.
    pub(crate) waits: Option<Waits>,
}

/// The time without a session.
pub(crate) struct Waits {
    pub(crate) until: Option<Instant>,
    pub(crate) _pending: Option<Pending>,
}

/// A client.
pub(crate) struct Link {
    pub(crate) sid: Box<str>,
    pub(crate) version: Version,
    /// It takes no binary.
    pub(crate) base64: bool,
    pub(crate) mount: Arc<Mount>,
    state: Mutex<State>,
    table: Weak<Table>,
}

struct State {
    transports: Transports,
    /// `None`: a socket has it, or it is over.
    talk: Option<Talk>,
    /// What the next answer begins with.
    control: Vec<Packet>,
    /// The poll is to be answered, if only with nothing.
    hurry: bool,
    /// The answer to the poll that waits, where nothing comes after it.
    last: Option<Packet>,
    poll: Option<Waker>,
    /// A POST that waits until something has been written.
    full: Option<Waker>,
    /// It is us who do not read on, so the client may be silent.
    busy: bool,
    seen: Instant,
    pinged: Instant,
}

/// What the answer to a poll is made of.
pub(crate) struct Batch {
    pub(crate) packets: Vec<Bytes>,
    /// All of it may be compressed.
    pub(crate) compressible: bool,
}

impl Talk {
    pub(crate) fn new(greeting: Greeting) -> (Self, Vec<Payload>) {
        let Greeting { speaker, opened, pending, patience, .. } = greeting;
        let until = patience.map(|patience| Instant::now() + patience);
        let waits = opened.carrier.is_none().then_some(Waits { until, _pending: pending });
        let mut talk = Self { speaker, carrier: None, held: VecDeque::new(), waits };
        let say = talk.opened(opened);
        (talk, say)
    }

    /// There is no session any more, and there may be another one.
    pub(crate) fn stay(&mut self) {
        let until = self.speaker.patience().map(|patience| Instant::now() + patience);
        self.waits = Some(Waits { until, _pending: None });
    }

    /// There is a session, or there is none. Returns what the client is to be told first.
    pub(crate) fn opened(&mut self, opened: Opened) -> Vec<Payload> {
        if opened.carrier.is_some() {
            self.waits = None;
            self.carrier = opened.carrier;
        }
        self.held.extend(opened.deliver);
        opened.say
    }

    /// Hands over what is held, as far as there is room.
    fn deliver_held(&mut self) {
        let Some(carrier) = &mut self.carrier else { return self.held.clear() };
        while let Some(envelope) = self.held.pop_front().or_else(|| self.speaker.pop_ready()) {
            if let Err(DeliverError::Full(envelope)) = carrier.deliver(envelope) {
                return self.held.push_front(envelope);
            }
        }
    }

    /// The connection is over.
    pub(crate) fn close(self, reason: CloseReason) {
        let Some(carrier) = self.carrier else { return };
        if reason == CloseReason::NORMAL {
            // The stock client says so even where it has lost its connection and comes back: only the language
            // knows that a session is over which could go on.
            if carrier.session().is_resumable() {
                return carrier.lost(CloseReason::GOING_AWAY);
            }
            carrier.end(reason);
            return carrier.finish();
        }
        if reason.blames_peer() {
            carrier.end(reason.clone());
        }
        carrier.lost(reason);
    }
}

impl Link {
    /// A client that polls, or whose socket is there: then what was to be said first comes back with `talk`.
    pub(crate) fn new(
        sid: Box<str>,
        version: Version,
        base64: bool,
        mount: Arc<Mount>,
        table: &Arc<Table>,
    ) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            transports: Transports::default(),
            talk: None,
            control: Vec::new(),
            hurry: false,
            last: None,
            poll: None,
            full: None,
            busy: false,
            seen: now,
            pinged: now,
        };
        let (state, table) = (Mutex::new(state), Arc::downgrade(table));
        Arc::new(Self { sid, version, base64, mount, state, table })
    }

    /// It polls. Returns the packets of the first answer behind the open packet.
    pub(crate) fn begin(&self, greeting: Greeting) -> Vec<Packet> {
        let (mut talk, say) = Talk::new(greeting);
        if let Some(carrier) = &mut talk.carrier {
            carrier.change(Carriage::SILENT);
            carrier.blocked();
        }
        talk.deliver_held();
        self.lock().talk = Some(talk);
        say.into_iter().map(Packet::Message).collect()
    }

    pub(crate) fn options(&self) -> Options {
        self.mount.settings().options.get::<Options>().cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- requests ----

    /// A poll begins; it is one until what is returned is dropped. Where that is dropped without
    /// [`Get::done`], the client has gone.
    pub(crate) fn get(self: &Arc<Self>) -> Result<Get, Denied> {
        self.give_up();
        {
            let mut state = self.lock();
            state.seen = Instant::now();
            match state.transports.get() {
                Ok(()) => return Ok(Get(Some(Arc::clone(self)))),
                Err(denied @ Denied::Refused(_)) => return Err(denied),
                Err(Denied::Overlap) => {}
            }
        }
        self.close(CloseReason::BAD_CONTROL.with_text("two polls at once"), Packet::Close);
        Err(Denied::Overlap)
    }

    /// As [`get`](Self::get), of a POST.
    pub(crate) fn post(self: &Arc<Self>) -> Result<Post, Denied> {
        self.give_up();
        {
            let mut state = self.lock();
            state.seen = Instant::now();
            match state.transports.post() {
                Ok(()) => return Ok(Post(Some(Arc::clone(self)))),
                Err(denied @ Denied::Refused(_)) => return Err(denied),
                Err(Denied::Overlap) => {}
            }
        }
        self.close(CloseReason::BAD_CONTROL.with_text("two POSTs at once"), Packet::Close);
        Err(Denied::Overlap)
    }

    /// The next answer.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Batch> {
        let mut batch = Batch { packets: Vec::new(), compressible: true };
        let mut finished = None;
        let mut over = None;
        {
            let mut state = self.lock();
            let State { talk, control, hurry, last, transports, .. } = &mut *state;
            let mut writer = Writer::answer(self.version, &mut batch.packets);
            let Some(talk) = talk else {
                let gone = if transports.is_upgraded() { Packet::Noop } else { Packet::Close };
                writer.packet(&last.take().unwrap_or(gone));
                return Poll::Ready(batch);
            };
            control.drain(..).for_each(|packet| writer.packet(&packet));
            let Talk { speaker, carrier, .. } = talk;
            if let Some(holder) = carrier {
                let parser = Arc::clone(&self.mount.settings().parser);
                let taken = holder.poll_take(cx, BUDGET, |outgoing| {
                    batch.compressible &= outgoing.envelope().is_compressible();
                    speaker.write(outgoing, &*parser, &mut writer);
                });
                if let Poll::Ready(taken) = taken {
                    if let Some(reason) = taken.end {
                        speaker.end(&reason, &mut writer);
                        if speaker.after(&reason) == After::Close {
                            writer.packet(&Packet::Close);
                            over = Some(reason);
                        }
                        finished = carrier.take();
                        talk.stay();
                    } else if let Some(reason) = taken.gone {
                        writer.packet(&Packet::Close);
                        over = Some(reason);
                    }
                }
            }
            talk.deliver_held();
            if let Some(holder) = &talk.carrier {
                holder.blocked(); // until the next poll
            }
            if std::mem::take(hurry) && batch.packets.is_empty() {
                Writer::answer(self.version, &mut batch.packets).packet(&Packet::Noop);
            }
            if batch.packets.is_empty() && finished.is_none() {
                match &mut state.poll {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => state.poll = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            let full = state.full.take();
            drop(state);
            full.into_iter().for_each(Waker::wake);
        }
        // Not under the lock: the application may be told.
        if let Some(carrier) = finished {
            carrier.finish();
        }
        if let Some(reason) = over {
            self.close(reason, Packet::Close);
        }
        if batch.packets.is_empty() { self.poll(cx) } else { Poll::Ready(batch) }
    }

    /// Serves a packet that came by a POST.
    pub(crate) async fn receive(&self, packet: Packet) -> Result<(), CloseReason> {
        self.written().await;
        if self.lock().talk.is_none() {
            return Err(CloseReason::GOING_AWAY); // it is over, and so is the rest of the POST
        }
        match (self.version, packet) {
            (_, Packet::Message(message)) => self.hear(message).await,
            (Version::V3, Packet::Ping(data)) => {
                self.tell([Packet::Pong(data)]);
                Ok(())
            }
            (Version::V4, Packet::Pong(_)) => Ok(()),
            (_, Packet::Ping(_) | Packet::Pong(_)) => Err(wrong_heartbeat()),
            (_, Packet::Close) => Err(CloseReason::NORMAL),
            (_, Packet::Open(_) | Packet::Upgrade | Packet::Noop) => Ok(()),
        }
    }

    async fn hear(&self, message: Payload) -> Result<(), CloseReason> {
        let (heard, session) = {
            let mut state = self.lock();
            let Some(talk) = &mut state.talk else { return Ok(()) };
            let session = talk.carrier.as_ref().map(|carrier| Arc::clone(carrier.session()));
            (talk.speaker.read(message, session.as_ref())?, session)
        };
        match heard {
            Heard::Deliver(envelope) => self.with_talk(|talk| talk.held.push_back(envelope)),
            Heard::Say(messages) => self.tell(messages.into_iter().map(Packet::Message)),
            Heard::Open(_) if session.is_some() => return Err(one_session()),
            Heard::Open(opening) => {
                let busy = Busy::begin(self);
                let opened = opening.await;
                drop(busy);
                self.opened(opened);
            }
            Heard::Leave => self.leave()?,
            Heard::Nothing => {}
        }
        self.deliver().await;
        Ok(())
    }

    fn with_talk(&self, work: impl FnOnce(&mut Talk)) {
        if let Some(talk) = &mut self.lock().talk {
            work(talk);
        }
    }

    fn opened(&self, mut opened: Opened) {
        if let Some(carrier) = &mut opened.carrier {
            carrier.change(Carriage::SILENT);
            carrier.blocked();
        }
        let mut say = Vec::new();
        self.with_talk(|talk| say = talk.opened(opened));
        self.tell(say.into_iter().map(Packet::Message));
        self.wake(); // what the session says wakes who has looked at it
    }

    fn leave(&self) -> Result<(), CloseReason> {
        let mut carrier = None;
        let mut after = After::Close;
        self.with_talk(|talk| {
            carrier = talk.carrier.take();
            after = talk.speaker.after(&CloseReason::NORMAL);
            talk.stay();
        });
        if let Some(carrier) = carrier {
            carrier.end(CloseReason::NORMAL);
            carrier.finish();
        }
        if after == After::Close { Err(CloseReason::NORMAL) } else { Ok(()) }
    }

    /// Hands over what the client said, and waits where there is no room for it.
    async fn deliver(&self) {
        loop {
            let session = {
                let mut state = self.lock();
                let Some(talk) = &mut state.talk else { return };
                talk.deliver_held();
                match &talk.carrier {
                    Some(carrier) if !talk.held.is_empty() => Arc::clone(carrier.session()),
                    _ => break,
                }
            };
            let busy = Busy::begin(self);
            session.room().await;
            drop(busy);
        }
    }

    /// Waits as long as so much is to be written that nothing more should be read.
    async fn written(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            let Some(talk) = &state.talk else { return Poll::Ready(()) };
            let session = talk.carrier.as_ref().map(Carrier::session);
            let full = state.control.len() >= MOST_CONTROL
                || session.is_some_and(|session| talk.speaker.is_full(session));
            if !full {
                return Poll::Ready(());
            }
            state.full = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Says something by the next answer.
    fn tell(&self, packets: impl IntoIterator<Item = Packet>) {
        let poll = {
            let mut state = self.lock();
            state.control.extend(packets);
            if state.control.is_empty() { None } else { state.poll.take() }
        };
        poll.into_iter().for_each(Waker::wake);
    }

    fn wake(&self) {
        let poll = self.lock().poll.take();
        poll.into_iter().for_each(Waker::wake);
    }

    // ---- the upgrade ----

    /// A WebSocket wants to take over. False: it has to go.
    pub(crate) fn socket(&self) -> bool {
        self.lock().transports.socket()
    }

    /// It said something.
    pub(crate) fn probe(&self, packet: Option<&Packet>) -> Probe {
        self.lock().transports.probe(packet)
    }

    /// Answers the poll that waits, so that the client can go on with its upgrade.
    pub(crate) fn hurry(&self) {
        let poll = {
            let mut state = self.lock();
            state.hurry = state.transports.is_getting();
            state.poll.take()
        };
        poll.into_iter().for_each(Waker::wake);
    }

    /// The WebSocket that was to take over is gone.
    pub(crate) fn gave_up(&self) {
        let mut state = self.lock();
        state.transports.gave_up();
        state.hurry = false;
    }

    /// The WebSocket takes over: what was waiting for a poll, and who speaks.
    pub(crate) fn take_over(self: &Arc<Self>) -> Option<(Talk, Vec<Packet>)> {
        let (taken, poll) = {
            let mut state = self.lock();
            let taken = state.talk.take().map(|talk| (talk, std::mem::take(&mut state.control)));
            state.last = Some(Packet::Noop);
            (taken, state.poll.take())
        };
        if let Some(table) = self.table.upgrade() {
            table.insert_socket(self);
        }
        poll.into_iter().for_each(Waker::wake);
        taken
    }

    /// A WebSocket from the beginning.
    pub(crate) fn begin_with_socket(&self) {
        let mut state = self.lock();
        state.transports.socket();
        state.transports.probe(Some(&Packet::Ping(crate::protocol::PROBE.into())));
        state.transports.probe(Some(&Packet::Upgrade));
    }

    // ---- the end ----

    /// The connection is over, if it is still this that has it; a poll that waits is answered with `last`.
    pub(crate) fn close(&self, reason: CloseReason, last: Packet) {
        let (talk, wakers) = {
            let mut state = self.lock();
            if state.transports.is_upgraded() || !state.transports.close() {
                return;
            }
            state.control.clear();
            state.last = Some(last);
            (state.talk.take(), [state.poll.take(), state.full.take()])
        };
        self.forget();
        tracing::debug!(%reason, "closed");
        if let Some(talk) = talk {
            talk.close(reason);
        }
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// The WebSocket that had it is gone.
    pub(crate) fn closed(&self) {
        self.lock().transports.close();
        self.forget();
    }

    fn forget(&self) {
        if let Some(table) = self.table.upgrade() {
            table.remove(&self.sid);
        }
    }

    /// Closes it if its client has been silent for too long.
    fn give_up(&self) {
        let (interval, timeout) = self.mount.heartbeat();
        let silent = self.lock().seen.elapsed();
        if !interval.is_zero() && silent > interval + timeout {
            self.close(CloseReason::HEARTBEAT, Packet::Close);
        }
    }

    /// Done now and then for every client: pings, and what is overdue. Sockets do this for themselves.
    pub(crate) fn sweep(&self, now: Instant) {
        let (interval, _) = self.mount.heartbeat();
        let (ping, late, over) = {
            let mut state = self.lock();
            if state.busy {
                state.seen = now;
            }
            let State { talk, pinged, .. } = &mut *state;
            let Some(talk) = talk else { return };
            let due = self.version == Version::V4 && !interval.is_zero();
            let ping = due && now.duration_since(*pinged) >= interval;
            if ping {
                *pinged = now;
            }
            let until = talk.waits.as_ref().and_then(|waits| waits.until);
            let over = talk.carrier.as_ref().is_some_and(|carrier| carrier.session().is_ended());
            (ping, until.is_some_and(|until| until <= now), over)
        };
        if late {
            return self.close(too_late(), Packet::Close);
        }
        if over {
            return self.close(CloseReason::GOING_AWAY, Packet::Close);
        }
        self.give_up();
        if ping {
            self.tell([Packet::Ping("".into())]);
        }
    }
}

/// It is us who do not read, as long as this is held.
struct Busy<'a>(&'a Link);

impl<'a> Busy<'a> {
    fn begin(link: &'a Link) -> Self {
        link.lock().busy = true;
        Self(link)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy = false;
        state.seen = Instant::now();
    }
}

/// It has said the wrong one of ping and pong for its version.
pub(crate) fn wrong_heartbeat() -> CloseReason {
    CloseReason::BAD_CONTROL.with_text("this version has its pings and pongs the other way round")
}

/// It has one, and wants another.
pub(crate) fn one_session() -> CloseReason {
    CloseReason::BAD_CONTROL.with_text("there is a session already")
}

/// It has not opened a session.
pub(crate) fn too_late() -> CloseReason {
    CloseReason::from_code(4408, "no session was opened in time")
}

/// A poll that waits.
pub(crate) struct Get(Option<Arc<Link>>);

impl Get {
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.0.as_ref()
    }

    /// The answer is there.
    pub(crate) fn done(mut self) {
        if let Some(link) = self.0.take() {
            let mut state = link.lock();
            state.transports.got();
            state.poll = None;
            state.seen = Instant::now();
        }
    }
}

impl Drop for Get {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.lock().transports.got();
            link.close(CloseReason::GOING_AWAY, Packet::Close);
        }
    }
}

/// A POST that is being taken in.
pub(crate) struct Post(Option<Arc<Link>>);

impl Post {
    /// It has been taken in, or refused without harm.
    pub(crate) fn done(mut self) {
        if let Some(link) = self.0.take() {
            let mut state = link.lock();
            state.transports.posted();
            state.seen = Instant::now();
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.lock().transports.posted();
            link.close(CloseReason::GOING_AWAY, Packet::Close);
        }
    }
}
