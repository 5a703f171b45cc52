//! What a client that polls says: packets of a POST, one after the other.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use primus_core::{Carriage, Carrier, CloseReason, Payload};
use tokio::time::Instant;

use crate::{
    language::{After, Heard, Opened},
    link::{Link, State},
    protocol::{Packet, Version},
    talk::{Talk, one_session, wrong_heartbeat},
};

/// Packets of ours that wait for a poll before nothing more is read: a client that asks and does not look at the
/// answers shall not fill our memory.
const MOST_CONTROL: usize = 64;

impl Link {
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
        let read = self.with_talk(|talk, control| {
            let session = talk.carrier.as_ref().map(|carrier| Arc::clone(carrier.session()));
            let mut heard = talk.speaker.read(message, session.as_ref())?;
            if let Heard::Say(messages) = &mut heard {
                control.extend(messages.drain(..).map(Packet::Message));
            }
            Ok((heard, session))
        });
        let Some(read) = read else { return Ok(()) };
        let (heard, session) = read?;
        match heard {
            Heard::Deliver(envelope) => {
                self.with_talk(|talk, _| talk.held.push_back(envelope));
            }
            Heard::Open(_) if session.is_some() => return Err(one_session()),
            Heard::Open(opening) => {
                let busy = Busy::begin(self);
                let opened = opening.await;
                drop(busy);
                self.opened(opened);
            }
            Heard::Leave => self.leave()?,
            Heard::Say(_) | Heard::Nothing => {}
        }
        self.deliver().await;
        Ok(())
    }

    /// What `work` adds to the packets of ours goes before all that the session says from then on: both is under one lock.
    fn with_talk<R>(&self, work: impl FnOnce(&mut Talk, &mut Vec<Packet>) -> R) -> Option<R> {
        let (done, poll) = {
            let mut state = self.lock();
            let State { talk, control, .. } = &mut *state;
            let done = work(talk.as_mut()?, control);
            (done, if state.control.is_empty() { None } else { state.poll.take() })
        };
        poll.into_iter().for_each(Waker::wake);
        Some(done)
    }

    fn opened(&self, mut opened: Opened) {
        if let Some(carrier) = &mut opened.carrier {
            carrier.change(Carriage::SILENT);
            carrier.blocked();
        }
        self.with_talk(|talk, control| {
            control.extend(talk.opened(opened).into_iter().map(Packet::Message))
        });
        self.wake(); // what the session says wakes who has looked at it
    }

    fn leave(&self) -> Result<(), CloseReason> {
        let mut carrier = None;
        let mut after = After::Close;
        self.with_talk(|talk, _| {
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
    pub(crate) fn tell(&self, packets: impl IntoIterator<Item = Packet>) {
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
