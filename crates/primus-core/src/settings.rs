//! What the machine needs to know of the configuration: settings of the whole server, and of each mount.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use tokio::time::Instant;

use crate::{parser::Parser, resume::Caps};

/// What happens to a message for a spark whose outbox is at its hard mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The spark is ended with code 4005; its client comes back. The default.
    #[default]
    Disconnect,
    /// The new message is dropped.
    DropNewest,
    /// The oldest waiting messages are dropped.
    DropOldest,
}

/// Bounds of a mount. Each has a default that is safe to expose, and an error of its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one message, after reassembly. Default 1 MiB.
    pub max_message: usize,
    /// Fragments of one WebSocket message. Default 128.
    pub max_fragments: usize,
    /// Items in the body of one POST. Default 256.
    pub max_post_items: usize,
    /// Bytes of an attach frame. Default 8 KiB.
    pub max_attach: usize,
    /// How long a client may take for its attach frame. Default 10 s.
    pub attach_timeout: Duration,
    /// How long a request may take for its body, and a POST may wait for a busy handler. Default 10 s.
    pub body_timeout: Duration,
    /// How long a poll is held when there is nothing to say. Default 25 s.
    pub poll_timeout: Duration,
    /// How long a peer may take to answer a close frame. Default 5 s.
    pub close_timeout: Duration,
    /// Bytes waiting in an outbox, or not acknowledged, from which `write` says `Pressured`. Default 64 KiB.
    pub pressure: usize,
    /// Bytes waiting in an outbox above which `overflow` applies. The message that is the next to be written does not count, and there
    /// is always room for one of `max_message` behind `pressure` bytes of others. Default 1 MiB.
    pub max_queued: usize,
    /// What happens above `max_queued`.
    pub overflow: Overflow,
    /// Messages in an inbox from which the carrier stops reading. Default 64.
    pub inbox_messages: usize,
    /// Bytes in an inbox from which the carrier stops reading. Default 256 KiB.
    pub inbox_bytes: usize,
    /// Bytes in an inbox, 64 more for each message, up to which the carrier reads on while the spark waits for an answer of its client, or
    /// for `ready`. Then those fail. Default 1 MiB.
    pub max_inbox: usize,
    /// Requests of the server that may wait for the answer of one client. Default 256.
    pub max_requests: usize,
    /// Rooms that one client may join by itself. Default 256.
    pub max_subscriptions: usize,
    /// Channels that one session may be in beside the root. Default 64.
    pub max_channels: usize,
    /// How long a session waits for a client that is away. Zero: not at all, it ends with its carrier. Default 2 min.
    pub resume_window: Duration,
    /// Messages that are kept for a client until it acknowledges them. Default 256.
    pub resume_messages: usize,
    /// Bytes of them; there is always room for one message of the maximum size. Default 64 KiB.
    pub resume_bytes: usize,
}

impl Limits {
    /// Requests of a client to the protocol that are decided at the same time: all that it asks for
    /// again in a new session, and some more.
    pub(crate) fn most_decisions(&self) -> usize {
        self.max_subscriptions + self.max_channels + self.max_requests
    }

    pub(crate) fn caps(&self) -> Caps {
        Caps { messages: self.resume_messages, bytes: self.resume_bytes }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            max_fragments: 128,
            max_post_items: 256,
            max_attach: 8 << 10,
            attach_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            poll_timeout: Duration::from_secs(25),
            close_timeout: Duration::from_secs(5),
            pressure: 64 << 10,
            max_queued: 1 << 20,
            overflow: Overflow::Disconnect,
            inbox_messages: 64,
            inbox_bytes: 256 << 10,
            max_inbox: 1 << 20,
            max_requests: 256,
            max_subscriptions: 256,
            max_channels: 64,
            resume_window: Duration::from_secs(120),
            resume_messages: 256,
            resume_bytes: 64 << 10,
        }
    }
}

/// Compression of WebSocket messages: permessage-deflate (RFC 7692), for clients that offer it.
///
/// What is compressed tells its length, so a secret should not stand in one message with what others can
/// choose: send that with `compress(false)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// Bytes from which a message that is sent is compressed. Default 1 KiB.
    pub threshold: usize,
    /// Whether messages may refer to earlier ones of the same connection, where the client agrees (context
    /// takeover). Repetitive small messages get much smaller; but each connection keeps up to 300 KiB, and a
    /// broadcast is compressed for each receiver. Default false: a broadcast is compressed once.
    pub takeover: bool,
}

impl Default for Compression {
    fn default() -> Self {
        Self { threshold: 1 << 10, takeover: false }
    }
}

/// What one mount is.
#[derive(Clone)]
#[non_exhaustive]
pub struct MountSettings {
    /// Where it is mounted: begins with `/`, does not end with one unless it is `/`.
    pub path: Arc<str>,
    /// Value ⇄ payload.
    pub parser: Arc<dyn Parser>,
    /// Bounds.
    pub limits: Limits,
    /// WebSocket subprotocols that a plain client may choose from.
    pub subprotocols: Vec<String>,
    /// Whether and how WebSocket messages are compressed. Default: they are not.
    pub compression: Option<Compression>,
    /// Options that are one transformer's own, by their types. Default: none, and each has its defaults.
    pub options: http::Extensions,
}

impl MountSettings {
    /// A mount at `path` with the JSON parser and default limits. The path is brought into form: one slash in front, none behind.
    pub fn new(path: &str) -> Self {
        let path = format!("/{}", path.trim_matches('/'));
        Self {
            path: path.into(),
            parser: crate::parser::json(),
            limits: Limits::default(),
            subprotocols: Vec::new(),
            compression: None,
            options: http::Extensions::new(),
        }
    }
}

/// What the whole server is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Headers of the opening request that a spark keeps. Default: `user-agent`.
    pub keep_headers: Vec<HeaderName>,
    /// How often a silent peer is asked for a sign of life. Zero: never. Default 30 s.
    pub ping_interval: Duration,
    /// How long after that it is given up. Default 10 s.
    pub ping_timeout: Duration,
    /// Sessions in total. Default 100,000.
    pub max_connections: usize,
    /// Sessions from one address (a /64 for IPv6). Default 256.
    pub max_connections_per_address: usize,
    /// Whether sessions from loopback addresses count too. Default false.
    pub count_loopback: bool,
    /// WebSockets that were accepted and have not attached yet. Default 1,024.
    pub max_pending: usize,
    /// How long the handler of an ended spark may go on. Default 10 s.
    pub handler_grace: Duration,
    /// How long a session without a carrier still counts as connected. Default 5 s.
    pub detach_grace: Duration,
    /// Bytes that all sessions together may keep for their clients. Beyond it those that were
    /// detached first are given up. Default 256 MiB.
    pub resume_budget: usize,
}

impl Settings {
    /// When the `detach_grace` of what begins now is over; a year from now, if that is beyond what a clock can say.
    pub(crate) fn grace(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.detach_grace)
            .unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_headers: vec![http::header::USER_AGENT],
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            max_connections: 100_000,
            max_connections_per_address: 256,
            count_loopback: false,
            max_pending: 1024,
            handler_grace: Duration::from_secs(10),
            detach_grace: Duration::from_secs(5),
            resume_budget: 256 << 20,
        }
    }
}
