//! Whose turn it is, where several may work on one thing: its task, and others who pass by.
//!
//! The task waits for the turns of others, which are short. Nobody else waits: who finds it taken leaves
//! word and goes, and who has it looks for that when done. `tests/model` tries all orders in which
//! this may happen.

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError, TryLockError};

/// One thing, and who works on it.
#[repr(C)] // in the cache beside what the thing begins with
pub(crate) struct Turns<T> {
    /// Somebody found it taken.
    again: AtomicBool,
    thing: Mutex<T>,
}

impl<T> Turns<T> {
    pub(crate) fn new(thing: T) -> Self {
        Self { thing: Mutex::new(thing), again: AtomicBool::new(false) }
    }

    /// A turn of the task. True: somebody found it taken meanwhile, so the task has to look again.
    pub(crate) fn take<R>(&self, work: impl FnOnce(&mut T) -> R) -> (R, bool) {
        let result = work(&mut self.thing.lock().unwrap_or_else(PoisonError::into_inner));
        (result, self.is_asked_again())
    }

    /// A turn of somebody else, who does not wait: one turn more for everyone who comes meanwhile. None,
    /// if it is taken; then who has it looks again.
    pub(crate) fn visit(&self, mut work: impl FnMut(&mut T)) {
        let mut asked = false;
        loop {
            if let Some(mut thing) = self.try_lock() {
                work(&mut thing);
                drop(thing);
                if !self.is_asked_again() {
                    return;
                }
                asked = false;
            } else if asked {
                return;
            } else {
                // Once more after that: who had it may have looked before.
                self.again.swap(true, Ordering::AcqRel);
                asked = true;
            }
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.thing.try_lock() {
            Ok(thing) => Some(thing),
            Err(TryLockError::Poisoned(thing)) => Some(thing.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether somebody found it taken. To be asked by who had it, when it is free again: both sides swap,
    /// so if this one comes first, the other finds it free.
    fn is_asked_again(&self) -> bool {
        self.again.swap(false, Ordering::AcqRel)
    }
}
