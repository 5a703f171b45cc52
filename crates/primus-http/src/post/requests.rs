//! What the requests of one session have to know of each other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::StatusCode;
use primus_core::{Head, Mount, Rejection, Session};

/// Pongs that wait for a carrier. A client has one ping under way; of a flood the last ones count.
const MAX_PONGS: usize = 16;

/// Kept with the session of an HTTP carrier, as its extension.
#[derive(Debug, Default)]
pub struct Requests {
    generation: u64,
    posting: AtomicBool,
    pongs: Mutex<Pongs>,
}

#[derive(Debug, Default)]
struct Pongs {
    owed: Vec<u64>,
    carrier: Option<Waker>,
}

impl Requests {
    /// For the carrier of this generation.
    pub fn new(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// With what [`Session::unpark`] takes the session up.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn pongs(&self) -> MutexGuard<'_, Pongs> {
        self.pongs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client asked for a sign of life: the carrier writes it.
    pub(super) fn owe_pong(&self, number: u64) {
        let carrier = {
            let mut pongs = self.pongs();
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

    /// The numbers of the pings to answer, in order. Pending as long as there is none.
    pub fn poll_pongs(&self, cx: &mut Context<'_>) -> Poll<Vec<u64>> {
        let mut pongs = self.pongs();
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

/// The session of the token that a request presents. It is a sign of life of that session.
///
/// # Errors
/// 404 when there is none.
pub fn find(head: &Head, mount: &Mount) -> Result<Arc<Session>, Rejection> {
    let session = token(head).and_then(|token| mount.by_token(&token)).ok_or_else(unknown)?;
    if session.extension::<Requests>().is_none() {
        return Err(unknown()); // of a transformer that has other requests than these
    }
    session.seen();
    Ok(session)
}

/// 404: what the client had is no more.
pub(super) fn unknown() -> Rejection {
    let error = "the session is unknown or has ended; open a new one, without a token";
    Rejection::new(StatusCode::NOT_FOUND, error)
}

/// One POST of a session; there is no second one while it lives.
pub(super) struct Turn(Arc<Session>);

impl Turn {
    pub(super) fn take(session: &Arc<Session>) -> Result<Self, Rejection> {
        let requests = session.extension::<Requests>().ok_or_else(unknown)?;
        if requests.posting.swap(true, Ordering::Acquire) {
            let error = "another POST of this session is under way; send one after the other";
            return Err(Rejection::new(StatusCode::CONFLICT, error));
        }
        Ok(Self(Arc::clone(session)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(requests) = self.0.extension::<Requests>() {
            requests.posting.store(false, Ordering::Release);
        }
    }
}
