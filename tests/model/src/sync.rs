//! What a session and who works on it stand on, as the model checker knows it.

#![allow(
    unused_imports,
    unused_macros,
    dead_code,
    reason = "each of those that stand on it uses a part"
)]

use std::cell::{Cell, RefCell};
pub(crate) use std::sync::{PoisonError, TryLockError};

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};
use loom::{
    sync::atomic::{self, fence},
    thread,
};

/// loom takes `SeqCst` for `AcqRel`, but knows what a fence is: one between two such accesses orders them.
pub(crate) struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    pub(crate) fn new(value: bool) -> Self {
        Self(atomic::AtomicBool::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> bool {
        if order == Ordering::SeqCst {
            fence(Ordering::SeqCst);
        }
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: bool, order: Ordering) {
        self.0.store(value, order);
    }

    pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
        self.0.swap(value, order)
    }
}

/// All threads of a model are one of the system.
macro_rules! local {
    ($($(#[$attribute:meta])* static $name:ident: $of:ty = $value:expr;)*) => {
        $($(#[$attribute])* static $name: $crate::session::sync::Local<$of> = {
            loom::thread_local! { static IT: $of = $value; }
            $crate::session::sync::Local(&IT)
        };)*
    };
}
pub(crate) use local as thread_local;

/// As the standard library's `LocalKey`.
pub(crate) struct Local<T: 'static>(pub(crate) &'static thread::LocalKey<T>);

impl<T> Local<T> {
    pub(crate) fn with<R>(&self, work: impl FnOnce(&T) -> R) -> R {
        self.0.with(work)
    }

    pub(crate) fn try_with<R>(&self, work: impl FnOnce(&T) -> R) -> Result<R, ()> {
        self.0.try_with(work).map_err(drop)
    }
}

impl<T> Local<Cell<T>> {
    pub(crate) fn get(&self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&self, value: T) {
        self.with(|it| it.set(value));
    }

    pub(crate) fn take(&self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }
}

impl<T> Local<RefCell<T>> {
    pub(crate) fn with_borrow<R>(&self, work: impl FnOnce(&T) -> R) -> R {
        self.with(|it| work(&it.borrow()))
    }

    pub(crate) fn with_borrow_mut<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.with(|it| work(&mut it.borrow_mut()))
    }
}
