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
};

use tokio::task::unconstrained;

use crate::shared::Shared;

/// Writes what waits for one client.
pub trait Wire: Send + Sync {
    /// Takes what waits in the outbox and writes it, as far as that goes without waiting. The rest, and
    /// everything else that there is to do, is left to the carrier's task, which is woken for it. It must
    /// not wait for that task either.
    fn flush(&self);
}

/// Wires that one task flushes, before others have a turn.
const CHUNK: usize = 256;

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
        let mut rest = std::mem::take(&mut self.wires);
        while !rest.is_empty() {
            let behind = rest.split_off(rest.len().min(CHUNK));
            let chunk = std::mem::replace(&mut rest, behind);
            // Not where the publisher is, whose runtime may end before its tasks have run.
            self.shared.runtime().spawn(unconstrained(async move {
                for wire in chunk {
                    // A parser of the application that panics touches no other client.
                    if catch_unwind(AssertUnwindSafe(|| wire.flush())).is_err() {
                        tracing::error!("a message could not be framed: the parser panicked");
                    }
                }
            }));
        }
    }
}
