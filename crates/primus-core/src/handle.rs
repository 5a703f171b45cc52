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
    channel::{Channel, Seat},
    close::CloseReason,
    envelope::{Envelope, Head},
    events::Belongings,
    id::SparkId,
    message::{Message, Payload},
    mount::Mount,
    packet::{Delivery, Outgoing},
    request::Query,
    sending::Sending,
    session::{Callbacks, Session},
    spark::{State, WriteError, Written},
    transform::Flow,
};

/// One client in a channel, as handlers see it: almost always, the root. A cheap clone; all clones are
/// the same spark.
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
    session: Arc<Session>,
    /// Its place in a channel; `None`: the root, where the session itself is.
    seat: Option<Arc<Seat>>,
}

impl Spark {
    pub(crate) fn from_session(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session), seat: None }
    }

    pub(crate) fn from_seat(seat: &Arc<Seat>) -> Self {
        Self { session: Arc::clone(seat.session()), seat: Some(Arc::clone(seat)) }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn belongings(&self) -> &Belongings {
        self.seat.as_ref().map_or_else(|| self.session.belongings(), |seat| seat.belongings())
    }

    pub(crate) fn belongings_if_any(&self) -> Option<&Belongings> {
        match &self.seat {
            Some(seat) => Some(seat.belongings()),
            None => self.session.belongings_if_any(),
        }
    }

    /// The public id: 22 characters when shown. In each channel a session has another one.
    pub fn id(&self) -> SparkId {
        self.seat.as_ref().map_or_else(|| self.session.id(), |seat| seat.id())
    }

    /// The channel that it is in: the root, or one that its client entered by its name.
    pub fn channel(&self) -> Channel {
        match &self.seat {
            Some(seat) => seat.channel().clone(),
            None => self.session.mount().shared.root().clone(),
        }
    }

    /// The name of its channel, as frames have it.
    #[inline]
    pub(crate) fn channel_name(&self) -> Option<&str> {
        self.seat.as_ref().and_then(|seat| seat.channel().on_wire())
    }

    /// The spark of the same session in the root.
    pub fn root(&self) -> Self {
        Self::from_session(&self.session)
    }

    /// The headers of the opening request that are named in `keep_headers`.
    pub fn headers(&self) -> &HeaderMap {
        self.session.handshake().headers()
    }

    /// The path of the opening request.
    pub fn path(&self) -> &str {
        self.session.handshake().path()
    }

    /// The query of the opening request.
    pub fn query(&self) -> &Query {
        self.session.handshake().query()
    }

    /// The client's address: the socket's peer, or what a trusted proxy forwarded. `None` where
    /// the server that this is mounted into did not tell.
    pub fn address(&self) -> Option<IpAddr> {
        self.session.handshake().address()
    }

    /// Whether the client came over TLS.
    pub fn secure(&self) -> bool {
        self.session.handshake().secure()
    }

    /// The transformer that carries it now, or carried it last, such as `websocket`. For
    /// information: a handler never needs it, and it may change at any time.
    pub fn transformer(&self) -> &'static str {
        self.session.transport()
    }

    /// The WebSocket subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.session.handshake().protocol()
    }

    /// The mount that it came to; broadcast to its other sparks with it.
    pub fn mount(&self) -> &Mount {
        self.session.mount()
    }

    /// Where the spark is in its life.
    pub fn state(&self) -> State {
        match &self.seat {
            Some(seat) if seat.close_reason().is_some() => State::Closed,
            _ => self.session.state(),
        }
    }

    /// Why it ended, once it has been ended.
    pub fn close_reason(&self) -> Option<CloseReason> {
        let left = self.seat.as_ref().and_then(|seat| seat.close_reason());
        left.or_else(|| self.session.close_reason())
    }

    /// Round trip of the last heartbeat; `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        self.session.latency()
    }

    /// Once the spark is over: what was written to it and its client is not known to have, oldest
    /// first, as it travelled. A client may have received the first of these. Empty again when
    /// `on_disconnection` has returned.
    pub fn undelivered(&self) -> Vec<Message> {
        let mut messages = self.session.undelivered();
        messages.retain(|message| message.heading().channel.as_deref() == self.channel_name());
        messages
    }

    /// What `authorize` returned, if it was a `T`.
    pub fn user<T: Send + Sync + 'static>(&self) -> Option<&T> {
        let user = match &self.seat {
            Some(seat) => seat.user(),
            None => self.session.user(),
        };
        user?.downcast_ref()
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.session.queued()
    }

    /// Writes a value, encoded by the mount's parser. Never waits: see [`Written::Pressured`].
    ///
    /// # Errors
    /// When the spark has ended, the value cannot be encoded, or too much is queued.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<Written, WriteError> {
        self.sending().write(value)
    }

    /// Writes a payload as it is: a received [`Message`], text that is encoded already, or bytes
    /// (`Vec<u8>`, `Bytes`), which travel as a binary message whatever the parser.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[inline]
    pub fn write_message(&self, payload: impl Into<Payload>) -> Result<Written, WriteError> {
        let payload = payload.into();
        if self.seat.is_none() && self.lets_out() && self.session.writes_at_hand(payload.len()) {
            Session::write_at_hand(payload.into());
            return Ok(Written::Queued);
        }
        self.sending().write_message(payload)
    }

    #[inline]
    pub(crate) fn sending(&self) -> Sending<'_> {
        Sending::new(self)
    }

    /// Whether no transform looks at what is sent.
    #[inline]
    fn lets_out(&self) -> bool {
        self.mount().shared.transforms.lets_out()
    }

    /// Sends a message, after the outgoing transforms.
    #[inline]
    pub(crate) fn send(
        &self,
        envelope: Envelope,
        delivery: Delivery,
    ) -> Result<Written, WriteError> {
        if self.seat.is_some() || !self.lets_out() {
            return self.send_transformed(envelope, delivery);
        }
        self.session.write(envelope, delivery)
    }

    /// The same, where something looks at it, or the spark may have left its channel.
    fn send_transformed(
        &self,
        mut envelope: Envelope,
        delivery: Delivery,
    ) -> Result<Written, WriteError> {
        if let Some(seat) = &self.seat
            && seat.close_reason().is_some()
        {
            return Err(WriteError::Ended(Some(envelope.body())));
        }
        let transforms = &self.mount().shared.transforms;
        if !transforms.lets_out() {
            let compress = envelope.is_compressible();
            let parser = &self.mount().settings().parser;
            let mut message = Message::open(&envelope, parser);
            if transforms.run_for(0, self, &mut message) == Flow::Drop {
                return Ok(Written::Dropped);
            }
            envelope = message.close().compress(compress);
        }
        self.session.write(envelope, delivery)
    }

    /// Sends an answer, which takes the same way.
    pub(crate) fn push(&self, envelope: Envelope) -> Result<Written, WriteError> {
        self.root().send(envelope, Delivery::Reliable)
    }

    /// Sends something of the protocol's own, which no transform sees.
    pub(crate) fn push_own(&self, envelope: Envelope) -> Result<Written, WriteError> {
        self.session.push(Outgoing::Own(envelope), Delivery::Reliable)
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        let left = self.seat.as_ref().is_some_and(|seat| seat.close_reason().is_some());
        left || self.session.is_ended()
    }

    /// Tells the client something of the protocol's own: JSON, whatever the parser.
    pub(crate) fn tell(&self, name: &str, args: &serde_json::Value) {
        if !self.session.hears_us() {
            return; // it speaks another dialect
        }
        let head = Head { channel: self.channel_name(), rooms: &[] }.event(name);
        let _ = self.push_own(Envelope::join(&head, &args.to_string().into()));
    }

    /// What is written by this is dropped when it would have to wait: because the client is away,
    /// or takes less than is written. For what is worthless a moment later.
    pub fn volatile(&self) -> Sending<'_> {
        self.sending().volatile()
    }

    /// What is written by this takes the place of what waits under the same key. For values of
    /// which only the last one matters.
    pub fn conflate(&self, key: impl Into<Arc<str>>) -> Sending<'_> {
        self.sending().conflate(key)
    }

    /// With `false`, what is written by this is not compressed on its way, where the carrier would do
    /// that: for what is compressed already.
    pub fn compress(&self, compress: bool) -> Sending<'_> {
        self.sending().compress(compress)
    }

    /// Writes only if the spark is not under pressure.
    ///
    /// # Errors
    /// [`WriteError::Full`] when it is; else as [`write`](Self::write).
    pub fn try_write<T: Serialize + ?Sized>(&self, value: &T) -> Result<Written, WriteError> {
        if self.session.is_pressured() {
            return Err(WriteError::Full);
        }
        self.write(value)
    }

    /// Waits until less than the soft mark (`pressure`, 64 KiB) is queued or not acknowledged.
    /// Who awaits this between writes never overflows what is kept for the client.
    ///
    /// Meanwhile more is read from the client than an inbox holds, up to `max_inbox`: the acknowledgement may
    /// be behind it.
    ///
    /// # Errors
    /// When the spark has ended; [`WriteError::Backlogged`] when that is not enough.
    // Here and below no `async fn`, whose future is three times as large: a handler holds it while it waits.
    pub fn ready(&self) -> impl Future<Output = Result<(), WriteError>> + Send {
        poll_fn(|cx| self.session.poll_ready(cx))
    }

    /// The next message; `None` when no more will come. Safe in `select!`: nothing is lost when
    /// the future is dropped. One task reads at a time.
    #[expect(clippy::should_implement_trait, reason = "it has to be awaited")]
    pub fn next(&mut self) -> impl Future<Output = Option<Message>> + Send {
        poll_fn(|cx| self.poll_message(cx))
    }

    /// Ends the spark: what is queued is written first. The client does not come back unless the
    /// reason says so ([`CloseReason::reconnects`]).
    pub fn end(&self, reason: CloseReason) {
        match &self.seat {
            Some(seat) => seat.leave(reason, true),
            None => self.session.end(reason),
        }
    }

    #[inline]
    fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        match &self.seat {
            Some(seat) => seat.poll_next(self, cx),
            None => self.session.poll_message(self, cx),
        }
    }

    fn set_callbacks(&self, set: impl FnOnce(&mut Callbacks)) {
        match &self.seat {
            Some(seat) => {
                set(&mut seat.callbacks());
                seat.wake();
            }
            None => {
                set(&mut self.session.callbacks());
                self.session.begin_serving();
                self.session.schedule();
            }
        }
    }

    /// Listeners have changed: what waits may be for them.
    pub(crate) fn look_again(&self) {
        self.set_callbacks(|_| {});
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
        self.set_callbacks(|callbacks| callbacks.set_data(Arc::new(f)));
    }

    /// Calls `f` once, when the spark has ended, with the reason.
    pub fn on_end(&self, f: impl FnOnce(&Self, &CloseReason) + Send + 'static) {
        self.set_callbacks(|callbacks| callbacks.set_end(Box::new(f)));
    }

    /// Calls `f` before `on_end` when the spark ended by a fault: a message too big, a protocol
    /// error, a failed handler, a dead peer, a slow client.
    pub fn on_error(&self, f: impl FnOnce(&Self, &CloseReason) + Send + 'static) {
        self.set_callbacks(|callbacks| callbacks.set_error(Box::new(f)));
    }
}

impl Stream for Spark {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

impl Sink<Message> for Spark {
    type Error = WriteError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.session.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), WriteError> {
        self.write_message(message).map(drop)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        // Flushed means: little enough waits that the next message may come.
        self.session.poll_ready(cx)
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
