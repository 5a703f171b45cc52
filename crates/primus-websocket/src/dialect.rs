//! What is said over a WebSocket: the seam between the driver and those who know the messages.

use primus_core::{
    BoxFuture, Carrier, CloseReason, Envelope, Outgoing, Parser, Payload, Session,
    classic::Incoming,
};

use crate::{connection::Connection, out::Out};

/// A dialect over WebSocket: what the messages of one connection mean. It does no I/O, and holds what is
/// to be remembered of this connection; what belongs to the session is in the session.
///
/// The driver calls it in the connection's task, or where a broadcast is flushed, and never while a
/// handler runs.
pub trait Dialect: Send + 'static {
    /// Whether a message of the client is nothing but data for the application, as it is. Then it may be
    /// delivered together with others, without being [`read`](Self::read), and nothing of what is asked
    /// after each message is asked after it.
    fn is_data(&self, message: &Payload) -> bool {
        let _ = message;
        false
    }

    /// What any other message of the client is. One that is for the application goes through
    /// [`Incoming::Message`]; what is control is served here, by the carrier.
    ///
    /// # Errors
    /// When the client breaks the dialect's rules: the session ends with this reason.
    fn read(&mut self, message: Payload, carrier: &mut Carrier) -> Result<Incoming, CloseReason>;

    /// What has been read before, and may be delivered now: where one message of the wire carries
    /// several, or where a decision had to be awaited. Asked after each message, and in each turn.
    fn pop_ready(&mut self) -> Option<Envelope> {
        None
    }

    /// Whether [`pop_ready`](Self::pop_ready) has something.
    fn has_ready(&self) -> bool {
        false
    }

    /// Whether so much has been read and not been delivered that nothing more should be read. It ends
    /// by something that is written.
    fn is_full(&self, session: &Session) -> bool {
        let _ = session;
        false
    }

    /// Puts a message out, most simply by [`Out::put`]. This runs under the outbox's lock and must not
    /// touch the session.
    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out);

    /// Asks the client for a sign of life.
    fn write_ping(&mut self, carrier: &mut Carrier, out: &mut Out);

    /// Acknowledges what has been received, if it is time ([`Carrier::ack`]).
    fn write_ack(&mut self, carrier: &mut Carrier, out: &mut Out) {
        let _ = (carrier, out);
    }

    /// Says why the session ends, where there are words for it beside the close frame, which follows.
    fn write_end(&mut self, reason: &CloseReason, carrier: &mut Carrier, out: &mut Out) {
        let _ = (reason, carrier, out);
    }

    /// What the close frame says of a reason.
    fn close_frame(&self, reason: &CloseReason) -> CloseReason {
        reason.clone()
    }

    /// Whether the connection goes on when its session ends for this reason: then it is not closed but handed
    /// to [`go_on`](Self::go_on). Default: it is closed.
    fn stays(&self, reason: &CloseReason) -> bool {
        let _ = reason;
        false
    }

    /// Goes on with a connection whose session has ended. It may get another one, and be driven again.
    fn go_on(self, connection: Connection) -> BoxFuture<'static, ()>
    where
        Self: Sized,
    {
        drop(connection);
        Box::pin(std::future::ready(()))
    }
}
