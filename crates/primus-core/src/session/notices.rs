//! What the application is told of a session's carriers and its end, in order, by one task at a time.

use std::{
    collections::VecDeque,
    mem::discriminant,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Callbacks, Session};
use crate::{close::CloseReason, handle::Spark};

/// Something to tell.
pub(super) enum Notice {
    Detached(CloseReason),
    Resumed,
    Disconnected(CloseReason, Callbacks),
}

/// A connection that flaps faster than the hooks can be told has so many notices waiting; beyond
/// that a detach and the resume behind it are passed over.
const MOST: usize = 16;

/// `None` inside: no task is telling anything.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "a pointer, where there is nearly never anything")]
pub(super) struct Notices(Mutex<Option<Box<VecDeque<Notice>>>>);

impl Session {
    /// Tells the application, after everything that it has been told before.
    pub(super) fn notify(self: &Arc<Self>, notice: Notice) {
        let hooks = self.mount.shared.hooks();
        if matches!(notice, Notice::Detached(_)) && !hooks.hears_detach()
            || matches!(notice, Notice::Resumed) && !hooks.hears_resume()
        {
            return;
        }
        {
            let mut running = self.notices.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(queue) = &mut *running {
                if queue.len() < MOST || matches!(notice, Notice::Disconnected(..)) {
                    queue.push_back(notice);
                } else if queue.back().map(discriminant) != Some(discriminant(&notice)) {
                    queue.pop_back(); // and what undoes it is not told, either
                }
                return;
            }
            *running = Some(Box::new(VecDeque::from([notice])));
        }
        let session = Arc::clone(self);
        self.mount.shared.runtime().spawn(async move {
            while let Some(notice) = session.next_notice() {
                let session = Arc::clone(&session);
                // A task of its own: a panic in it touches nothing else, and the rest is told.
                let told = tokio::spawn(async move { session.tell(notice).await });
                if told.await.is_err() {
                    tracing::error!("a hook of a detach, a resume or a disconnection panicked");
                }
            }
        });
    }

    fn next_notice(&self) -> Option<Notice> {
        let mut running = self.notices.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = running.as_mut().and_then(|queue| queue.pop_front());
        if next.is_none() {
            *running = None;
        }
        next
    }

    async fn tell(self: Arc<Self>, notice: Notice) {
        let spark = Spark::from_session(&self);
        let hooks = self.mount.shared.hooks();
        match notice {
            Notice::Detached(reason) => hooks.detach(spark, reason).await,
            Notice::Resumed => hooks.resume(spark).await,
            Notice::Disconnected(reason, callbacks) => {
                callbacks.announce(&spark, &reason);
                hooks.disconnect(spark, reason).await;
                // Nobody asks any more.
                self.outbox().forget_undelivered();
            }
        }
    }
}
