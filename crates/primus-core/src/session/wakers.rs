//! Tasks that wait for the same thing.

use std::task::{Context, Waker};

/// Each of them once. Nearly always nobody: then it is one pointer.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a pointer, where there is nearly never anybody")]
#[must_use = "who has been taken out has to be woken"]
pub(super) struct Wakers(Option<Box<Vec<Waker>>>);

impl Wakers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds the task of `cx`.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        let wakers = self.0.get_or_insert_default();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }

    /// Takes them all out, if `now`.
    pub(super) fn take_if(&mut self, now: bool) -> Self {
        if now { std::mem::take(self) } else { Self::default() }
    }

    /// Takes them all out.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(super) fn wake(self) {
        self.0.into_iter().flat_map(|wakers| *wakers).for_each(Waker::wake);
    }
}
