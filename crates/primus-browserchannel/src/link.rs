//! What the requests of one session share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use primus_core::{
    Carrier, CloseReason, DeliverError, Payload, Session, Taken,
    classic::{Incoming, Sink as _},
};
use primus_http::post::{self, Owed};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    face::Face,
    protocol::{
        arrays::{Arrays, Beyond},
        maps::Maps,
        rids::{Place, Rids},
    },
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

/// Requests of one session that are read or wait at once.
const MOST_WAITING: u32 = 16;
/// Bytes in one chunk; the array that passes it is the last.
pub(crate) const BUDGET: usize = 10 << 10;
const NOOP: &str = "[\"noop\"]";
const STOP: &str = "[\"stop\"]";

/// Why a request has no turn.
pub(crate) enum NoTurn {
    /// So many requests of this session are there already.
    Crowded,
    /// Too many come before it.
    Far(u64),
    /// This one should have come before it, and has not.
    Missing(u64),
}

/// Why maps were not taken.
pub(crate) enum NotTaken {
    /// Maps before them are missing.
    Gap(u64),
    /// The application is behind.
    Full,
    Ended,
}

/// What a back channel says next.
pub(crate) enum Next {
    /// The number of the first array, and the arrays.
    Arrays(u64, Vec<Bytes>),
    /// Another back channel has taken its place, or the session is over.
    Gone,
}

/// A request that has been counted.
pub(crate) struct Counted<'a>(&'a Link);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.rids().waiting -= 1;
    }
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

    // ---- from the client ----

    /// Counts a request, if its turn may come.
    pub(crate) fn count(&self, rid: u64) -> Result<Counted<'_>, NoTurn> {
        let mut order = self.rids();
        if order.rids.place(rid) == Place::Far {
            return Err(NoTurn::Far(order.rids.next()));
        }
        if order.waiting == MOST_WAITING {
            return Err(NoTurn::Crowded);
        }
        order.waiting += 1;
        Ok(Counted(self))
    }

    /// Waits until all requests before this one have been served.
    pub(crate) async fn turn(&self, rid: u64, deadline: Instant) -> Result<(), NoTurn> {
        loop {
            let served = self.served.notified();
            tokio::pin!(served);
            served.as_mut().enable();
            let next = {
                let order = self.rids();
                if !matches!(order.rids.place(rid), Place::Early | Place::Far) {
                    return Ok(());
                }
                order.rids.next()
            };
            if timeout_at(deadline, served).await.is_err() {
                return Err(NoTurn::Missing(next));
            }
        }
    }

    /// A request has been served, and who comes behind it may go on.
    pub(crate) fn served(&self, rid: u64) {
        if self.rids().rids.served(rid) {
            self.served.notify_waiters();
        }
    }

    /// Hands over what is new of these maps.
    pub(crate) async fn take(
        &self,
        session: &Arc<Session>,
        deadline: Instant,
        Maps { first, maps }: Maps,
    ) -> Result<(), NotTaken> {
        let Ok(mut next) = timeout_at(deadline, self.maps.lock()).await else {
            return Err(NotTaken::Full);
        };
        if first > *next && !maps.is_empty() {
            return Err(NotTaken::Gap(*next));
        }
        for (id, map) in (first..).zip(maps) {
            if id < *next {
                continue; // it is here already: an answer was lost
            }
            self.decisions(session, deadline).await?;
            let read = self.face().read(map, session);
            match read {
                Incoming::Message(message) => {
                    post::deliver(session, deadline, message).await.map_err(not_taken)?;
                }
                Incoming::Answer(answer) => self.owe(answer),
                Incoming::Answers(answers) => answers.into_iter().for_each(|it| self.owe(it)),
                Incoming::End => session.left(session.generation()),
                Incoming::Nothing => {}
            }
            *next += 1;
        }
        Ok(())
    }

    /// Until no more waits for decisions than may.
    async fn decisions(&self, session: &Arc<Session>, deadline: Instant) -> Result<(), NotTaken> {
        loop {
            let decided = self.decided.notified();
            tokio::pin!(decided);
            decided.as_mut().enable();
            self.deliver_ready(session, deadline).await.map_err(not_taken)?;
            if !self.face().is_full(session) {
                return Ok(());
            }
            if timeout_at(deadline, decided).await.is_err() {
                return Err(NotTaken::Full);
            }
        }
    }

    /// What had to wait for a decision. What finds no room stays.
    async fn deliver_ready(
        &self,
        session: &Arc<Session>,
        deadline: Instant,
    ) -> Result<(), DeliverError> {
        loop {
            let ready = self.face().first_ready().cloned();
            let Some(ready) = ready else { return Ok(()) };
            post::deliver(session, deadline, ready).await?;
            self.face().pop_ready();
        }
    }

    fn owe(&self, answer: Payload) {
        let waker = self.talk().owed.owe(answer);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The client has all arrays up to `aid`.
    pub(crate) fn ack(&self, session: &Session, aid: u64) -> Result<(), Beyond> {
        let mut talk = self.talk();
        talk.arrays.ack(aid)?;
        // It is not more than was said.
        let _ = session.acked_by(session.generation(), talk.arrays.acked());
        Ok(())
    }

    /// What a forward channel is answered: whether there is a back channel, the last array, and what is not
    /// acknowledged.
    pub(crate) fn status(&self) -> String {
        let talk = self.talk();
        let (open, last) = (u8::from(talk.open), talk.arrays.next().saturating_sub(1));
        format!("[{open},{last},{}]", talk.arrays.bytes())
    }

    // ---- to the client ----

    /// A new back channel begins, which says everything again that is not acknowledged.
    pub(crate) fn begin(&self, carrier: &Carrier) {
        let mut talk = self.talk();
        if talk.generation < carrier.generation() {
            talk.generation = carrier.generation();
            talk.open = true;
            talk.arrays.rewind();
        }
    }

    /// The back channel of that generation is gone.
    pub(crate) fn closed(&self, generation: u64) {
        let mut talk = self.talk();
        if talk.generation == generation {
            talk.open = false;
            talk.owed.leave();
        }
    }

    /// Takes what there is to say, or waits for it.
    pub(crate) fn poll_next(&self, carrier: &mut Carrier, cx: &mut Context<'_>) -> Poll<Next> {
        let session = Arc::clone(carrier.session());
        let parser = &*session.mount().settings().parser;
        let (next, ready) = {
            let mut talk = self.talk();
            if talk.generation != carrier.generation() {
                return Poll::Ready(Next::Gone);
            }
            if let Some((first, values)) = talk.arrays.again(BUDGET) {
                return Poll::Ready(Next::Arrays(first, values));
            }
            let first = talk.arrays.next();
            let mut face = self.face();
            let mut said = Vec::new();
            let mut bytes = 0;
            let gone = loop {
                if bytes >= BUDGET || talk.ended || self.is_full(&talk, &session) {
                    break false;
                }
                let mut all = face.said();
                if let Poll::Ready(answers) = talk.owed.poll(cx) {
                    answers.iter().for_each(|answer| all.push(answer));
                }
                let mut message = None;
                // One at a time: each message has arrays of its own.
                let taken =
                    match carrier.poll_take(cx, 1, |outgoing| message = Some(outgoing.clone())) {
                        Poll::Pending if all.all.is_empty() => {
                            break false;
                        }
                        Poll::Pending => Taken::default(),
                        Poll::Ready(taken) => taken,
                    };
                if taken.gone.is_some() && all.all.is_empty() {
                    break true;
                }
                if let Some(message) = &message {
                    face.write(message, parser, &mut all);
                }
                if taken.ping
                    && let Some(ping) = face.ping(parser)
                {
                    all.push(&ping);
                }
                if let Some(reason) = &taken.end {
                    if let Some(end) = face.end(parser, reason) {
                        all.push(&end);
                    }
                    // Who is to come back is not told to stop.
                    if !reason.reconnects() {
                        all.all.push(Bytes::from_static(STOP.as_bytes()));
                    }
                    talk.ended = true;
                }
                for value in all.all {
                    bytes += value.len().max(1);
                    talk.arrays.say(value.clone());
                    said.push(value);
                }
                if message.is_some() {
                    talk.arrays.said_message();
                }
            };
            let next = match said.is_empty() {
                false => Poll::Ready(Next::Arrays(first, said)),
                true if gone => Poll::Ready(Next::Gone),
                true => Poll::Pending,
            };
            (next, face.has_ready())
        };
        if ready {
            deliver_ready(&session);
        }
        self.decided.notify_waiters();
        next
    }

    /// So much is not acknowledged that the client had better ask anew, which says what it has.
    pub(crate) fn wants_ack(&self, session: &Session) -> bool {
        self.is_full(&self.talk(), session)
    }

    fn is_full(&self, talk: &Talk, session: &Session) -> bool {
        let limits = session.limits();
        talk.arrays.bytes() > limits.resume_bytes || talk.arrays.len() >= limits.resume_messages
    }

    /// Whether everything has been said, the end included.
    pub(crate) fn has_ended(&self) -> bool {
        let talk = self.talk();
        talk.ended && talk.arrays.is_said()
    }

    /// A sign of the server's life, by the back channel of that generation.
    pub(crate) fn noop(&self, generation: u64) -> Option<(u64, Bytes)> {
        let mut talk = self.talk();
        if talk.generation != generation || talk.ended {
            return None;
        }
        let (id, noop) = (talk.arrays.next(), Bytes::from_static(NOOP.as_bytes()));
        talk.arrays.say(noop.clone());
        Some((id, noop))
    }

    /// What the client is not known to have.
    pub(crate) fn rest(&self) -> (u64, Vec<Bytes>) {
        let mut talk = self.talk();
        talk.arrays.rewind();
        talk.arrays.again(usize::MAX).unwrap_or_default()
    }
}

fn not_taken(error: DeliverError) -> NotTaken {
    match error {
        DeliverError::Full(_) => NotTaken::Full,
        _ => NotTaken::Ended,
    }
}

/// Delivers what a decision that has just been told lets in.
fn deliver_ready(session: &Arc<Session>) {
    let session = Arc::clone(session);
    tokio::spawn(async move {
        let Some(link) = Link::of(&session) else { return };
        let _turn = link.maps.lock().await;
        let deadline = Instant::now() + session.limits().body_timeout;
        // What finds no room in time waits for the next POST.
        if let Err(error) = link.deliver_ready(&session, deadline).await {
            tracing::debug!(spark = %session.id(), %error, "not delivered");
        }
    });
}

/// Why a session is ended whose client sends what is no JSON.
pub(crate) fn invalid_json() -> CloseReason {
    CloseReason::BAD_CONTROL.with_text("Invalid JSON")
}
