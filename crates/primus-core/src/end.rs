//! The graceful end of a server.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use crate::{close::CloseReason, primus::Primus, shared::Phase};

/// How a server ends. Build it from `End::default()`, which closes, ends and does not ask to
/// come back.
///
/// ```
/// use std::time::Duration;
/// use primus_core::End;
/// let restart = End { reconnect: true, deadline: Duration::from_secs(30), ..End::default() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Close the listeners. If false, the HTTP server keeps answering. Default true.
    pub close: bool,
    /// End the sparks. If false, those that are there go on, and no new ones come. Default true.
    pub end: bool,
    /// Tell the sparks that are ended to come back, each after a delay of its own between nothing
    /// and `spread`. With `close: false` new sessions are welcome again when the end is done.
    /// Default false. Without `end` it changes nothing.
    pub reconnect: bool,
    /// Begin so long from now. No new sessions are made meanwhile. Primus called it `timeout`.
    /// Default zero.
    pub after: Duration,
    /// Be done so long after that; what is left is cut. Default 10 s.
    pub deadline: Duration,
    /// Over how much time clients that are asked to come back spread. Default 2 s.
    pub spread: Duration,
}

impl Default for End {
    fn default() -> Self {
        Self {
            close: true,
            end: true,
            reconnect: false,
            after: Duration::ZERO,
            deadline: Duration::from_secs(10),
            spread: Duration::from_secs(2),
        }
    }
}

/// What an end did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EndReport {
    /// Sparks that were told why and closed in good order.
    pub ended: usize,
    /// Sparks that were cut at the deadline, or whose connection broke while they were being ended.
    pub cut: usize,
    /// Sparks that go on (with `end: false`).
    pub left: usize,
    /// Other connections of our listeners that were cut at the deadline.
    pub connections_cut: usize,
}

impl Primus {
    /// Ends the server, and says what became of everyone. Done by `after` + `deadline`, whoever
    /// hangs.
    ///
    /// A second call while one is under way waits its turn.
    pub async fn end(&self, end: End) -> EndReport {
        let _turn = self.ending.lock().await;
        let phase = &self.shared.phase;
        phase.send_modify(|phase| phase.draining = true);
        tokio::time::sleep(end.after).await;
        let now = Instant::now();
        // A deadline beyond what the clock can say is none; a year is as good.
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        let deadline = now + end.deadline.min(year);

        self.shared.tally.reset();
        if end.end {
            // Listeners still accept: a client between two polls comes back to be told.
            self.end_sparks(&end, deadline).await;
        }
        if end.close {
            let abort = end.end.then_some(deadline);
            phase.send_replace(Phase { draining: true, closing: true, deadline: abort });
            if end.end {
                self.listeners_done(deadline).await;
            }
        }
        if !end.close && end.end && end.reconnect {
            phase.send_modify(|phase| phase.draining = false);
        }
        let tally = &self.shared.tally;
        EndReport {
            ended: tally.clean.load(Ordering::Relaxed),
            cut: tally.cut.load(Ordering::Relaxed),
            left: self.sessions(),
            connections_cut: tally.connections_cut.load(Ordering::Relaxed),
        }
    }

    async fn end_sparks(&self, end: &End, deadline: Instant) {
        for mount in self.mounts() {
            mount.registry.visit(|session| {
                session.end(if end.reconnect {
                    // The id is random, so its first byte spreads the herd.
                    let part = session.id().shard(256) as u32;
                    CloseReason::RESTART.after(end.spread * part / 256)
                } else {
                    CloseReason::SERVER_ENDED
                });
                // Who is away will find another server, or none.
                if session.is_detached() {
                    session.cut(CloseReason::SERVER_ENDED);
                }
                true
            });
        }
        let ended = async {
            for mount in self.mounts() {
                mount.all_ended().await;
            }
        };
        // A moment is kept for the listeners to see their connections close.
        let margin = (end.deadline / 20).min(Duration::from_millis(200));
        if tokio::time::timeout_at(deadline - margin, ended).await.is_err() {
            for mount in self.mounts() {
                mount.registry.visit(|session| {
                    session.cut(CloseReason::SERVER_ENDED);
                    true
                });
            }
        }
    }

    async fn listeners_done(&self, deadline: Instant) {
        let mut listeners = self.listeners.subscribe();
        let gone = listeners.wait_for(|count| *count == 0);
        // They abort by themselves at the deadline; this bounds even a listener that does not.
        let _ = tokio::time::timeout_at(deadline + Duration::from_millis(250), gone).await;
    }
}
