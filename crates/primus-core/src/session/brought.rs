//! What the handler is brought without the inbox, and how others find out.
//!
//! Whoever has the inbox under its lock says so here ([`Brought::look_in`]); who works in the turn does not take that lock.
//! Each side writes before it reads, so that one of them at least sees the other. `tests/model` tries all
//! orders in which this may happen.

use super::sync::{AtomicBool, Ordering};

pub(crate) struct Brought {
    /// Nobody has had the inbox since the handler's own waker was left in it, and nothing else.
    watched: AtomicBool,
    /// The handler has messages at hand that were never in the inbox.
    there: AtomicBool,
}

impl Brought {
    pub(crate) fn new() -> Self {
        Self { watched: AtomicBool::new(false), there: AtomicBool::new(false) }
    }

    /// Under the inbox's lock, in the turn.
    #[inline]
    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Without a lock. Who has had the inbox, and is not seen here yet, wakes the handler.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Messages are at hand.
    #[inline]
    pub(crate) fn bring(&self) {
        self.there.store(true, Ordering::Relaxed);
    }

    /// Under the inbox's lock: what was left of them is there now.
    pub(crate) fn put_back(&self) {
        self.there.store(false, Ordering::Relaxed);
    }

    /// They have all been read. True: somebody has had the inbox meanwhile, and may wait for that.
    #[inline]
    pub(crate) fn finish(&self) -> bool {
        self.there.swap(false, Ordering::SeqCst);
        !self.watched.load(Ordering::SeqCst)
    }

    /// Under the inbox's lock, outside of the turn: whether there are messages that come before all that is in it.
    pub(crate) fn look_in(&self) -> bool {
        self.watched.swap(false, Ordering::SeqCst);
        self.there.load(Ordering::SeqCst)
    }
}
