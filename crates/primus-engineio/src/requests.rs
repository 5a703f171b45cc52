//! Which requests of a client are under way: one poll and one POST at most.

use std::sync::Arc;

use primus_core::CloseReason;
use tokio::time::Instant;

use crate::{
    link::Link,
    protocol::{Denied, Packet},
};

impl Link {
    /// A poll begins; it is one until what is returned is dropped. Where that is dropped without
    /// [`Get::done`], the client has gone.
    pub(crate) fn get(self: &Arc<Self>) -> Result<Get, Denied> {
        self.give_up();
        {
            let mut state = self.lock();
            state.seen = Instant::now();
            match state.transports.get() {
                Ok(()) => return Ok(Get(Some(Arc::clone(self)))),
                Err(denied @ Denied::Refused(_)) => return Err(denied),
                Err(Denied::Overlap) => {}
            }
        }
        self.close(CloseReason::BAD_CONTROL.with_text("two polls at once"), Packet::Close);
        Err(Denied::Overlap)
    }

    /// As [`get`](Self::get), of a POST.
    pub(crate) fn post(self: &Arc<Self>) -> Result<Post, Denied> {
        self.give_up();
        {
            let mut state = self.lock();
            state.seen = Instant::now();
            match state.transports.post() {
                Ok(()) => return Ok(Post(Some(Arc::clone(self)))),
                Err(denied @ Denied::Refused(_)) => return Err(denied),
                Err(Denied::Overlap) => {}
            }
        }
        self.close(CloseReason::BAD_CONTROL.with_text("two POSTs at once"), Packet::Close);
        Err(Denied::Overlap)
    }
}

/// A poll that waits.
pub(crate) struct Get(Option<Arc<Link>>);

impl Get {
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.0.as_ref()
    }

    /// The answer is there.
    pub(crate) fn done(mut self) {
        if let Some(link) = self.0.take() {
            let mut state = link.lock();
            state.transports.got();
            state.poll = None;
            state.seen = Instant::now();
        }
    }
}

impl Drop for Get {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.lock().transports.got();
            link.close(CloseReason::GOING_AWAY, Packet::Close);
        }
    }
}

/// A POST that is being taken in.
pub(crate) struct Post(Option<Arc<Link>>);

impl Post {
    /// It has been taken in, or refused without harm.
    pub(crate) fn done(mut self) {
        if let Some(link) = self.0.take() {
            let mut state = link.lock();
            state.transports.posted();
            state.seen = Instant::now();
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.lock().transports.posted();
            link.close(CloseReason::GOING_AWAY, Packet::Close);
        }
    }
}
