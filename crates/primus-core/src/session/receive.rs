//! From the client to the handler: into the inbox, and out of it through the incoming transforms.

use std::{
    sync::{Arc, MutexGuard, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{DeliverError, Session, inbox::Inbox};
use crate::{
    close::CloseReason,
    handle::Spark,
    message::{Message, Payload},
    metrics,
    request::BoxFuture,
    resume::{Beyond, Defect, Receipt, is},
    transform::{self, Flow},
};

impl Session {
    /// Any traffic is a sign of life.
    pub fn seen(&self) {
        self.last_seen.store(self.mount.clock(), Ordering::Relaxed);
    }

    /// The peer answered the last ping.
    pub fn ponged(&self) {
        if !self.pinged.swap(false, Ordering::Relaxed) {
            return; // nobody asked
        }
        let sent = self.last_ping.load(Ordering::Relaxed);
        let round_trip = self.mount.clock().saturating_sub(sent);
        self.latency.store(round_trip.max(1), Ordering::Relaxed);
    }

    /// Hands a message to the handler's inbox, from a client whose messages have no numbers.
    ///
    /// # Errors
    /// When the inbox is at its mark, or the session is over; the message comes back.
    pub fn deliver(self: &Arc<Self>, payload: Payload) -> Result<(), DeliverError> {
        let size = payload.len();
        let inbox = self.inbox();
        let number = inbox.intake.recv() + 1;
        self.accept(inbox, number, payload)?;
        self.meters().received(size);
        Ok(())
    }

    /// Hands message `number` to the handler's inbox, brought by a carrier of `generation`. One
    /// that has been received before is dropped; that is no error.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver), and when a message before it is missing, or another carrier
    /// has the session.
    pub fn receive(
        self: &Arc<Self>,
        generation: u64,
        number: u64,
        payload: Payload,
    ) -> Result<(), DeliverError> {
        let size = payload.len();
        if self.take_in(generation, number, payload)? {
            self.meters().received(size);
        }
        Ok(())
    }

    /// As [`receive`](Self::receive); false: it has been received before. Who calls this counts.
    pub(super) fn take_in(
        self: &Arc<Self>,
        generation: u64,
        number: u64,
        payload: Payload,
    ) -> Result<bool, DeliverError> {
        let inbox = self.inbox();
        match inbox.intake.judge(generation, number) {
            Receipt::New => self.accept(inbox, number, payload).map(|()| true),
            Receipt::Duplicate => {
                drop(inbox);
                metrics::duplicate();
                Ok(false)
            }
            Receipt::Gap => Err(DeliverError::Gap { recv: inbox.intake.recv() }),
            Receipt::Fenced => Err(DeliverError::Fenced),
        }
    }

    fn accept(
        self: &Arc<Self>,
        mut inbox: MutexGuard<'_, Inbox>,
        number: u64,
        payload: Payload,
    ) -> Result<(), DeliverError> {
        if inbox.closed {
            return Err(DeliverError::Ended(payload));
        }
        if inbox.is_full(self.limits()) {
            if is(Defect::FullCounts) {
                inbox.intake.took(number);
            }
            return Err(DeliverError::Full(payload));
        }
        inbox.push(payload);
        inbox.intake.took(number);
        let reader = inbox.reader.take();
        drop(inbox);
        match reader {
            Some(reader) => reader.wake(),
            None if self.callbacks().data().is_some() => self.schedule(),
            None => {}
        }
        Ok(())
    }

    /// The client has everything up to `recv`, said by way of a carrier of `generation`. Where
    /// another one has replaced that, it means nothing: who has the session now may have received
    /// less.
    ///
    /// # Errors
    /// When that is more than it was sent.
    pub fn acked_by(&self, generation: u64, recv: u64) -> Result<(), CloseReason> {
        let waiting = {
            let mut outbox = self.outbox();
            if outbox.claim.generation != generation {
                return Ok(());
            }
            match outbox.ring.ack(recv) {
                Err(Beyond) => {
                    return Err(CloseReason::BAD_CONTROL.with_text("it acknowledges too much"));
                }
                Ok(freed) if freed > 0 && !outbox.is_pressured(self.resume, self.limits()) => {
                    std::mem::take(&mut outbox.waiting)
                }
                Ok(_) => return Ok(()),
            }
        };
        waiting.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Ready when the inbox has room or is closed.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inbox = self.inbox();
        if inbox.closed || !inbox.is_full(self.limits()) {
            self.paused.store(false, Ordering::Relaxed);
            return Poll::Ready(());
        }
        // The deadline of the heartbeat does not run while we are the ones who do not read.
        self.paused.store(true, Ordering::Relaxed);
        if !inbox.room.iter().any(|waker| waker.will_wake(cx.waker())) {
            inbox.room.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the inbox has room or is closed.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// The client will send no more: `next` yields what is there, then `None`. Writing goes on.
    pub fn end_input(self: &Arc<Self>) {
        let (reader, room) = {
            let mut inbox = self.inbox();
            inbox.closed = true;
            (inbox.reader.take(), std::mem::take(&mut inbox.room))
        };
        reader.into_iter().chain(room).for_each(Waker::wake);
        self.schedule();
    }

    pub(crate) fn poll_message(
        self: &Arc<Self>,
        spark: &Spark,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        loop {
            let transforming = self.inbox().transforming.take();
            if let Some(mut transforming) = transforming {
                match transforming.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.inbox().transforming = Some(transforming);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(message)) => return Poll::Ready(Some(message)),
                    Poll::Ready(None) => continue,
                }
            }
            let (payload, room) = {
                let mut inbox = self.inbox();
                let Some(payload) = inbox.pop() else {
                    if inbox.closed {
                        return Poll::Ready(None);
                    }
                    match &mut inbox.reader {
                        Some(reader) => reader.clone_from(cx.waker()),
                        None => inbox.reader = Some(cx.waker().clone()),
                    }
                    return Poll::Pending;
                };
                let room = if inbox.is_full(self.limits()) {
                    Vec::new()
                } else {
                    // Also when who waited for room has gone away meanwhile.
                    self.paused.store(false, Ordering::Relaxed);
                    std::mem::take(&mut inbox.room)
                };
                (payload, room)
            };
            room.into_iter().for_each(Waker::wake);
            let message = Message::new(payload, Arc::clone(&self.mount.settings().parser));
            match self.transform_in(spark, message) {
                Ok(Some(message)) => return Poll::Ready(Some(message)),
                Ok(None) => {}
                Err(future) => self.inbox().transforming = Some(future),
            }
        }
    }

    /// Runs the incoming transforms: at once as long as they are synchronous, else as a future.
    fn transform_in(
        self: &Arc<Self>,
        spark: &Spark,
        mut message: Message,
    ) -> Result<Option<Message>, BoxFuture<'static, Option<Message>>> {
        if self.mount.shared.transforms.plugins.incoming(spark, &mut message) == Flow::Drop {
            return Ok(None);
        }
        let transforms = &self.mount.shared.transforms.incoming;
        for (index, transform) in transforms.iter().enumerate() {
            match transform {
                transform::Incoming::Sync(transform) => {
                    if transform(spark, &mut message) == Flow::Drop {
                        return Ok(None);
                    }
                }
                transform::Incoming::Async(_) => {
                    let (session, spark) = (Arc::clone(self), spark.clone());
                    return Err(Box::pin(async move {
                        let mut message = message;
                        for transform in &session.mount.shared.transforms.incoming[index..] {
                            match transform {
                                transform::Incoming::Sync(transform) => {
                                    if transform(&spark, &mut message) == Flow::Drop {
                                        return None;
                                    }
                                }
                                transform::Incoming::Async(transform) => {
                                    message = transform(spark.clone(), message).await?;
                                }
                            }
                        }
                        Some(message)
                    }));
                }
            }
        }
        Ok(Some(message))
    }
}
