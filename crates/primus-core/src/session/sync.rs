//! What a session stands on where several threads meet; the model checker of `tests/model` has its own.

pub(crate) use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread_local,
};
