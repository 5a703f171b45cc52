//! What `Turns` and `Brought` stand on.

pub(crate) use std::sync::{PoisonError, TryLockError};
use std::{
    ops::{Deref, DerefMut},
    sync::LockResult,
};

use loom::sync::{self, atomic::AtomicUsize};

pub(crate) use crate::locks::{AtomicBool, Ordering};

/// As loom's. To that it is all the same what happens elsewhere just before a lock is free; who does not wait for it
/// sees the difference.
pub(crate) struct Mutex<T> {
    lock: sync::Mutex<T>,
    /// Whoever tries, and whoever lets go, is here first.
    seen: AtomicUsize,
}

pub(crate) struct MutexGuard<'a, T> {
    guard: sync::MutexGuard<'a, T>,
    seen: &'a AtomicUsize,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { lock: sync::Mutex::new(value), seen: AtomicUsize::new(0) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        Ok(MutexGuard { guard: self.lock.lock().unwrap(), seen: &self.seen })
    }

    pub(crate) fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        self.seen.fetch_add(1, Ordering::Relaxed);
        match self.lock.try_lock() {
            Ok(guard) => Ok(MutexGuard { guard, seen: &self.seen }),
            Err(_) => Err(TryLockError::WouldBlock),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }
}
