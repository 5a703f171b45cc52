//! The end of a session: asked for, told, over, and the grace of its handler.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{
    Session,
    outbox::{End, Life, Place},
};
use crate::{close::CloseReason, handle::Spark, resume::Grave, spark::State};

impl Session {
    /// Ends the session: what is queued is written, then the client is told why. The first reason
    /// holds. A client that is away is told when it comes back within the resume window.
    pub fn end(self: &Arc<Self>, reason: CloseReason) {
        self.begin_end(None, reason, false);
    }

    /// As [`end`](Self::end), because of what came by the carrier of `generation`. Where another
    /// one has replaced that, it means nothing.
    pub fn end_by(self: &Arc<Self>, generation: u64, reason: CloseReason) {
        self.begin_end(Some(generation), reason, false);
    }

    /// As [`end`](Self::end), but what is queued is not written any more.
    pub(super) fn end_at_once(self: &Arc<Self>, reason: CloseReason) {
        self.begin_end(None, reason, true);
    }

    fn begin_end(self: &Arc<Self>, by: Option<u64>, reason: CloseReason, at_once: bool) {
        let (carrier, waiting, nowhere) = {
            let mut outbox = self.outbox();
            let fenced = by.is_some_and(|generation| generation != outbox.claim.generation);
            if fenced || !outbox.is_open() {
                return;
            }
            outbox.life = Life::Ending(Box::new(End::new(reason.clone())));
            if at_once {
                // Under the same lock: nothing gets in behind what is left out.
                outbox.clear();
            }
            let nowhere = matches!(outbox.place, Place::Nowhere);
            (outbox.carrier().cloned(), outbox.waiting.take(), nowhere)
        };
        self.end_input();
        carrier.into_iter().for_each(Waker::wake);
        waiting.wake();
        if nowhere {
            let generation = self.generation();
            self.close(generation, reason, true);
        }
    }

    /// The session is over. `clean`: the peer was told so. False if it had been over, or
    /// `generation` is not the current one.
    pub(super) fn close(
        self: &Arc<Self>,
        generation: u64,
        reason: CloseReason,
        clean: bool,
    ) -> bool {
        let (carrier, waiting, counted) = {
            let mut outbox = self.outbox();
            if outbox.claim.generation != generation || outbox.is_ended() {
                return false;
            }
            outbox.life.over(reason.clone());
            outbox.clear();
            let was = std::mem::replace(&mut outbox.place, Place::Nowhere);
            self.refund(&was);
            let carrier = match was {
                Place::Carried(carried) => carried.waker,
                _ => None,
            };
            let counted = std::mem::take(&mut outbox.counted).then_some(outbox.transport());
            (carrier, outbox.waiting.take(), counted)
        };
        if let Some(transport) = counted {
            self.mount.shared.connected(transport, -1);
        }
        if self.is_resumable() && reason != CloseReason::NORMAL && !reason.reconnects() {
            // Its client may not have heard of it, and is not to begin anew.
            self.mount.bury(self, Grave::Ended(reason.clone()));
        }
        self.mount.forget(self);
        self.mount.shared.ended(&reason, clean);
        self.give_back();
        self.end_input();
        self.leave_all(&reason);
        carrier.into_iter().for_each(Waker::wake);
        waiting.wake();
        if self.forget_unstarted(generation > 0) {
            return true;
        }
        if self.is_handler_done() {
            self.announce_disconnection();
        } else {
            self.give_grace();
        }
        true
    }

    /// It is in no room and no channel any more, and nobody answers what it was asked.
    fn leave_all(self: &Arc<Self>, reason: &CloseReason) {
        for seat in self.take_seats() {
            seat.leave(reason.clone(), false);
        }
        if let Some(pending) = self.pending_if_any() {
            pending.close();
        }
        Spark::from_session(self).leave_all_at_end();
    }

    /// The handler may finish what it does, for so long.
    pub(super) fn give_grace(self: &Arc<Self>) {
        let session = Arc::clone(self);
        let grace = self.mount.shared.settings.handler_grace;
        self.mount.shared.runtime().spawn(async move {
            session.run();
            let over = std::future::poll_fn(|cx| session.poll_announced(cx));
            if tokio::time::timeout(grace, over).await.is_err() {
                tracing::warn!(spark = %session.id(), "the handler outlived its spark; dropped");
                session.abandon_handler();
            }
        });
    }

    pub(super) fn poll_announced(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if self.announced.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        outbox.waiting.wait(cx);
        Poll::Pending
    }

    pub(super) fn wake_waiting(&self) {
        let waiting = self.outbox().waiting.take();
        waiting.wake();
    }

    /// Cuts the session without telling the client.
    pub(crate) fn cut(self: &Arc<Self>, reason: CloseReason) -> bool {
        let (generation, reason) = {
            let outbox = self.outbox();
            let reason = match &outbox.life {
                Life::Ending(end) => end.reason.clone(),
                _ => reason,
            };
            (outbox.claim.generation, reason)
        };
        self.close(generation, reason, false)
    }

    /// Why the session is ending or has ended.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match &self.outbox().life {
            Life::Open => None,
            Life::Ending(end) | Life::Ended(end) => Some(end.reason.clone()),
        }
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        self.outbox().is_ended()
    }

    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if outbox.is_ended() {
            return Poll::Ready(());
        }
        outbox.waiting.wait(cx);
        Poll::Pending
    }

    pub(crate) fn state(&self) -> State {
        let outbox = self.outbox();
        match (&outbox.life, &outbox.place) {
            (Life::Ended(_), _) => State::Closed,
            (Life::Ending(..), _) => State::Ending,
            (Life::Open, Place::Nowhere) => State::Opening,
            (Life::Open, Place::Detached { .. }) => State::Detached,
            (Life::Open, _) => State::Open,
        }
    }
}
