//! What the requests of one session have to know of each other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::StatusCode;
use primus_core::{Head, Mount, Rejection, Session};

/// Pongs that wait for a carrier. A client has one ping under way; of a flood the last ones count.
const MAX_PONGS: usize = 16;

/// Kept with a session from its first HTTP carrier on, as its extension, for all that follow.
#[derive(Debug, Default)]
pub struct Requests {
    /// The generation of the carrier whose POST is under way; 0: none is.
    posting: AtomicU64,
    pongs: Mutex<Pongs>,
}

#[derive(Debug, Default)]
struct Pongs {
    /// Of whose carrier the pings were; what an older one was asked is of no use to anybody.
    generation: u64,
    owed: Vec<u64>,
    carrier: Option<Waker>,
}

impl Requests {
    /// Keeps one with `session`, where there is none yet.
    pub fn keep(session: &Session) {
        if session.extension::<Self>().is_none() {
            session.set_extension(Self::default());
        }
    }

    /// What concerns the carrier of `generation`. `None`: it has been replaced.
    fn pongs(&self, generation: u64) -> Option<MutexGuard<'_, Pongs>> {
        let mut pongs = self.pongs.lock().unwrap_or_else(PoisonError::into_inner);
        if generation > pongs.generation {
            *pongs = Pongs { generation, ..Pongs::default() };
        }
        (generation == pongs.generation).then_some(pongs)
    }

    /// The client asked for a sign of life: the carrier writes it.
    pub(super) fn owe_pong(&self, generation: u64, number: u64) {
        let carrier = {
            let Some(mut pongs) = self.pongs(generation) else { return };
            if pongs.owed.len() == MAX_PONGS {
                pongs.owed.remove(0);
            }
            pongs.owed.push(number);
            pongs.carrier.take()
        };
        if let Some(carrier) = carrier {
            carrier.wake();
        }
    }

    /// The numbers of the pings to answer, in order, by the carrier of `generation`. Pending as
    /// long as there is none.
    pub fn poll_pongs(&self, generation: u64, cx: &mut Context<'_>) -> Poll<Vec<u64>> {
        let Some(mut pongs) = self.pongs(generation) else { return Poll::Pending };
        if !pongs.owed.is_empty() {
            return Poll::Ready(std::mem::take(&mut pongs.owed));
        }
        match &mut pongs.carrier {
            Some(carrier) => carrier.clone_from(cx.waker()),
            None => pongs.carrier = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// The token that a request presents: in the header `Primus-Token`, else as `token` in the query.
pub fn token(head: &Head) -> Option<String> {
    match head.header("primus-token") {
        Some(token) => Some(token.to_owned()),
        None => head.query().get("token").map(str::to_owned),
    }
}

/// The session of the token that a request presents, and the generation of the carrier that has
/// the token. It is a sign of life of that session.
///
/// # Errors
/// 404 when there is none.
pub fn find(head: &Head, mount: &Mount) -> Result<(Arc<Session>, u64), Rejection> {
    let (session, generation) =
        token(head).and_then(|token| mount.by_token(&token)).ok_or_else(unknown)?;
    if session.extension::<Requests>().is_none() {
        return Err(unknown()); // of a transformer that has other requests than these
    }
    session.seen();
    Ok((session, generation))
}

/// 404: what the client had is no more.
pub(super) fn unknown() -> Rejection {
    let error = "the session is unknown or has ended, or has another carrier by now; \
                 attach anew, or open a new one, without a token";
    Rejection::new(StatusCode::NOT_FOUND, error)
}

/// One POST of a carrier; there is no second one while it lives. That of an older carrier, which
/// can deliver nothing any more, is in nobody's way.
pub(super) struct Turn {
    session: Arc<Session>,
    generation: u64,
}

impl Turn {
    pub(super) fn take(session: &Arc<Session>, generation: u64) -> Result<Self, Rejection> {
        let requests = session.extension::<Requests>().ok_or_else(unknown)?;
        if requests.posting.fetch_max(generation, Ordering::Acquire) >= generation {
            let error = "another POST of this session is under way; send one after the other";
            return Err(Rejection::new(StatusCode::CONFLICT, error));
        }
        Ok(Self { session: Arc::clone(session), generation })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(requests) = self.session.extension::<Requests>() {
            // Unless a newer carrier's POST has begun meanwhile.
            let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
            let _ = requests.posting.compare_exchange(self.generation, 0, release, relaxed);
        }
    }
}
