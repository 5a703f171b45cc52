//! Who reads the posts.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

/// A page, as its spark has it.
#[derive(Default)]
pub(crate) struct Reader {
    /// The numbers of the last post that was sent, and of the last one that it says it has.
    sent: AtomicU64,
    seen: AtomicU64,
    report: Mutex<Report>,
}

/// What a page tells of itself, now and then.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
pub(crate) struct Report {
    received: u64,
    skipped: u64,
    newest: u64,
    /// How old posts are when they come, in ms.
    latency: f64,
}

impl Reader {
    pub(crate) fn tell(&self, report: Report) {
        self.seen.store(report.newest, Ordering::Relaxed);
        *self.report.lock().unwrap() = report;
    }

    pub(crate) fn report(&self) -> Report {
        *self.report.lock().unwrap()
    }

    /// How many posts were written since the last one that it has, and until the last one that it was
    /// sent. Of a reader that tells nothing, such as curl, it is 0.
    pub(crate) fn behind(&self) -> u64 {
        let (sent, seen) = (self.sent.load(Ordering::Relaxed), self.seen.load(Ordering::Relaxed));
        if seen == 0 { 0 } else { sent.saturating_sub(seen) }
    }

    /// Whether it gets this post, because it is less than `most` posts behind.
    pub(crate) fn takes(&self, n: u64, most: u64) -> bool {
        let takes = self.behind() < most;
        if takes {
            self.sent.store(n, Ordering::Relaxed);
        }
        takes
    }
}
