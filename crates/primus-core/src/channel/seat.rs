//! A session's place in a channel other than the root. Unlike a session it has a task, as long as it
//! is there: channels are for applications, and not for each of a hundred thousand idle readers.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use serde_json::json;

use super::{Channel, Visit};
use crate::{
    authorize::User,
    close::CloseReason,
    envelope::Envelope,
    events::{Belongings, Served, serve},
    handle::Spark,
    hooks::HandlerResult,
    id::SparkId,
    mount::Mount,
    request::BoxFuture,
    session::{Callbacks, Lane, Mail, MailBox, OnData, Session},
};

pub(crate) struct Seat {
    id: SparkId,
    session: Arc<Session>,
    visit: Visit,
    user: Option<User>,
    mail: Mutex<Mail>,
    belongings: Belongings,
    callbacks: Mutex<Callbacks>,
    /// Why it has been left.
    left: Mutex<Option<CloseReason>>,
    /// Wakes its task.
    waker: Mutex<Option<Waker>>,
}

impl Seat {
    pub(crate) fn new(session: &Arc<Session>, visit: Visit, user: Option<User>) -> Arc<Self> {
        Arc::new(Self {
            id: SparkId::random(),
            session: Arc::clone(session),
            visit,
            user,
            mail: Mutex::default(),
            belongings: Belongings::default(),
            callbacks: Mutex::default(),
            left: Mutex::new(None),
            waker: Mutex::new(None),
        })
    }

    pub(crate) fn id(&self) -> SparkId {
        self.id
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn channel(&self) -> &Channel {
        self.visit.channel()
    }

    pub(crate) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    pub(crate) fn belongings(&self) -> &Belongings {
        &self.belongings
    }

    pub(crate) fn callbacks(&self) -> MutexGuard<'_, Callbacks> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, Option<CloseReason>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it has been left, once it has.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.left().clone()
    }

    /// Sees to it that its task looks again.
    pub(crate) fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// A message has come for it.
    pub(crate) fn deliver(&self, lane: Lane, envelope: Envelope) {
        let size = envelope.len();
        let reader = self.mail(|mail| {
            if mail.closed {
                return Err(());
            }
            mail.push(lane, envelope);
            Ok(if lane == Lane::Data { mail.reader.take() } else { None })
        });
        match reader {
            Err(()) => self.session.released(1, size),
            Ok(reader) => reader.into_iter().for_each(Waker::wake),
        }
        self.wake();
    }

    pub(crate) fn poll_next(
        &self,
        spark: &Spark,
        cx: &mut Context<'_>,
    ) -> Poll<Option<crate::message::Message>> {
        crate::session::poll_mail(self, Lane::Data, spark, cx)
    }

    /// Leaves. `tell`: the client does not know yet. The first reason holds.
    pub(crate) fn leave(self: &Arc<Self>, reason: CloseReason, tell: bool) {
        {
            let mut left = self.left();
            if left.is_some() {
                return;
            }
            *left = Some(reason.clone());
        }
        let spark = Spark::from_seat(self);
        if tell {
            spark.tell("primus.end", &json!({ "code": reason.code(), "reason": reason.text() }));
        }
        self.session.forget_seat(self);
        self.session.pending_if_any().into_iter().for_each(|pending| pending.close_of(&spark));
        spark.leave_all_at_end();
        self.channel().sparks_mut().remove(&self.id);
        self.mail(Mail::close).for_each(Waker::wake);
        self.wake();
    }

    /// Takes its place, and drives its handler until it has left and that is over.
    pub(crate) fn sit(self: &Arc<Self>) {
        let spark = Spark::from_seat(self);
        self.channel().sparks_mut().insert(self.id, spark.clone());
        if self.close_reason().is_some() {
            // Its session ended just before.
            self.channel().sparks_mut().remove(&self.id);
            return self.release();
        }
        let seat = Arc::clone(self);
        self.session.mount().shared.runtime().spawn(async move {
            let driving = Arc::clone(&seat);
            let grace = seat.session.mount().shared.settings.handler_grace;
            let mut driven = tokio::spawn(async move { driving.drive().await });
            let over = tokio::select! {
                over = &mut driven => Some(over),
                () = async {
                    poll_fn(|cx| seat.poll_left(cx)).await;
                    tokio::time::sleep(grace).await;
                } => None,
            };
            match over {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::error!(spark = %seat.id, %error, "the handler of a channel panicked");
                    seat.leave(CloseReason::HANDLER_FAILED, true);
                }
                None => {
                    tracing::warn!(spark = %seat.id, "the handler outlived its spark; dropped");
                    driven.abort();
                    let _ = driven.await;
                }
            }
            // What is left here is nothing to the session, and may hold the spark.
            seat.release();
            drop((seat.belongings.clear(), seat.mail(Mail::take_transforming)));
            let reason = seat.close_reason().unwrap_or(CloseReason::GOING_AWAY);
            let callbacks = std::mem::take(&mut *seat.callbacks());
            callbacks.announce(&spark, &reason);
            seat.channel().rules().disconnect(spark, reason).await;
        });
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        if mail.closed {
            return Poll::Ready(());
        }
        mail.wait_for_close(cx);
        Poll::Pending
    }

    async fn drive(self: Arc<Self>) {
        let spark = Spark::from_seat(&self);
        let mut handler = Some(self.channel().rules().connect(spark.clone()));
        poll_fn(|cx| self.poll(&spark, &mut handler, cx)).await;
    }

    fn poll(
        self: &Arc<Self>,
        spark: &Spark,
        handler: &mut Option<BoxFuture<'static, HandlerResult>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if let Some(future) = handler
            && let Poll::Ready(result) = future.as_mut().poll(cx)
        {
            *handler = None;
            match result {
                Err(error) => self.leave(reason_of(spark, error), true),
                Ok(()) if !self.stays() => self.leave(CloseReason::ENDED, true),
                Ok(()) => {}
            }
        }
        let data: Option<OnData> = self.callbacks().data();
        let served = Served {
            mailbox: &**self,
            spark,
            belongings: Some(&self.belongings),
            data: data.as_ref(),
            alone: handler.is_none(),
        };
        let more = serve(&served, cx);
        if more {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let over = handler.is_none()
            && self.belongings.serving().is_idle()
            && self.mail(|mail| mail.closed && mail.next_lane().is_none());
        if over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether something serves it though its handler is over.
    fn stays(&self) -> bool {
        self.callbacks().data().is_some()
            || !self.belongings.listeners().is_empty()
            || self.channel().rules().has_listeners()
    }

    /// What still lies here is nothing to the session any more.
    fn release(&self) {
        let (messages, bytes) = self.mail(Mail::clear);
        if messages > 0 {
            self.session.released(messages, bytes);
        }
    }
}

fn reason_of(spark: &Spark, error: crate::request::BoxError) -> CloseReason {
    match error.downcast::<CloseReason>() {
        Ok(reason) => *reason,
        Err(error) => {
            tracing::warn!(spark = %spark.id(), %error, "the handler of a channel failed");
            CloseReason::HANDLER_FAILED
        }
    }
}

impl MailBox for Seat {
    fn mail<R>(&self, work: impl FnOnce(&mut Mail) -> R) -> R {
        work(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take<R>(
        &self,
        _: Lane,
        take: impl FnOnce(&mut Mail) -> Result<Envelope, R>,
    ) -> Result<Envelope, R> {
        self.mail(take).inspect(|envelope| self.session.released(1, envelope.len()))
    }

    fn mount(&self) -> &Arc<Mount> {
        self.session.mount()
    }
}
