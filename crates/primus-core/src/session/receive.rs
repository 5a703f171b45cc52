//! From the client to the handler: into the inbox, and out of it through the incoming transforms.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{
    Batch, Session,
    control::OWN,
    inbox::Inbox,
    mail::{Lane, Mail, MailBox, poll_mail},
    sync::MutexGuard,
    wakers::Wakers,
};
use crate::{
    authorize::Rejection,
    close::CloseReason,
    envelope::{Envelope, Subject},
    events::RequestError,
    handle::Spark,
    message::{Message, Payload},
    metrics::{self, Meters},
    mount::Mount,
    packet::{Delivery, Outgoing},
    resume::{Beyond, Defect, Receipt, is},
};

/// A session could not take a message from its client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The handler is behind: wait with [`Session::room`] and offer the message again.
    #[error("the handler is behind")]
    Full(Envelope),
    /// The session is over.
    #[error("the session has ended")]
    Ended(Envelope),
    /// Something before it is missing: the client has to go on behind number `recv`.
    #[error("messages are missing between {recv} and this one")]
    Gap {
        /// The highest number received.
        recv: u64,
    },
    /// It came by a carrier that another one has replaced.
    #[error("another carrier has the session")]
    Fenced,
}

impl Session {
    /// Any traffic is a sign of life.
    #[inline]
    pub fn seen(&self) {
        self.last_seen.store(Self::LATELY, Ordering::Relaxed);
    }

    /// The peer answered the last ping.
    pub fn ponged(&self) {
        if !self.pinged.swap(false, Ordering::Relaxed) {
            return; // nobody asked
        }
        let sent = self.last_ping.load(Ordering::Relaxed);
        let round_trip = self.mount.clock().saturating_sub(sent);
        let round_trip = u32::try_from(round_trip).unwrap_or(u32::MAX);
        self.latency.store(round_trip.max(1), Ordering::Relaxed);
    }

    /// Hands a message to the handler's inbox, from a client whose messages have no numbers.
    ///
    /// # Errors
    /// When the inbox is at its mark, or the session is over; the message comes back.
    pub fn deliver(self: &Arc<Self>, message: impl Into<Envelope>) -> Result<(), DeliverError> {
        let message = message.into();
        let size = message.len();
        let inbox = self.inbox();
        let number = inbox.intake.recv() + 1;
        self.accept(inbox, number, message)?;
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
        message: impl Into<Envelope>,
    ) -> Result<(), DeliverError> {
        let message = message.into();
        let size = message.len();
        if self.take_in(generation, number, message)? {
            self.meters().received(size);
        }
        Ok(())
    }

    /// As [`receive`](Self::receive); false: it has been received before. Who calls this counts.
    #[inline]
    pub(super) fn take_in(
        self: &Arc<Self>,
        generation: u64,
        number: u64,
        message: Envelope,
    ) -> Result<bool, DeliverError> {
        let inbox = self.inbox();
        match inbox.intake.judge(generation, number) {
            Receipt::New => self.accept(inbox, number, message).map(|()| true),
            Receipt::Duplicate => {
                drop(inbox);
                metrics::duplicate();
                Ok(false)
            }
            Receipt::Gap => Err(DeliverError::Gap { recv: inbox.intake.recv() }),
            Receipt::Fenced => Err(DeliverError::Fenced),
        }
    }

    /// Takes a message in: what is for the protocol is served at once, the rest waits for its spark.
    #[inline]
    fn accept(
        self: &Arc<Self>,
        mut inbox: MutexGuard<'_, Inbox>,
        number: u64,
        message: Envelope,
    ) -> Result<(), DeliverError> {
        if !message.is_bare() || inbox.mail.closed || inbox.is_above_mark(self.limits()) {
            return self.accept_rare(inbox, number, message);
        }
        let first = !inbox.mail.has(Lane::Data);
        inbox.mail.push(Lane::Data, message);
        inbox.intake.took(number);
        self.wake_reader(inbox, first);
        Ok(())
    }

    /// Takes in a whole batch whose first message has a number; so many messages and bytes. `None`: they
    /// have to be taken in one by one.
    pub(super) fn take_in_all(
        self: &Arc<Self>,
        generation: u64,
        number: u64,
        batch: &mut Batch,
        meters: &Meters,
    ) -> Option<(u32, usize)> {
        let (count, bytes) = (u32::try_from(batch.len()).ok()?, batch.bytes);
        let mut inbox = self.inbox();
        let whole = !batch.headed
            && !inbox.mail.closed
            && inbox.intake.judge(generation, number) == Receipt::New
            && inbox.has_room_for(count as usize, bytes, self.limits());
        if !whole {
            return None;
        }
        // Under the lock, while they are here: a recorder of metrics knows no session.
        batch.iter().for_each(|message| meters.received(message.len()));
        let first = !inbox.mail.has(Lane::Data);
        inbox.mail.append(batch);
        inbox.intake.took(number + u64::from(count) - 1);
        self.wake_reader(inbox, first);
        Some((count, bytes))
    }

    /// Data has come; it is the `first` that waits.
    #[inline]
    fn wake_reader(self: &Arc<Self>, mut inbox: MutexGuard<'_, Inbox>, first: bool) {
        if self.wake_reader_at_hand(&inbox) {
            return;
        }
        let reader = inbox.mail.reader.take();
        drop(inbox);
        match reader {
            Some(reader) => reader.wake(),
            // Who serves them goes on until none is left.
            None if first && self.reads_by_itself() => self.schedule(),
            None => {}
        }
    }

    /// As [`accept`](Self::accept), of a message with a head, and where the inbox may be full or closed.
    fn accept_rare(
        self: &Arc<Self>,
        mut inbox: MutexGuard<'_, Inbox>,
        number: u64,
        message: Envelope,
    ) -> Result<(), DeliverError> {
        if inbox.mail.closed {
            return Err(DeliverError::Ended(message));
        }
        let heading = message.heading();
        let lane = match &heading.subject {
            Subject::Reply(id) | Subject::Refuse(id) => {
                inbox.intake.took(number);
                drop(inbox);
                self.answered(*id, &message);
                return Ok(());
            }
            Subject::Event(name) if name.starts_with(OWN) => {
                inbox.intake.took(number);
                drop(inbox);
                if let (Some(channel), "primus.end") = (&heading.channel, &**name) {
                    self.left_channel(channel);
                }
                return Ok(());
            }
            Subject::Request(id, name) if name.starts_with(OWN) => {
                inbox.intake.took(number);
                drop(inbox);
                match self.spark_in(heading.channel.as_deref()) {
                    Some(spark) => self.control(spark, *id, name, &message),
                    None => self.refuse_outside(*id),
                }
                return Ok(());
            }
            Subject::Data => Lane::Data,
            Subject::Event(_) | Subject::Request(..) => Lane::Events,
        };
        if let Some(expects) = self.is_full(&mut inbox, number) {
            drop(inbox);
            return Err(self.full(expects, message.clone()));
        }
        inbox.intake.took(number);
        let Some(channel) = &heading.channel else {
            inbox.mail.push(lane, message);
            if lane == Lane::Events {
                self.begin_serving();
            }
            // Events are not for who reads messages one by one, who goes on to wait.
            let reader = if lane == Lane::Data { inbox.mail.reader.take() } else { None };
            drop(inbox);
            match reader {
                Some(reader) => reader.wake(),
                None => self.schedule(),
            }
            return Ok(());
        };
        match self.seat(channel) {
            Some(seat) => {
                let (messages, bytes) = &mut **inbox.elsewhere.get_or_insert_default();
                *messages += 1;
                *bytes += message.len();
                drop(inbox);
                seat.deliver(lane, message);
            }
            None => {
                drop(inbox);
                if let Subject::Request(id, _) = &heading.subject {
                    self.refuse_outside(*id);
                }
            }
        }
        Ok(())
    }

    /// Whether there is no room for a message; then, whether something is expected behind it.
    fn is_full(&self, inbox: &mut Inbox, number: u64) -> Option<bool> {
        if !inbox.is_full(self.limits(), || self.expects()) {
            return None;
        }
        if is(Defect::FullCounts) {
            inbox.intake.took(number);
        }
        Some(self.expects())
    }

    /// There is no room for the message. What waits for something behind it is told.
    fn full(&self, expects: bool, message: Envelope) -> DeliverError {
        if expects {
            self.backlogged();
        }
        DeliverError::Full(message)
    }

    /// Whether messages are read though the handler does not: by callbacks, or to be dropped.
    fn reads_by_itself(&self) -> bool {
        self.belongings_if_any().is_some()
            || self.callbacks().data().is_some()
            || self.outlives_handler()
    }

    /// The spark of this session in a channel.
    fn spark_in(self: &Arc<Self>, channel: Option<&str>) -> Option<Spark> {
        match channel {
            None => Some(Spark::from_session(self)),
            Some(channel) => self.seat(channel).map(|seat| Spark::from_seat(&seat)),
        }
    }

    fn refuse_outside(self: &Arc<Self>, id: u64) {
        let error = "this session is not in that channel";
        let rejection = Rejection::new(http::StatusCode::NOT_FOUND, error);
        let _ = self.push(Outgoing::Own(Envelope::refuse(id, &rejection)), Delivery::Reliable);
    }

    /// An answer of the client. It waits for nothing.
    fn answered(&self, id: u64, answer: &Envelope) {
        let Some(pending) = self.pending_if_any() else { return };
        let parser = &self.mount.settings().parser;
        let result = match answer.heading().subject {
            Subject::Refuse(_) => Err(RequestError::Refused(Rejection::read(answer.body_bytes()))),
            _ => Ok(Message::open(answer, parser)),
        };
        pending.answer(id, result);
    }

    /// Who waits for room to deliver may look again.
    pub(super) fn read_on(&self) {
        let room = self.inbox().room.take();
        room.wake();
    }

    /// A spark of a channel has taken messages that were counted here.
    pub(crate) fn released(&self, messages: usize, bytes: usize) {
        let room = {
            let mut inbox = self.inbox();
            if let Some(elsewhere) = &mut inbox.elsewhere {
                elsewhere.0 = elsewhere.0.saturating_sub(messages);
                elsewhere.1 = elsewhere.1.saturating_sub(bytes);
            }
            self.eased(&mut inbox)
        };
        room.wake();
    }

    /// Who has waited for room, if there is some.
    fn eased(&self, inbox: &mut Inbox) -> Wakers {
        if inbox.is_full(self.limits(), || self.expects()) {
            return Wakers::default();
        }
        self.paused.store(false, Ordering::Relaxed);
        inbox.room.take()
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
                    outbox.waiting.take()
                }
                Ok(_) => return Ok(()),
            }
        };
        waiting.wake();
        Ok(())
    }

    /// Ready when the inbox has room or is closed.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inbox = self.inbox();
        if inbox.mail.closed || !inbox.is_full(self.limits(), || self.expects()) {
            self.paused.store(false, Ordering::Relaxed);
            return Poll::Ready(());
        }
        // The deadline of the heartbeat does not run while we are the ones who do not read.
        self.paused.store(true, Ordering::Relaxed);
        inbox.room.wait(cx);
        Poll::Pending
    }

    /// Waits until the inbox has room or is closed.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// The client will send no more: `next` yields what is there, then `None`. Writing goes on.
    pub fn end_input(self: &Arc<Self>) {
        let (readers, room) = {
            let mut inbox = self.inbox();
            (inbox.mail.close(), inbox.room.take())
        };
        readers.for_each(Waker::wake);
        room.wake();
        self.schedule();
    }

    #[inline]
    pub(crate) fn poll_message(
        self: &Arc<Self>,
        spark: &Spark,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        poll_mail(&**self, Lane::Data, spark, cx)
    }
}

impl MailBox for Session {
    fn mail<R>(&self, work: impl FnOnce(&mut Mail) -> R) -> R {
        work(&mut self.inbox().mail)
    }

    #[inline]
    fn at_hand(&self, lane: Lane) -> Option<Payload> {
        if lane == Lane::Data { self.next_claimed() } else { None }
    }

    #[inline]
    fn wait_at_hand(&self, lane: Lane, cx: &Context<'_>) -> bool {
        lane == Lane::Data && Self::wait_at_hand(self, cx)
    }

    #[inline]
    fn take<R>(
        &self,
        lane: Lane,
        take: impl FnOnce(&mut Mail) -> Result<Envelope, R>,
    ) -> Result<Envelope, R> {
        let mut inbox = self.inbox();
        let taken = take(&mut inbox.mail);
        if taken.is_ok() {
            self.claim(&mut inbox);
        } else if lane == Lane::Data {
            self.wait_in_inbox();
        }
        // Also when who waited for room has gone away meanwhile.
        let awaited = !inbox.room.is_empty() || self.paused.load(Ordering::Relaxed);
        let room = awaited.then(|| self.eased(&mut inbox));
        drop(inbox);
        room.into_iter().for_each(Wakers::wake);
        taken
    }

    fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }
}
