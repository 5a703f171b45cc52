//! Memory is bounded: what is allocated is counted, also what is given back at once.

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One at a time, so that each counts its own.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `f`, which may allocate so many bytes in sum.
pub(crate) fn bounded<T>(most: usize, f: impl FnOnce() -> T) -> T {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let region = Region::new(HEAP);
    let result = f();
    let allocated = region.change().bytes_allocated;
    assert!(allocated <= most, "{allocated} bytes were allocated, {most} are allowed");
    result
}
