//! What a client says: requests in their order, and maps.

use std::sync::Arc;

use primus_core::{DeliverError, Payload, Session, classic::Incoming};
use primus_http::post;
use tokio::time::{Instant, timeout_at};

use super::Link;
use crate::protocol::{arrays::Beyond, maps::Maps, rids::Place};

/// Requests of one session that are read or wait at once.
const MOST_WAITING: u32 = 16;

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

/// A request that has been counted.
pub(crate) struct Counted<'a>(&'a Link);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.rids().waiting -= 1;
    }
}

impl Link {
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
        maps: Maps,
    ) -> Result<(), NotTaken> {
        let Ok(mut next) = timeout_at(deadline, self.maps.lock()).await else {
            return Err(NotTaken::Full);
        };
        self.take_from(&mut next, session, deadline, &maps).await
    }

    /// Hands over the first maps, however long the application has no room for them.
    pub(crate) async fn take_all(&self, session: &Arc<Session>, maps: Maps) {
        let mut next = self.maps.lock().await;
        loop {
            let deadline = Instant::now() + session.limits().body_timeout;
            let taken = self.take_from(&mut next, session, deadline, &maps).await;
            if !matches!(taken, Err(NotTaken::Full)) || session.is_ended() {
                return;
            }
        }
    }

    async fn take_from(
        &self,
        next: &mut u64,
        session: &Arc<Session>,
        deadline: Instant,
        Maps { first, maps }: &Maps,
    ) -> Result<(), NotTaken> {
        if *first > *next && !maps.is_empty() {
            return Err(NotTaken::Gap(*next));
        }
        for (id, map) in (*first..).zip(maps) {
            if id < *next {
                continue; // it is here already: an answer was lost
            }
            let room = post::deliver_until_room(&self.face, &self.decided, session, deadline);
            if !room.await.map_err(not_taken)? {
                return Err(NotTaken::Full);
            }
            let read = self.face().read(map.clone(), session);
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
}

fn not_taken(error: DeliverError) -> NotTaken {
    match error {
        DeliverError::Full(_) => NotTaken::Full,
        _ => NotTaken::Ended,
    }
}

/// Delivers what a decision that has just been told lets in.
pub(super) fn deliver_ready(session: &Arc<Session>) {
    let session = Arc::clone(session);
    tokio::spawn(async move {
        let Some(link) = Link::of(&session) else { return };
        let _turn = link.maps.lock().await;
        let deadline = Instant::now() + session.limits().body_timeout;
        // What finds no room in time waits for the next POST.
        if let Err(error) = post::deliver_ready(&link.face, &session, deadline).await {
            tracing::debug!(spark = %session.id(), %error, "not delivered");
        }
    });
}
