//! The handle that applications hold: `primus::Spark`.

use std::{
    fmt,
    future::poll_fn,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_sink::Sink;
use http::HeaderMap;
use serde::Serialize;

use crate::{
    close::CloseReason,
    id::SparkId,
    message::{Message, Payload},
    mount::Mount,
    packet::Delivery,
    request::Query,
    sending::Sending,
    session::Session,
    spark::{self, Root, State, WriteError, Written},
};

/// One client, as handlers see it. A cheap clone; all clones are the same client.
///
/// It is a [`Stream`] of [`Message`]s and a [`Sink`] for them, so `split` and `forward` of
/// `futures` work; [`next`](Self::next) and [`write`](Self::write) need no import.
///
/// ```
/// # use primus_core::handle::Spark;
/// async fn echo(mut spark: Spark) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     while let Some(message) = spark.next().await {
///         spark.write_message(message)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Spark {
    inner: Arc<dyn spark::Spark>,
}

impl Spark {
    pub(crate) fn from_session(session: &Arc<Session>) -> Self {
        Self { inner: Arc::new(Root(Arc::clone(session))) }
    }

    /// The public id: 22 characters when shown.
    pub fn id(&self) -> SparkId {
        self.inner.id()
    }

    /// The headers of the opening request that are named in `keep_headers`.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.handshake().headers()
    }

    /// The path of the opening request.
    pub fn path(&self) -> &str {
        self.inner.handshake().path()
    }

    /// The query of the opening request.
    pub fn query(&self) -> &Query {
        self.inner.handshake().query()
    }

    /// The client's address: the socket's peer, or what a trusted proxy forwarded. `None` where
    /// the server that this is mounted into did not tell.
    pub fn address(&self) -> Option<IpAddr> {
        self.inner.handshake().address()
    }

    /// Whether the client came over TLS.
    pub fn secure(&self) -> bool {
        self.inner.handshake().secure()
    }

    /// The transformer that carries it now, or carried it last, such as `websocket`. For
    /// information: a handler never needs it, and it may change at any time.
    pub fn transformer(&self) -> &'static str {
        self.inner.transport()
    }

    /// The WebSocket subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.inner.handshake().protocol()
    }

    /// The mount that it came to; broadcast to its other sparks with it.
    pub fn mount(&self) -> &Mount {
        self.inner.mount()
    }

    /// Where the spark is in its life.
    pub fn state(&self) -> State {
        self.inner.state()
    }

    /// Why it ended, once it has been ended.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.inner.close_reason()
    }

    /// Round trip of the last heartbeat; `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        self.inner.latency()
    }

    /// Once the spark is over: what was written to it and its client is not known to have, oldest
    /// first, as it travelled. A client may have received the first of these. Empty again when
    /// `on_disconnection` has returned.
    pub fn undelivered(&self) -> Vec<Payload> {
        self.inner.undelivered()
    }

    /// What `authorize` returned, if it was a `T`.
    pub fn user<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.inner.user()?.downcast_ref()
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.inner.queued()
    }

    /// Writes a value, encoded by the mount's parser. Never waits: see [`Written::Pressured`].
    ///
    /// # Errors
    /// When the spark has ended, the value cannot be encoded, or too much is queued.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<Written, WriteError> {
        let payload = crate::parser::encode(&*self.mount().settings().parser, value)?;
        self.write_message(payload)
    }

    /// Writes a payload as it is: a received [`Message`], text that is encoded already, or bytes
    /// (`Vec<u8>`, `Bytes`), which travel as a binary message whatever the parser.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_message(&self, payload: impl Into<Payload>) -> Result<Written, WriteError> {
        let parser = Arc::clone(&self.mount().settings().parser);
        self.send(Message::new(payload, parser), Delivery::Reliable)
    }

    pub(crate) fn send(&self, message: Message, delivery: Delivery) -> Result<Written, WriteError> {
        self.inner.write(self, message, delivery)
    }

    /// What is written by this is dropped when it would have to wait: because the client is away,
    /// or takes less than is written. For what is worthless a moment later.
    pub fn volatile(&self) -> Sending<'_> {
        Sending::new(self, Delivery::Volatile)
    }

    /// What is written by this takes the place of what waits under the same key. For values of
    /// which only the last one matters.
    pub fn conflate(&self, key: impl Into<Arc<str>>) -> Sending<'_> {
        Sending::new(self, Delivery::Latest(key.into()))
    }

    /// Writes only if the spark is not under pressure.
    ///
    /// # Errors
    /// [`WriteError::Full`] when it is; else as [`write`](Self::write).
    pub fn try_write<T: Serialize + ?Sized>(&self, value: &T) -> Result<Written, WriteError> {
        if self.inner.is_pressured() {
            return Err(WriteError::Full);
        }
        self.write(value)
    }

    /// Waits until less than the soft mark (`pressure`, 64 KiB) is queued or not acknowledged.
    /// Who awaits this between writes never overflows what is kept for the client.
    ///
    /// # Errors
    /// When the spark has ended.
    pub async fn ready(&self) -> Result<(), WriteError> {
        poll_fn(|cx| self.inner.poll_ready(cx)).await
    }

    /// The next message; `None` when no more will come. Safe in `select!`: nothing is lost when
    /// the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.inner.poll_next(self, cx)).await
    }

    /// Ends the spark: what is queued is written first. The client does not come back unless the
    /// reason says so ([`CloseReason::reconnects`]).
    pub fn end(&self, reason: CloseReason) {
        self.inner.end(reason);
    }

    /// Writes a last value, then ends the spark with [`CloseReason::ENDED`].
    ///
    /// # Errors
    /// As [`write`](Self::write); the spark is ended all the same.
    pub fn end_with<T: Serialize + ?Sized>(&self, value: &T) -> Result<Written, WriteError> {
        let written = self.write(value);
        self.end(CloseReason::ENDED);
        written
    }

    /// Closes the connection so that the client comes back.
    pub fn reconnect(&self) {
        self.end(CloseReason::RECONNECT);
    }

    /// Calls `f` with every message. A spark with callbacks stays when the connection handler
    /// returns, and holds no future.
    pub fn on_data(&self, f: impl Fn(&Self, Message) + Send + Sync + 'static) {
        let f: crate::session::OnData = Arc::new(f);
        self.inner.callbacks(&mut |callbacks| callbacks.set_data(Arc::clone(&f)));
    }

    /// Calls `f` once, when the spark has ended, with the reason.
    pub fn on_end(&self, f: impl FnOnce(&Self, &CloseReason) + Send + 'static) {
        let mut f = Some(Box::new(f));
        self.inner.callbacks(&mut |callbacks| {
            if let Some(f) = f.take() {
                callbacks.set_end(f);
            }
        });
    }

    /// Calls `f` before `on_end` when the spark ended by a fault: a message too big, a protocol
    /// error, a failed handler, a dead peer, a slow client.
    pub fn on_error(&self, f: impl FnOnce(&Self, &CloseReason) + Send + 'static) {
        let mut f = Some(Box::new(f));
        self.inner.callbacks(&mut |callbacks| {
            if let Some(f) = f.take() {
                callbacks.set_error(f);
            }
        });
    }
}

impl Stream for Spark {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.inner.poll_next(&self, cx)
    }
}

impl Sink<Message> for Spark {
    type Error = WriteError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.inner.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), WriteError> {
        self.write_message(message).map(drop)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        // Flushed means: little enough waits that the next message may come.
        self.inner.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.end(CloseReason::ENDED);
        Poll::Ready(Ok(()))
    }
}

impl PartialEq for Spark {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Spark {}

impl fmt::Debug for Spark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spark")
            .field("id", &self.id())
            .field("transformer", &self.transformer())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
