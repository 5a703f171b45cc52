//! The seam between Engine.IO and what is spoken over it.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use primus_core::{
    BoxFuture, Carrier, CloseReason, Envelope, Head, Mount, Outgoing, Parser, Payload, Pending,
    Rejection, Session,
};

use crate::{protocol::Version, writer::Writer};

/// A language that is spoken in the messages of Engine.IO, for all its clients. [`Plain`](crate::Plain) is
/// one in which a message is what the application wrote; Socket.IO is another.
///
/// # What Engine.IO does by itself
///
/// Requests, sids, encodings, upgrades, heartbeats, limits of size, close rules and errors; and carrying:
/// it holds the [`Carrier`] of a session, has what the session has to say written by
/// [`Speaker::write`], waits where the session's inbox is full, and tells the session when its client is gone
/// ([`Carrier::lost`], or [`Carrier::finish`] where it was told the end).
///
/// # What a language decides
///
/// - When a session is opened: at once, in [`greet`](Self::greet), or later, when the client has said what it
///   takes ([`Heard::Open`]). A connection may be without a session for a time, and may have several one after
///   the other ([`After::Stay`]).
/// - What the messages mean, both ways: [`Speaker`].
pub trait Language: Send + Sync + 'static {
    /// The name in configuration, in metrics, and of `spark.transformer()`.
    fn name(&self) -> &'static str;

    /// A client shakes hands. `Err` refuses it: the answer has the rejection's status and the message of its
    /// error (code 4 of Engine.IO's errors, "Forbidden").
    ///
    /// Where no session is opened here, [`Mount::pend`] counts the connection until there is one.
    fn greet<'a>(&'a self, caller: Caller<'a>) -> BoxFuture<'a, Result<Greeting, Rejection>>;
}

/// Who shakes hands.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Caller<'a> {
    /// The request. A language that opens its session later keeps a clone of it, which holds the buffer that
    /// the headers were read into: let go of it with the first session.
    pub head: &'a Head,
    /// The mount that the session belongs to.
    pub mount: &'a Arc<Mount>,
    /// What the client speaks.
    pub version: Version,
    /// The id by which the client's requests find this connection, a secret of the client.
    pub sid: &'a str,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(
        head: &'a Head,
        mount: &'a Arc<Mount>,
        version: Version,
        sid: &'a str,
    ) -> Self {
        Self { head, mount, version, sid }
    }
}

/// What becomes of a client that is let in.
pub struct Greeting {
    /// Speaks with this client.
    pub speaker: Box<dyn Speaker>,
    /// The sid, where the language has one of its own in place of [`Caller::sid`]. Whoever knows it has the connection, so
    /// it must not be guessed.
    pub sid: Option<Box<str>>,
    /// The session, if there is one already, and the first messages.
    pub opened: Opened,
    /// The place among those that have no session yet, held until there is one.
    pub pending: Option<Pending>,
    /// How long the connection may be without its first session, before it is closed. `None`: for as long
    /// as the client likes.
    pub patience: Option<Duration>,
    /// Headers of the answer to the handshake.
    pub headers: HeaderMap,
}

/// What came of opening a session, or of refusing to.
#[derive(Debug, Default)]
pub struct Opened {
    /// Carries the session, attached in whatever way ([`Carriage::SILENT`](primus_core::Carriage) will do):
    /// Engine.IO changes that to what the transport of the moment needs. `None`: there is no session, and
    /// the connection goes on without.
    pub carrier: Option<Carrier>,
    /// Messages for the client, before everything that the session says.
    pub say: Vec<Payload>,
    /// What the client has said to the session by opening it, delivered before everything else.
    pub deliver: Vec<Envelope>,
}

/// What a message from the client turned out to be.
pub enum Heard {
    /// A message for the session. Without a session it is dropped.
    Deliver(Envelope),
    /// The client has asked for something, and gets these messages, at once.
    Say(Vec<Payload>),
    /// It wants a session. Nothing more is read of this client until the future is ready; it may take the
    /// time of `authorize`. Allowed only where there is no session.
    Open(BoxFuture<'static, Opened>),
    /// The client has ended the session, and need not be told. What becomes of the connection says
    /// [`Speaker::after`].
    Leave,
    /// A part of something, or nothing.
    Nothing,
}

/// What becomes of the connection once its session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum After {
    /// It is closed with it.
    #[default]
    Close,
    /// It goes on without a session; the client may want another one.
    Stay,
}

/// Speaks with one client, for as long as its connection lives, whatever transport that has. It is asked by
/// one thread at a time, and holds whatever there is to remember of a connection: a packet whose attachments
/// are awaited, the namespaces that were joined.
///
/// Dropped, the connection is gone.
pub trait Speaker: Send + 'static {
    /// Reads a message of the client, without Engine.IO's packet type: text, or binary.
    ///
    /// # Errors
    /// When the client broke the rules: its connection is closed, and its session ends for this reason.
    fn read(
        &mut self,
        message: Payload,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, CloseReason>;

    /// Something that was read before and may be delivered now; asked after every [`read`](Self::read) and
    /// [`write`](Self::write), until there is nothing.
    fn pop_ready(&mut self) -> Option<Envelope> {
        None
    }

    /// Whether [`pop_ready`](Self::pop_ready) has something.
    fn has_ready(&self) -> bool {
        false
    }

    /// Nothing more should be read before something has been written.
    fn is_full(&self, session: &Session) -> bool {
        let _ = session;
        false
    }

    /// Writes what the session says. Called under the lock of the session's outbox, so it must not touch
    /// the session.
    ///
    /// All messages of one call stay together on the wire. What many receive is made once for each wire:
    /// [`Writer::put`].
    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, to: &mut Writer<'_>);

    /// A message that goes with each ping of Engine.IO's version 4, for a client that wants to be pinged in its own words.
    fn ping(&self) -> Option<Payload> {
        None
    }

    /// The session ends, and everything that it had to say has been written: the last words. Not called
    /// where the client has ended it.
    fn end(&mut self, reason: &CloseReason, to: &mut Writer<'_>) {
        let _ = (reason, to);
    }

    /// How long the connection may be without a session once it has had one and [stays](After::Stay), before
    /// it is closed. `None`: for as long as the client likes.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// What becomes of the connection when its session ends for this reason;
    /// [`NORMAL`](CloseReason::NORMAL) where the client has ended it.
    fn after(&self, reason: &CloseReason) -> After {
        let _ = reason;
        After::Close
    }
}
