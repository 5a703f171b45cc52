//! What is done now and then for every session, by one task a mount.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{Session, outbox::Place};
use crate::{close::CloseReason, handle::Spark, resume::Grave};

impl Session {
    /// Called now and then: asks for signs of life, gives up who gives none, cuts ends that hang.
    pub(crate) fn sweep(self: &Arc<Self>, clock: u64, now: Instant) {
        let settings = &self.mount.shared.settings;
        let micros = |duration: Duration| duration.as_micros() as u64;
        let interval = u64::from(self.ping_interval) * 1000;
        let timeout = micros(settings.ping_timeout);
        let seen = self.last_seen(clock);
        let mut outbox = self.outbox();
        let generation = outbox.claim.generation;
        if let Place::Detached { since, reason, .. } = &outbox.place {
            let (away, reason) = (now.duration_since(*since), reason.clone());
            let missed = away > settings.detach_grace && std::mem::take(&mut outbox.counted);
            if missed {
                self.mount.shared.connected(outbox.transport(), -1);
            }
            drop(outbox);
            if missed {
                self.sparks().iter().for_each(Spark::be_absent);
            }
            if away > self.limits().resume_window {
                self.give_up(generation, *reason, Grave::Expired);
            }
            return;
        }
        if outbox.overdue(now, self.limits().close_timeout) {
            drop(outbox);
            // What it was not told it may still come back for.
            return self.detach(generation, CloseReason::GOING_AWAY);
        }
        if let Place::Parked { since, patience } = outbox.place {
            // A client between two polls has to come back, or to send something.
            let silent = Duration::from_micros(clock.saturating_sub(seen));
            if now.duration_since(since).min(silent) >= patience {
                drop(outbox);
                self.detach(generation, CloseReason::HEARTBEAT);
            }
            return;
        }
        if matches!(outbox.place, Place::Nowhere) {
            // Opened by a transformer that never attached it.
            if clock.saturating_sub(seen) >= micros(self.limits().attach_timeout) {
                drop(outbox);
                self.cut(CloseReason::GOING_AWAY);
            }
            return;
        }
        if interval == 0 || !self.heartbeat.load(Ordering::Relaxed) || !outbox.is_open() {
            return;
        }
        if self.paused.load(Ordering::Relaxed) {
            drop(outbox);
            return self.seen();
        }
        let answers = self.answers.load(Ordering::Relaxed);
        if answers && clock.saturating_sub(seen) >= interval + timeout {
            drop(outbox);
            if self.is_resumable() {
                self.detach(generation, CloseReason::HEARTBEAT);
            } else {
                // It may be the way to us that is broken, and not the way back.
                self.end(CloseReason::HEARTBEAT);
            }
            return;
        }
        if clock.saturating_sub(self.last_ping.load(Ordering::Relaxed)) >= interval {
            self.last_ping.store(clock, Ordering::Relaxed);
            self.pinged.store(true, Ordering::Relaxed);
            outbox.ping = true;
            if let Some(carrier) = outbox.carrier().cloned() {
                drop(outbox);
                carrier.wake();
            }
        }
    }

    /// When its client gave the last sign of life, or the first sweep after that: never too early, so the sweep that
    /// finds it silent for just as long as it may be gives it up.
    fn last_seen(&self, clock: u64) -> u64 {
        let (lately, relaxed) = (Self::LATELY, Ordering::Relaxed);
        match self.last_seen.compare_exchange(lately, clock, relaxed, relaxed) {
            Ok(_) => clock,
            Err(seen) => seen,
        }
    }

    /// Round trip of the last ping that was answered.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self.latency.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        }
    }
}
