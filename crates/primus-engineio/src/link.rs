//! One client, from its handshake to its end, over whatever transport: what its requests and sockets share.
//!
//! Passive data, as the session is: requests come and lend it their tasks, and once a WebSocket has taken over,
//! what is needed of it is there. While it polls, it holds the carrier between requests.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use primus_core::{Carriage, CloseReason, Mount};
use tokio::time::Instant;

use crate::{
    language::{After, Greeting},
    options::Options,
    protocol::{Packet, Probe, Transports, Version},
    table::Table,
    talk::{Talk, too_late},
    writer::Writer,
};

/// Bytes of messages in one answer; the message that passes it is the last.
const BUDGET: usize = 256 << 10;

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

pub(crate) struct State {
    pub(crate) transports: Transports,
    /// `None`: a socket has it, or it is over.
    pub(crate) talk: Option<Talk>,
    /// What the next answer begins with.
    pub(crate) control: Vec<Packet>,
    /// The poll is to be answered, if only with nothing.
    hurry: bool,
    /// The answer to the poll that waits, where nothing comes after it.
    last: Option<Packet>,
    pub(crate) poll: Option<Waker>,
    /// A POST that waits until something has been written.
    pub(crate) full: Option<Waker>,
    /// It is us who do not read on, so the client may be silent.
    pub(crate) busy: bool,
    pub(crate) seen: Instant,
    pinged: Instant,
}

/// What the answer to a poll is made of.
pub(crate) struct Batch {
    pub(crate) packets: Vec<Bytes>,
    /// All of it may be compressed.
    pub(crate) compressible: bool,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- polling ----

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
                            over = Some(*reason);
                        }
                        finished = carrier.take();
                        talk.stay();
                    } else if let Some(reason) = taken.gone {
                        writer.packet(&Packet::Close);
                        over = Some(*reason);
                    }
                }
            }
            talk.deliver_held();
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
            if let Some(holder) = &talk.carrier {
                holder.blocked(); // until the next poll
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
    pub(crate) fn give_up(&self) {
        let (interval, timeout) = self.mount.heartbeat();
        let silent = self.lock().seen.elapsed();
        if !interval.is_zero() && silent > interval + timeout {
            self.close(CloseReason::HEARTBEAT, Packet::Close);
        }
    }

    /// Done now and then for every client: pings, and what is overdue. Sockets do this for themselves.
    pub(crate) fn sweep(&self, now: Instant) {
        let (interval, _) = self.mount.heartbeat();
        let (ping, words, late, over) = {
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
            let words = if ping { talk.speaker.ping() } else { None };
            let until = talk.waits.as_ref().and_then(|waits| waits.until);
            let over = talk.carrier.as_ref().is_some_and(|carrier| carrier.session().is_ended());
            (ping, words, until.is_some_and(|until| until <= now), over)
        };
        if late {
            return self.close(too_late(), Packet::Close);
        }
        if over {
            return self.close(CloseReason::GOING_AWAY, Packet::Close);
        }
        self.give_up();
        if ping {
            let words = words.map(Packet::Message);
            self.tell([Packet::Ping("".into())].into_iter().chain(words));
        }
    }
}
