//! What all mounts of one Primus share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicIsize, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::Instant};

use crate::{
    admission::Admission, authorize::Rejection, close::CloseReason, hooks::Hooks, metrics,
    middleware::Middlewares, packet::FrameCounters, settings::Settings, transform::Transforms,
};

/// Whether new sessions are welcome, and whether listeners are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phase {
    /// No new sessions.
    pub draining: bool,
    /// Listeners close.
    pub closing: bool,
    /// When listeners abort the connections that are left; `None`: never.
    pub deadline: Option<Instant>,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) hooks: Hooks,
    pub(crate) transforms: Transforms,
    pub(crate) middlewares: Middlewares,
    pub(crate) counters: Arc<FrameCounters>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) tally: Tally,
    connected: AtomicIsize,
    runtime: OnceLock<Handle>,
}

/// Counts what became of sessions and connections while a server ends.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) clean: AtomicUsize,
    pub(crate) cut: AtomicUsize,
    pub(crate) connections_cut: AtomicUsize,
}

impl Tally {
    pub(crate) fn reset(&self) {
        for count in [&self.clean, &self.cut, &self.connections_cut] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, transforms: Transforms) -> Self {
        Self {
            settings,
            hooks: Hooks::default(),
            transforms,
            middlewares: Middlewares::default(),
            counters: Arc::default(),
            admission: Arc::default(),
            phase: watch::Sender::new(Phase::default()),
            tally: Tally::default(),
            connected: AtomicIsize::new(0),
            runtime: OnceLock::new(),
        }
    }

    /// The runtime on which the first session was opened. Handlers may be woken from any thread,
    /// so it is remembered.
    #[expect(clippy::expect_used, reason = "sessions are opened by futures, which a runtime polls")]
    pub(crate) fn runtime(&self) -> Handle {
        self.runtime.get().cloned().or_else(|| Handle::try_current().ok()).expect("a tokio runtime")
    }

    pub(crate) fn remember_runtime(&self) {
        if let Ok(handle) = Handle::try_current() {
            let _ = self.runtime.set(handle);
        }
    }

    pub(crate) fn welcome(&self) -> Result<(), Rejection> {
        if self.phase.borrow().draining {
            return Err(Rejection::unavailable("the server is ending", Duration::from_secs(1)));
        }
        Ok(())
    }

    pub(crate) fn connected(&self, transformer: &'static str, change: i8) {
        self.connected.fetch_add(isize::from(change), Ordering::Relaxed);
        metrics::connections(transformer, change);
    }

    pub(crate) fn connected_count(&self) -> usize {
        usize::try_from(self.connected.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn ended(&self, reason: &CloseReason, clean: bool) {
        metrics::disconnect(reason);
        let count = if clean { &self.tally.clean } else { &self.tally.cut };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
