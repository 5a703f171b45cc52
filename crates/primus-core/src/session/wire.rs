//! The writing half of a carrier, where others than its task may use it.
//!
//! ```text
//! publish ──push──▶ outboxes, and a list of those that were empty
//!                      │ a task for every 256 of them
//!                      ▼
//!                   wire.flush(): take, frame, one write; what the socket does not take
//!                   is left to the carrier's task
//! ```
//!
//! So a broadcast wakes a task for every 256 receivers, not one for each; and what is published until
//! that task runs leaves in the same write.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
    vec,
};

use tokio::task::{unconstrained, yield_now};

use crate::{
    prefetch::{FEW, prefetch},
    shared::Shared,
};

#[cfg(test)]
mod tests;

/// Writes what waits for one client.
pub trait Wire: Send + Sync {
    /// Takes what waits in the outbox and writes it, as far as that goes without waiting. The rest, and
    /// everything else that there is to do, is left to the carrier's task, which is woken for it. It must
    /// not wait for that task either.
    fn flush(&self);

    /// It will be flushed in a moment: its session is to be [brought near](super::Session::prefetch). This must not
    /// panic.
    fn prefetch(&self) {}
}

/// Wires that one task flushes.
const CHUNK: usize = 256;
/// Cache lines of a wire that a flush needs.
const LINES: usize = 3;
/// After this others have a turn. A socket takes microseconds; what is compressed for each may take longer.
const LONG: Duration = Duration::from_millis(2);

/// Wires that something has been published to. They are flushed when this is dropped: soon, so that
/// the publisher does not wait for it.
pub(crate) struct Wires<'a> {
    shared: &'a Shared,
    wires: Vec<Arc<dyn Wire>>,
}

impl<'a> Wires<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, wires: Vec::new() }
    }

    pub(super) fn add(&mut self, wire: &Arc<dyn Wire>) {
        self.wires.push(Arc::clone(wire));
    }
}

impl Drop for Wires<'_> {
    fn drop(&mut self) {
        // By where they lie. As far as they came one after the other their sockets do so, too, and what comes at
        // even steps the processor fetches before it is asked for.
        self.wires.sort_unstable_by_key(|wire| Arc::as_ptr(wire).cast::<()>());
        let mut wires = std::mem::take(&mut self.wires).into_iter();
        while wires.len() > 0 {
            let chunk = Chunk(wires.by_ref().take(CHUNK).collect::<Vec<_>>().into_iter());
            // Not where the publisher is, whose runtime may end before its tasks have run.
            self.shared.runtime().spawn(unconstrained(chunk.flush()));
        }
    }
}

/// What is left of a task's wires. Dropped, they are flushed all the same: nobody else would, where the
/// runtime of that task has ended.
struct Chunk(vec::IntoIter<Arc<dyn Wire>>);

impl Chunk {
    async fn flush(mut self) {
        loop {
            let begun = Instant::now();
            while begun.elapsed() < LONG {
                if !self.flush_few() {
                    return;
                }
            }
            yield_now().await;
        }
    }

    /// So many that nobody need look at the clock between. False: none is left.
    fn flush_few(&mut self) -> bool {
        let few = self.0.as_slice().iter().take(FEW);
        few.clone().for_each(|wire| prefetch(Arc::as_ptr(wire), LINES));
        few.for_each(|wire| wire.prefetch());
        for wire in self.0.by_ref().take(FEW) {
            // A parser of the application that panics touches no other client.
            if catch_unwind(AssertUnwindSafe(|| wire.flush())).is_err() {
                tracing::error!("a message could not be framed: the parser panicked");
            }
        }
        self.0.len() > 0
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        while self.flush_few() {}
    }
}
