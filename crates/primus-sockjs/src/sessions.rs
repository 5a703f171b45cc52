//! Sessions by the ids that their clients made up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use primus_core::{Carrier, CloseReason, Mount, Session};
use tokio::time::Instant;

/// An id, together with the path of its mount: it is no session of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>, Box<str>);

impl Key {
    pub(crate) fn new(mount: &Mount, id: &str) -> Self {
        Self(Arc::clone(&mount.settings().path), id.into())
    }
}

/// All sessions that have receivers. One that nobody has any more takes its entry with it
/// ([`Link`](crate::link::Link)).
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// So many entries call for a look at which are of no use.
    crowded: usize,
}

enum Entry {
    /// It is being decided whether the client may have one.
    Opening,
    Open(Weak<Session>),
    /// Its client was told, and is told again until then.
    Ended(CloseReason, Instant),
}

/// What there is for a receiver.
pub(crate) enum Found {
    /// Nothing: the receiver opens it.
    Nothing(Opening),
    /// Another receiver is opening it.
    Opening,
    Open(Arc<Session>),
    Ended(CloseReason),
}

impl Found {
    /// The carrier of an open session that has no receiver.
    pub(crate) fn unpark(&self) -> Option<Carrier> {
        match self {
            Self::Open(session) => session.unpark(session.generation()),
            _ => None,
        }
    }
}

/// An id whose session is being opened.
pub(crate) struct Opening {
    sessions: Arc<Sessions>,
    key: Option<Key>,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a receiver finds.
    ///
    /// A session is neither asked nor let go of under the lock: the last who lets go of one takes the lock.
    pub(crate) fn find(self: &Arc<Self>, key: &Key) -> Found {
        loop {
            let session = {
                let mut table = self.table();
                let open = match table.entries.get(key) {
                    Some(Entry::Opening) => return Found::Opening,
                    Some(Entry::Ended(reason, until)) if *until > Instant::now() => {
                        return Found::Ended(reason.clone());
                    }
                    Some(Entry::Open(session)) => session.upgrade(),
                    _ => None,
                };
                match open {
                    Some(session) => session,
                    None => return self.open(&mut table, key),
                }
            };
            if !session.is_ended() {
                return Found::Open(session);
            }
            let mut table = self.table();
            if matches!(table.entries.get(key), Some(Entry::Open(open)) if is(open, &session)) {
                return self.open(&mut table, key);
            }
        }
    }

    fn open(self: &Arc<Self>, table: &mut Table, key: &Key) -> Found {
        table.tidy();
        table.entries.insert(key.clone(), Entry::Opening);
        Found::Nothing(Opening { sessions: Arc::clone(self), key: Some(key.clone()) })
    }

    /// The session that a sender speaks to.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Session>> {
        let session = match self.table().entries.get(key) {
            Some(Entry::Open(session)) => session.upgrade(),
            _ => None,
        };
        session.filter(|session| !session.is_ended())
    }

    /// Nobody has that session any more.
    pub(crate) fn forget(&self, key: &Key) {
        let mut table = self.table();
        if matches!(table.entries.get(key), Some(Entry::Open(session)) if session.strong_count() == 0)
        {
            table.entries.remove(key);
        }
    }

    /// Whether it was there a moment ago, so that what its client sent may have crossed the news of its end.
    pub(crate) fn has_ended(&self, key: &Key) -> bool {
        let now = Instant::now();
        matches!(self.table().entries.get(key), Some(Entry::Ended(_, until)) if *until > now)
    }

    /// The session is over, and its client is told so for a while.
    pub(crate) fn bury(
        &self,
        key: &Key,
        session: &Arc<Session>,
        reason: CloseReason,
        during: Duration,
    ) {
        let mut table = self.table();
        if let Some(entry @ Entry::Open(_)) = table.entries.get_mut(key)
            && matches!(entry, Entry::Open(open) if is(open, session))
        {
            *entry = Entry::Ended(reason, Instant::now() + during);
        }
    }
}

fn is(open: &Weak<Session>, session: &Arc<Session>) -> bool {
    open.as_ptr() == Arc::as_ptr(session)
}

impl Table {
    /// Forgets of whom the end has been told: seldom enough to cost each of them little.
    fn tidy(&mut self) {
        if self.entries.len() < self.crowded {
            return;
        }
        let now = Instant::now();
        self.entries.retain(|_, entry| !matches!(entry, Entry::Ended(_, until) if *until <= now));
        self.entries.shrink_to(2 * self.entries.len());
        self.crowded = 64.max(2 * self.entries.len());
    }
}

impl Opening {
    /// It is there.
    pub(crate) fn opened(mut self, session: &Arc<Session>) {
        if let Some(key) = self.key.take() {
            self.sessions.table().entries.insert(key, Entry::Open(Arc::downgrade(session)));
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.sessions.table().entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use primus_core::{
        Head, MountSettings, Primus, Request, Settings, Transformer, request::empty,
        transform::Transforms,
    };

    use super::*;
    use crate::{SockJs, SockJsOptions};

    #[tokio::test(start_paused = true)]
    async fn of_sessions_that_are_over_nothing_is_left() {
        let sockjs = Arc::new(SockJs::new(SockJsOptions::default()));
        let transformer = Arc::clone(&sockjs) as Arc<dyn Transformer>;
        let mounts = [(MountSettings::new("/x"), vec![transformer])];
        let primus = Primus::new(Settings::default(), Transforms::default(), mounts);
        for id in 0..3 {
            let uri = format!("/x/0/{id}/xhr").parse().unwrap();
            let request =
                Request { head: Head::new(Method::POST, uri), body: empty(), upgrade: None };
            let answer = Arc::clone(&sockjs).serve(request, Arc::clone(&primus.mounts()[0])).await;
            assert_eq!(answer.status(), StatusCode::OK);
        }
        let entries = || sockjs.sessions().table().entries.len();
        assert_eq!(entries(), 3);
        let deadline = Instant::now() + Duration::from_secs(60);
        while entries() > 0 {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(primus.mounts()[0].sessions(), 0);
    }
}
