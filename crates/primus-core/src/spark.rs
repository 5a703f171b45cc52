//! The object-safe trait behind the handle that handlers hold.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    authorize::User,
    close::CloseReason,
    handle,
    handshake::Handshake,
    id::SparkId,
    message::{Message, Payload},
    mount::Mount,
    packet::{Delivery, Outgoing},
    parser::EncodeError,
    session::{Callbacks, Session},
    transform::Flow,
};

/// Where a spark is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Authorized, and not yet carried.
    Opening,
    /// Messages go both ways.
    Open,
    /// Its client is away and may come back; what is written waits for it.
    Detached,
    /// It has been ended; what is queued is still written.
    Ending,
    /// Over.
    Closed,
}

/// A message was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// It is queued.
    Queued,
    /// It is queued, and more waits than is good: await [`ready`](handle::Spark::ready) before the next.
    Pressured,
    /// A transform dropped it, or the overflow policy did, or it was volatile and would have had to wait.
    Dropped,
}

/// A message was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The spark is ending or has ended. Here is the message back, if there was one.
    #[error("the spark has ended")]
    Ended(Option<Payload>),
    /// The parser has no form for the value.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// More was queued than `max_queued` allows, or, while its client was away, than is kept; the
    /// spark has been ended with code 4005. Here is the message back.
    #[error("too much is queued for this spark (max_queued, resume_bytes); it has been ended")]
    TooSlow(Option<Payload>),
    /// `try_write` only: there is no room now. Await `ready`, or drop the value.
    #[error("the spark is under pressure; await ready() and write again")]
    Full,
}

impl WriteError {
    /// The message that was not accepted, encoded as it would have travelled.
    pub fn into_payload(self) -> Option<Payload> {
        match self {
            Self::Ended(payload) | Self::TooSlow(payload) => payload,
            Self::Encode(_) | Self::Full => None,
        }
    }
}

/// A session's presence in a channel. Object-safe; users hold the cheap handle
/// [`handle::Spark`] over it.
pub trait Spark: Send + Sync + 'static {
    /// The public id.
    fn id(&self) -> SparkId;
    /// What was kept of the request that opened the session.
    fn handshake(&self) -> &Handshake;
    /// What `authorize` returned.
    fn user(&self) -> Option<&User>;
    /// The mount that it came to.
    fn mount(&self) -> &Arc<Mount>;
    /// Where it is in its life.
    fn state(&self) -> State;
    /// Why it ended, once it has been ended.
    fn close_reason(&self) -> Option<CloseReason>;
    /// Round trip of the last heartbeat.
    fn latency(&self) -> Option<Duration>;
    /// Bytes that wait to be written.
    fn queued(&self) -> usize;
    /// Whether more waits than is good.
    fn is_pressured(&self) -> bool;
    /// The name of the transformer that carries it now, or carried it last.
    fn transport(&self) -> &'static str;
    /// What its client is not known to have received, once it is over.
    fn undelivered(&self) -> Vec<Payload>;
    /// Queues a message, after the outgoing transforms.
    ///
    /// # Errors
    /// When the spark has ended or overflows.
    fn write(
        &self,
        spark: &handle::Spark,
        message: Message,
        delivery: Delivery,
    ) -> Result<Written, WriteError>;
    /// The next message from the client; `None` when no more will come.
    fn poll_next(&self, spark: &handle::Spark, cx: &mut Context<'_>) -> Poll<Option<Message>>;
    /// Ready when less than the soft mark waits to be written.
    ///
    /// # Errors
    /// When the spark has ended.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>>;
    /// Ends it.
    fn end(&self, reason: CloseReason);
    /// Sets callbacks.
    fn callbacks(&self, set: &mut dyn FnMut(&mut Callbacks));
}

/// The spark of the root channel: the session itself.
pub(crate) struct Root(pub(crate) Arc<Session>);

impl Spark for Root {
    fn id(&self) -> SparkId {
        self.0.id()
    }

    fn handshake(&self) -> &Handshake {
        self.0.handshake()
    }

    fn user(&self) -> Option<&User> {
        self.0.user()
    }

    fn mount(&self) -> &Arc<Mount> {
        self.0.mount()
    }

    fn state(&self) -> State {
        self.0.state()
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.0.close_reason()
    }

    fn latency(&self) -> Option<Duration> {
        self.0.latency()
    }

    fn queued(&self) -> usize {
        self.0.queued()
    }

    fn is_pressured(&self) -> bool {
        self.0.is_pressured()
    }

    fn transport(&self) -> &'static str {
        self.0.transport()
    }

    fn undelivered(&self) -> Vec<Payload> {
        self.0.undelivered()
    }

    fn write(
        &self,
        spark: &handle::Spark,
        mut message: Message,
        delivery: Delivery,
    ) -> Result<Written, WriteError> {
        if self.0.mount.shared.transforms.run_for(0, spark, &mut message) == Flow::Drop {
            return Ok(Written::Dropped);
        }
        self.0.push(Outgoing::Own(message.into()), delivery)
    }

    fn poll_next(&self, spark: &handle::Spark, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.poll_message(spark, cx)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.0.poll_ready(cx)
    }

    fn end(&self, reason: CloseReason) {
        self.0.end(reason);
    }

    fn callbacks(&self, set: &mut dyn FnMut(&mut Callbacks)) {
        set(&mut self.0.callbacks());
        self.0.schedule();
    }
}
