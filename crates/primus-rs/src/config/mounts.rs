//! What a mount may have of its own.

use std::collections::BTreeMap;

use primus_core::Overflow;

use super::{
    amounts::{Bytes, Time},
    error::ConfigError,
    options::{Options, Row, Sources, join, read_table},
    tables::optional,
    units::{Count, Flag, List, Text},
    value::{Entry, Origin},
    words::Word,
};

optional! {
    /// One more mount, for [`Builder::mount`](crate::Builder::mount) or `[mounts."/ws"]`.
    ///
    /// What it leaves out it has from the options of the server.
    ///
    /// ```
    /// let mount = primus::Mount::new().parser("raw").max_message(16 << 20);
    /// ```
    pub struct Mount {
        /// What its clients may speak, as
        /// [`Config::transformers`](crate::Config::transformers).
        transformers: List,
        /// Whether our own carriers are mounted beside transformers for stock clients of others, as
        /// [`Config::native`](crate::Config::native).
        native: Flag,
        /// How values travel, as [`Config::parser`](crate::Config::parser).
        parser: Text,
        /// WebSocket subprotocols that plain clients may choose from.
        subprotocols: List,
        /// Bytes of one message.
        max_message: Bytes,
        /// Fragments of one WebSocket message.
        max_fragments: Count,
        /// Items in the body of one POST.
        max_post_items: Count,
        /// Bytes of a client's attach frame.
        max_attach: Bytes,
        /// Whether WebSocket messages are compressed for clients that offer it.
        compression: Flag,
        /// Bytes from which a message that is sent is compressed.
        compression_threshold: Bytes,
        /// Whether messages may refer to earlier ones of the same connection.
        compression_takeover: Flag,
        /// Whether Engine.IO clients of protocol 3 are served, too.
        engine_io_3: Flag,
        /// The name of a cookie that an Engine.IO handshake by polling sets to the client's id.
        engine_io_cookie: Text,
        /// Whether Engine.IO clients that poll are offered a WebSocket.
        engine_io_upgrades: Flag,
        /// How long an Engine.IO client may take to go on with a WebSocket that it has opened.
        engine_io_upgrade_timeout: Time,
        /// Whether Socket.IO clients get their session back after a loss of the connection.
        socket_io_recovery: Flag,
        /// How long a Socket.IO client may be connected without a namespace.
        socket_io_connect_timeout: Time,
        /// Whether Socket.IO clients speak MessagePack.
        socket_io_msgpack: Flag,
        /// Bytes of frames after which a stream to a SockJS client ends and it asks for the next one.
        sockjs_response_limit: Bytes,
        /// How often a SockJS client that is told nothing else is told that the server is there.
        sockjs_heartbeat: Time,
        /// How long a SockJS session waits for the next request of its client.
        sockjs_disconnect_delay: Time,
        /// Where the page of SockJS's iframe transports loads `sockjs-client` from.
        sockjs_url: Text,
        /// Whether SockJS clients are offered WebSockets.
        sockjs_websocket: Flag,
        /// Whether SockJS sets a cookie `JSESSIONID`.
        sockjs_cookie: Flag,
        /// Which clients BrowserChannel ones are: `primus`, `plain` or `auto`.
        browserchannel_clients: Text,
        /// How often a back channel of a BrowserChannel client that is told nothing else is told that the server
        /// is there.
        browserchannel_keep_alive: Time,
        /// How long a BrowserChannel session waits for its next back channel before it counts as away.
        browserchannel_timeout: Time,
        /// Prefixes of this server's host, of which a BrowserChannel client is told one.
        browserchannel_host_prefixes: List,
        /// The file that is served to BrowserChannel clients at `{path}/bcsocket.js`.
        browserchannel_script: Text,
        /// How long the request of a Bayeux client is held where there is nothing to tell.
        bayeux_timeout: Time,
        /// How often an ActionCable client is told that the server is there.
        actioncable_ping_interval: Time,
        /// Whether AnyCable clients may whisper.
        actioncable_whisper: Flag,
        /// Whether AnyCable clients may say who they are, and see who is there.
        actioncable_presence: Flag,
        /// How long a client may take for its attach frame.
        attach_timeout: Time,
        /// How long a request may take for its body, and a POST may wait for a busy handler.
        body_timeout: Time,
        /// How long a poll is held when there is nothing to say.
        poll_timeout: Time,
        /// How long a client may take to answer a close frame.
        close_timeout: Time,
        /// Bytes waiting for a client above which `overflow` applies.
        max_queued: Bytes,
        /// Bytes waiting for a client from which `write` says `Pressured`.
        pressure: Bytes,
        /// What happens above `max_queued`.
        overflow: Word<Overflow>,
        /// Messages waiting for a handler from which nothing more is read.
        inbox_messages: Count,
        /// Bytes waiting for a handler from which nothing more is read.
        inbox_bytes: Bytes,
        /// Bytes in an inbox, 64 more for each message, up to which more is read while an answer of
        /// the client, or `ready`, is awaited; then that fails.
        max_inbox: Bytes,
        /// Requests of the server that may wait for the answer of one client.
        max_requests: Count,
        /// Rooms that one client may join by itself.
        max_subscriptions: Count,
        /// Channels that one session may be in, beside the root.
        max_channels: Count,
        /// How long a session waits for a client that is away. Zero: not at all.
        resume_window: Time,
        /// Messages that are kept for a client until it acknowledges them.
        resume_messages: Count,
        /// Bytes of them; one message always has room.
        resume_bytes: Bytes,
    }
    tables {}
    aliases { "transformer" = transformers, }
}

/// The mounts by their paths: a table with any keys.
impl Options for BTreeMap<String, Mount> {
    fn keys(&self) -> Vec<String> {
        Self::keys(self).cloned().collect()
    }

    /// A variable cannot have a path in its name, so it names a mount that is there already:
    /// `/api-v2/ws` is `API_V2_WS`.
    fn resolve(&self, entry: &Entry) -> Option<String> {
        let Origin::Variable(_) = entry.origin else {
            return Some(entry.key.clone());
        };
        Self::keys(self).find(|path| variable_name(path) == entry.key).cloned()
    }

    fn set(
        &mut self,
        key: &str,
        entry: &Entry,
        path: &str,
        sources: &mut Sources,
    ) -> Result<(), ConfigError> {
        read_table(self.entry(key.to_owned()).or_default(), entry, path, sources)
    }

    fn rows(&self, prefix: &str) -> Vec<Row> {
        self.iter().flat_map(|(path, mount)| mount.rows(&join(prefix, path))).collect()
    }
}

/// A path as a variable has it, in small letters.
fn variable_name(path: &str) -> String {
    let name = path.trim_matches('/').to_ascii_lowercase();
    name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_method() {
        let mount = Mount::new()
            .transformers(["sse"])
            .parser("raw")
            .subprotocols(["a", "b"])
            .max_message(1)
            .overflow(Overflow::DropOldest)
            .poll_timeout(std::time::Duration::from_secs(2))
            .resume_window(std::time::Duration::ZERO)
            .resume_messages(3)
            .resume_bytes(4);
        assert_eq!(mount.transformers, Some(vec!["sse".to_owned()]));
        assert_eq!(mount.parser.as_deref(), Some("raw"));
        assert_eq!(mount.subprotocols, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(mount.max_message, Some(1));
        assert_eq!(mount.overflow, Some(Overflow::DropOldest));
        assert_eq!(mount.poll_timeout, Some(std::time::Duration::from_secs(2)));
        assert_eq!(mount.resume_window, Some(std::time::Duration::ZERO));
        assert_eq!((mount.resume_messages, mount.resume_bytes), (Some(3), Some(4)));
        assert_eq!(mount.pressure, None);
    }

    #[test]
    fn paths_as_variables() {
        assert_eq!(variable_name("/ws"), "ws");
        assert_eq!(variable_name("/API-v2/ws/"), "api_v2_ws");
    }
}
