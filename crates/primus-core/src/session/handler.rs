//! The handler's future and who polls it.
//!
//! The future lives in a slot. Who polls it takes it out under a short lock, polls it without the
//! lock and puts it back; an empty slot means that someone else is polling. Its waker is the
//! session's own: it marks the slot woken, and wakes the carrier that drives or spawns a task that
//! polls once; in a turn on its thread it leaves a note there. Carriers come and go; none of them owns the future.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    thread,
};

use futures_task::{ArcWake, waker_ref};

use super::{Session, notices::Notice, outbox::Place, turn::Turn};
use crate::{
    close::CloseReason,
    events::{Belongings, Served, serve},
    handle::Spark,
    request::{BoxError, BoxFuture},
};

pub(super) enum Stage {
    /// The connection handler is not to be called yet.
    Held,
    /// The connection handler has not been called.
    Start,
    /// It waits.
    Waiting(BoxFuture<'static, Result<(), BoxError>>),
    /// Someone is polling it.
    Busy,
    /// It has returned; callbacks serve the spark, so it holds no future at all.
    Callbacks,
    /// It has returned, and so has the spark.
    Done,
}

pub(super) struct Slot {
    pub(super) stage: Stage,
    woken: bool,
}

impl Slot {
    pub(super) fn new(held: bool) -> Self {
        Self { stage: if held { Stage::Held } else { Stage::Start }, woken: false }
    }
}

enum Polled {
    /// The stage is as it was, or the next one.
    Waits,
    Callbacks,
    Returned(Result<(), BoxError>),
}

impl ArcWake for Session {
    fn wake_by_ref(session: &Arc<Self>) {
        session.schedule();
    }
}

impl Session {
    pub(super) fn begin_turn(&self) {
        self.driving.store(true, Ordering::Release);
    }

    /// Ends a turn without running the handler: what woke it meanwhile did not wake the carrier, so look
    /// once more.
    pub(super) fn end_turn(self: &Arc<Self>) {
        self.driving.store(false, Ordering::Release);
        if self.is_woken() {
            self.dispatch();
        }
    }

    /// Whether the handler waits to be polled.
    pub(super) fn is_woken(&self) -> bool {
        let slot = self.slot();
        (slot.woken || self.is_woken_at_hand())
            && !matches!(slot.stage, Stage::Held | Stage::Busy | Stage::Done)
    }

    /// Sees to it that `run` is called soon.
    pub(crate) fn schedule(self: &Arc<Self>) {
        if self.wake_at_hand() {
            return; // who polls looks at that, as the turn does when it ends
        }
        {
            let mut slot = self.slot();
            if std::mem::replace(&mut slot.woken, true)
                // Who polls looks at `woken` when done, and so does who begins.
                || matches!(slot.stage, Stage::Held | Stage::Busy)
                || self.driving.load(Ordering::Acquire)
            {
                return;
            }
        }
        self.dispatch();
    }

    /// Starts the handler of a session that was opened as [`held`](crate::Opening::held). Once is enough.
    pub fn begin(self: &Arc<Self>) {
        {
            let mut slot = self.slot();
            if !matches!(slot.stage, Stage::Held) {
                return;
            }
            slot.stage = Stage::Start;
            slot.woken = false;
        }
        self.schedule();
    }

    /// Whether its handler has been called, or is about to be.
    pub fn has_begun(&self) -> bool {
        !matches!(self.slot().stage, Stage::Held)
    }

    /// Sees to it that `run` is called soon, though who was told to call it may be gone.
    pub(super) fn reschedule(self: &Arc<Self>) {
        if self.is_woken() {
            self.dispatch();
        }
    }

    /// Wakes the carrier that drives, or spawns a task that polls once.
    fn dispatch(self: &Arc<Self>) {
        let driver = {
            let outbox = self.outbox();
            match &outbox.place {
                Place::Carried(carried) if carried.drives => match &carried.waker {
                    Some(waker) => Some(waker.clone()),
                    None => return, // looks when it registers
                },
                _ => None,
            }
        };
        if let Some(waker) = driver {
            return waker.wake();
        }
        let session = Arc::clone(self);
        self.mount.shared.spawn(async move { session.run() });
    }

    /// Polls the handler if it has been woken, then serves the callbacks.
    pub fn run(self: &Arc<Self>) {
        self.run_in(None);
    }

    /// The same, in a `turn` of the carrier, which ends by it.
    pub(super) fn run_in(self: &Arc<Self>, turn: Option<&Turn<'_>>) {
        // Under the slot's lock, as who wakes the handler looks at it under that.
        let end_turn = || {
            if turn.is_some() {
                self.driving.store(false, Ordering::Release);
            }
        };
        let mut stage = {
            let mut slot = self.slot();
            if !(slot.woken || self.is_woken_at_hand())
                || matches!(slot.stage, Stage::Held | Stage::Busy | Stage::Done)
            {
                end_turn();
                return;
            }
            slot.woken = false;
            self.take_woken();
            std::mem::replace(&mut slot.stage, Stage::Busy)
        };
        let waker = waker_ref(self);
        let mut cx = Context::from_waker(&waker);
        if let Some(turn) = turn {
            turn.begin_poll();
        }
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_stage(&mut stage, &mut cx)));
        turn.and_then(Turn::end_poll).into_iter().for_each(Waker::wake);
        let done = match polled {
            Ok(Polled::Waits) => false,
            Ok(Polled::Callbacks) if !self.is_input_over() => false,
            over => {
                self.drop_caught(std::mem::replace(&mut stage, Stage::Done)); // after a panic it is still there
                self.end(self.why_over(&over));
                self.drop_caught(over);
                true
            }
        };
        let (again, abandoned) = {
            let mut slot = self.slot();
            // The grace may be over: then the future is dropped, where nobody holds a lock on it.
            let abandoned = matches!(slot.stage, Stage::Done);
            if !abandoned {
                std::mem::swap(&mut slot.stage, &mut stage);
            }
            slot.woken |= self.take_woken();
            end_turn();
            (slot.woken && !done && !abandoned, abandoned)
        };
        if abandoned {
            self.drop_caught(stage);
        }
        if done {
            self.handler_returned();
        } else if again && !self.driving.load(Ordering::Acquire) {
            self.dispatch();
        }
    }

    /// The reason to end with, now that the handler is over.
    #[inline(never)]
    fn why_over(&self, over: &thread::Result<Polled>) -> CloseReason {
        let error = match over {
            Ok(Polled::Returned(Err(error))) => error,
            Ok(_) => return CloseReason::ENDED,
            Err(panic) => {
                let message = panic_text(&**panic);
                tracing::error!(spark = %self.id(), panic = message, "the handler panicked");
                return CloseReason::HANDLER_FAILED;
            }
        };
        match error.downcast_ref::<CloseReason>() {
            Some(reason) => reason.clone(),
            None => {
                tracing::warn!(spark = %self.id(), %error, "the handler failed");
                CloseReason::HANDLER_FAILED
            }
        }
    }

    fn poll_stage(self: &Arc<Self>, stage: &mut Stage, cx: &mut Context<'_>) -> Polled {
        if let Stage::Start = stage {
            let spark = Spark::from_session(self);
            *stage = Stage::Waiting(self.mount.shared.hooks().connect(spark));
        }
        let Stage::Waiting(future) = stage else {
            self.serve(true, cx);
            return Polled::Callbacks;
        };
        let result = match future.as_mut().poll(cx) {
            Poll::Pending => {
                self.serve(false, cx);
                return Polled::Waits;
            }
            Poll::Ready(result) => result,
        };
        *stage = Stage::Callbacks;
        if result.is_ok() && self.stays() {
            self.serve(true, cx);
            return Polled::Callbacks;
        }
        Polled::Returned(result)
    }

    /// Serves listeners and callbacks. `alone`: the handler is over.
    #[inline]
    fn serve(self: &Arc<Self>, alone: bool, cx: &mut Context<'_>) {
        let belongings = self.belongings_if_any();
        if alone || belongings.is_some() || self.served.load(Ordering::Acquire) {
            self.serve_any(belongings, alone, cx);
        }
    }

    fn serve_any(
        self: &Arc<Self>,
        belongings: Option<&Belongings>,
        alone: bool,
        cx: &mut Context<'_>,
    ) {
        let data = self.callbacks().data();
        let spark = Spark::from_session(self);
        let data = data.as_ref();
        if serve(&Served { mailbox: &**self, spark: &spark, belongings, data, alone }, cx) {
            self.slot().woken = true;
        }
    }

    /// From now on something may have to be served beside the handler.
    pub(crate) fn begin_serving(&self) {
        self.served.store(true, Ordering::Release);
    }

    /// Whether something serves the spark though its handler is over.
    fn stays(&self) -> bool {
        self.callbacks().data().is_some()
            || self.belongings_if_any().is_some_and(|own| !own.listeners().is_empty())
            || self.hears_us() && self.mount.shared.root().rules().has_listeners()
    }

    /// Whether its handler is over, and the spark is not.
    pub(super) fn outlives_handler(&self) -> bool {
        matches!(self.slot().stage, Stage::Callbacks | Stage::Busy)
    }

    fn is_input_over(&self) -> bool {
        let over = {
            let inbox = self.inbox();
            inbox.mail.closed && inbox.mail.next_lane().is_none()
        };
        over && self.belongings_if_any().is_none_or(|own| own.serving().is_idle())
    }

    /// Takes the handler's future away after its grace.
    pub(super) fn abandon_handler(self: &Arc<Self>) {
        let stage = std::mem::replace(&mut self.slot().stage, Stage::Done);
        if matches!(stage, Stage::Done) {
            return;
        }
        self.drop_caught(stage);
        self.handler_returned();
    }

    /// Dropping a handler, or what it returned, runs user code.
    fn drop_caught<T>(&self, over: T) {
        if catch_unwind(AssertUnwindSafe(|| drop(over))).is_err() {
            tracing::error!(spark = %self.id(), "the handler panicked while it was dropped");
        }
    }

    /// For a session that ends before it was ever attached, or while its handler was held: that is not
    /// called, and nobody is told of the end. True if so.
    pub(super) fn forget_unstarted(&self, attached: bool) -> bool {
        let mut slot = self.slot();
        let unstarted =
            matches!(slot.stage, Stage::Held) || !attached && matches!(slot.stage, Stage::Start);
        if !unstarted {
            return false;
        }
        slot.stage = Stage::Done;
        self.announced.store(true, Ordering::Release);
        true
    }

    /// The handler is over; when the session is too, the disconnection is announced.
    fn handler_returned(self: &Arc<Self>) {
        if self.is_ended() {
            self.announce_disconnection();
        }
    }

    pub(super) fn is_handler_done(&self) -> bool {
        matches!(self.slot().stage, Stage::Done)
    }

    pub(super) fn announce_disconnection(self: &Arc<Self>) {
        if self.announced.swap(true, Ordering::AcqRel) {
            return;
        }
        self.wake_waiting();
        // It holds a spark of this very session.
        let transforming = self.inbox().mail.take_transforming();
        let listening = self.belongings_if_any().map(Belongings::clear);
        if catch_unwind(AssertUnwindSafe(|| drop((transforming, listening)))).is_err() {
            tracing::error!(spark = %self.id(), "a transform or listener panicked while it was dropped");
        }
        let reason = self.close_reason().unwrap_or(CloseReason::GOING_AWAY);
        let callbacks = self.take_callbacks();
        self.notify(Notice::Disconnected(reason, callbacks));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
