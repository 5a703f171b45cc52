//! Sessions by the ids that their clients made up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use primus_core::{CloseReason, Mount, Session};
use tokio::time::Instant;

/// An id, together with the path of its mount: it is no session of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>, Box<str>);

impl Key {
    pub(crate) fn new(mount: &Mount, id: &str) -> Self {
        Self(Arc::clone(&mount.settings().path), id.into())
    }
}

/// All sessions that have receivers.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// So many entries call for a look at which are over.
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
    pub(crate) fn find(self: &Arc<Self>, key: &Key) -> Found {
        let mut table = self.table();
        match table.entries.get(key) {
            Some(Entry::Opening) => return Found::Opening,
            Some(Entry::Ended(reason, until)) if *until > Instant::now() => {
                return Found::Ended(reason.clone());
            }
            Some(Entry::Open(session)) => {
                if let Some(session) = alive(session) {
                    return Found::Open(session);
                }
            }
            _ => {}
        }
        table.tidy();
        table.entries.insert(key.clone(), Entry::Opening);
        Found::Nothing(Opening { sessions: Arc::clone(self), key: Some(key.clone()) })
    }

    /// The session that a sender speaks to.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Session>> {
        match self.table().entries.get(key) {
            Some(Entry::Open(session)) => alive(session),
            _ => None,
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
            && matches!(entry, Entry::Open(open) if open.as_ptr() == Arc::as_ptr(session))
        {
            *entry = Entry::Ended(reason, Instant::now() + during);
        }
    }
}

fn alive(session: &Weak<Session>) -> Option<Arc<Session>> {
    session.upgrade().filter(|session| !session.is_ended())
}

impl Table {
    /// Forgets those that are over: seldom enough to cost each of them little.
    fn tidy(&mut self) {
        if self.entries.len() < self.crowded {
            return;
        }
        let now = Instant::now();
        self.entries.retain(|_, entry| match entry {
            Entry::Opening => true,
            Entry::Open(session) => alive(session).is_some(),
            Entry::Ended(_, until) => *until > now,
        });
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
