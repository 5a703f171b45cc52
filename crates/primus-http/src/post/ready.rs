//! Messages that have to wait until something has been decided, such as whether their client may enter a channel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use primus_core::{DeliverError, Envelope, Session};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::deliver;

/// Where they wait.
pub trait Waiting {
    /// The first that waits no more.
    fn first_ready(&self) -> Option<&Envelope>;

    /// Takes it away.
    fn pop_ready(&mut self) -> Option<Envelope>;

    /// So much waits that nothing more should be read.
    fn is_full(&self, session: &Session) -> bool;
}

/// Delivers what waits no more, in order. What finds no room stays. One task of a session does this at a time.
///
/// # Errors
/// When there is no room by the deadline, or the session is over.
pub async fn deliver_ready(
    waiting: &Mutex<impl Waiting>,
    session: &Arc<Session>,
    deadline: Instant,
) -> Result<(), DeliverError> {
    loop {
        let ready = lock(waiting).first_ready().cloned();
        let Some(ready) = ready else { return Ok(()) };
        deliver(session, deadline, ready).await?;
        lock(waiting).pop_ready();
    }
}

/// Delivers what waits no more, until no more waits than may. False: it still does at the deadline. `decided` is notified
/// of decisions.
///
/// # Errors
/// As [`deliver_ready`].
pub async fn deliver_until_room(
    waiting: &Mutex<impl Waiting>,
    decided: &Notify,
    session: &Arc<Session>,
    deadline: Instant,
) -> Result<bool, DeliverError> {
    loop {
        let decided = decided.notified();
        tokio::pin!(decided);
        decided.as_mut().enable();
        deliver_ready(waiting, session, deadline).await?;
        if !lock(waiting).is_full(session) {
            return Ok(true);
        }
        if timeout_at(deadline, decided).await.is_err() {
            return Ok(false);
        }
    }
}

fn lock<T>(waiting: &Mutex<T>) -> MutexGuard<'_, T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
