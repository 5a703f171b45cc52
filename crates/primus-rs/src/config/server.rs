//! The options of a server.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use primus_core::{End, Overflow};

use super::{
    amounts::{Bytes, Time},
    client::ClientOptions,
    env,
    error::ConfigError,
    file,
    mounts::Mount,
    options::Options as _,
    tables::{optional, options, readable},
    units::{Count, Flag, List, Text},
    words::Word,
};

options! {
    /// Every option of a server, with its default in [`Config::default`].
    ///
    /// It is read by [`Config::load`] from a TOML file and the environment, or by serde from a
    /// part of your own configuration: what is left out has its default, what is unknown is
    /// refused. Durations are written `"30s"`, `"250ms"`, `"2m"`, `"1h"` or as a number of
    /// milliseconds; sizes `"1MiB"`, `"64KiB"`, `"16MB"` or as a number of bytes; where a list is
    /// expected, one text alone will do.
    pub struct Config {
        /// The address for [`Primus::serve`](crate::Primus::serve). Default `127.0.0.1:8080`.
        listen: Text = "127.0.0.1:8080".to_owned(),
        /// The path of the main mount: by segment, so `/primus` is not `/primusx`. Default
        /// `/primus`.
        path: Text = "/primus".to_owned(),
        /// What clients may speak, in the order in which our client tries them: `websocket`,
        /// `sse`, `polling`; for stock clients of others `engine.io`, `socket.io`, `sockjs`, `bayeux`, `faye`,
        /// `browserchannel`, `actioncable`; and those given to
        /// [`add_transformer`](crate::Builder::add_transformer). Default: the first three.
        transformers: List = ["websocket", "sse", "polling"].map(str::to_owned).to_vec(),
        /// Whether our own carriers are mounted beside transformers that are all for stock clients of others, for
        /// our client alone, so that the `primus.js` of the mount connects. Default true.
        native: Flag = true,
        /// How values travel: `json`, `msgpack`, `raw`, or one given to
        /// [`add_parser`](crate::Builder::add_parser). Default `json`.
        parser: Text = "json".to_owned(),
        /// Plugins to install, in this order, of those given to
        /// [`add_plugin`](crate::Builder::add_plugin). Default: none.
        plugins: List = Vec::new(),
        /// WebSocket subprotocols that plain clients may choose from. Default: none, and the
        /// client's first is taken.
        subprotocols: List = Vec::new(),

        /// Pages that may connect besides those of the same origin, such as
        /// `https://example.com` or `https://*.example.com`; `*` for all. Default: none.
        origins: List = Vec::new(),
        /// Addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` and
        /// `X-Forwarded-Proto` are believed. Default: none.
        trusted_proxies: List = Vec::new(),
        /// Headers of the opening request that a spark keeps. Default: `user-agent`.
        keep_headers: List = vec!["user-agent".to_owned()],

        /// How often a silent client is asked for a sign of life. Zero: never. Default 30 s.
        ping_interval: Time = Duration::from_secs(30),
        /// How long after that it is given up. Default 10 s.
        ping_timeout: Time = Duration::from_secs(10),

        /// Bytes of one message, on every transport. Default 1 MiB.
        max_message: Bytes = 1 << 20,
        /// Fragments of one WebSocket message. Default 128.
        max_fragments: Count = 128,
        /// Items in the body of one POST. Default 256.
        max_post_items: Count = 256,
        /// Bytes of a client's attach frame. Default 8 KiB.
        max_attach: Bytes = 8 << 10,
        /// Headers of one request. Default 64.
        max_headers: Count = 64,
        /// Bytes of a request's head, at least 8 KiB. Default 16 KiB.
        max_header_bytes: Bytes = 16 << 10,

        /// Whether WebSocket messages are compressed for clients that offer it (permessage-deflate, RFC 7692),
        /// both ways. Default false.
        compression: Flag = false,
        /// Bytes from which a message that is sent is compressed. Default 1 KiB.
        compression_threshold: Bytes = 1 << 10,
        /// Whether messages may refer to earlier ones of the same connection: small ones that repeat themselves
        /// get much smaller, but each connection keeps up to 300 KiB, and a broadcast is compressed for each
        /// receiver instead of once. Default false.
        compression_takeover: Flag = false,

        /// Whether Engine.IO clients of protocol 3 are served, too: `engine.io-client` up to 3.x, and those of
        /// Socket.IO 1.x and 2.x. Default false.
        engine_io_3: Flag = false,
        /// The name of a cookie that an Engine.IO handshake by polling sets to the client's id, for load
        /// balancers that look at it. Default: empty, none is set.
        engine_io_cookie: Text = String::new(),
        /// Whether Engine.IO clients that poll are offered a WebSocket. Default true.
        engine_io_upgrades: Flag = true,
        /// How long an Engine.IO client may take to go on with a WebSocket that it has opened. Default 10 s.
        engine_io_upgrade_timeout: Time = Duration::from_secs(10),

        /// Whether Socket.IO clients get their session back after a loss of the connection, within
        /// `resume_window` (connection state recovery, of clients from 4.6 on). Then every event that they are
        /// sent has one more argument. Default false.
        socket_io_recovery: Flag = false,
        /// How long a Socket.IO client may be connected without a namespace. Default 45 s.
        socket_io_connect_timeout: Time = Duration::from_secs(45),
        /// Whether Socket.IO clients speak MessagePack, by `socket.io-msgpack-parser`. Default false.
        socket_io_msgpack: Flag = false,

        /// Bytes of frames after which a stream to a SockJS client ends and it asks for the next one: browsers
        /// keep all of an answer in memory. Default 128 KiB.
        sockjs_response_limit: Bytes = 128 << 10,
        /// How often a SockJS client that is told nothing else is told that the server is there. Zero: never.
        /// Default 25 s.
        sockjs_heartbeat: Time = Duration::from_secs(25),
        /// How long a SockJS session waits for the next request of its client, and how long its end is told.
        /// Default 5 s.
        sockjs_disconnect_delay: Time = Duration::from_secs(5),
        /// Where the page of SockJS's iframe transports loads `sockjs-client` from: a path of this server, or a
        /// URL. Default: version 1 at a public CDN.
        sockjs_url: Text = primus_sockjs::SockJsOptions::default().sockjs_url,
        /// Whether SockJS clients are offered WebSockets. Default true.
        sockjs_websocket: Flag = true,
        /// Whether SockJS sets a cookie `JSESSIONID`, by which balancers tell sessions apart. Default false.
        sockjs_cookie: Flag = false,

        /// Which clients BrowserChannel ones are, which look alike: `primus`, stock Primus 8 clients; `plain`; or
        /// `auto`, `primus` on a mount at `/primus` and `plain` elsewhere. Default `auto`.
        browserchannel_clients: Text = "auto".to_owned(),
        /// How often a back channel of a BrowserChannel client that is told nothing else is told that the server
        /// is there. Zero: never. Default 20 s.
        browserchannel_keep_alive: Time = Duration::from_secs(20),
        /// How long a BrowserChannel session waits for its next back channel before it counts as away.
        /// Default 30 s.
        browserchannel_timeout: Time = Duration::from_secs(30),
        /// Prefixes of this server's host, of which a BrowserChannel client is told one: so it has more connections
        /// than browsers allow to one host. Default none.
        browserchannel_host_prefixes: List = Vec::new(),
        /// The file that is served to BrowserChannel clients at `{path}/bcsocket.js`: that of npm's `browserchannel`.
        /// Default none.
        browserchannel_script: Text = String::new(),
        /// How long the request of a Bayeux client is held where there is nothing to tell. One that does not
        /// come back for twice as long is given up. Default 45 s.
        bayeux_timeout: Time = Duration::from_secs(45),
        /// How often an ActionCable client is told that the server is there: stock clients reconnect when they
        /// heard nothing for 6 s. Default 3 s.
        actioncable_ping_interval: Time = Duration::from_secs(3),
        /// Whether AnyCable clients may whisper: send to all others in a channel, past the application. Default
        /// false.
        actioncable_whisper: Flag = false,
        /// Whether AnyCable clients may say who they are in a channel, and see who is there. Default false.
        actioncable_presence: Flag = false,

        /// How long a client may take for TLS, and then for the head of a request. Default 10 s.
        handshake_timeout: Time = Duration::from_secs(10),
        /// How long a client may take for its attach frame. Default 10 s.
        attach_timeout: Time = Duration::from_secs(10),
        /// How long a request may take for its body, and a POST may wait for a busy handler.
        /// Default 10 s.
        body_timeout: Time = Duration::from_secs(10),
        /// How long a poll is held when there is nothing to say. Default 25 s.
        poll_timeout: Time = Duration::from_secs(25),
        /// How long a client may take to answer a close frame. Default 5 s.
        close_timeout: Time = Duration::from_secs(5),
        /// How long the handler of an ended spark may go on. Default 10 s.
        handler_grace: Time = Duration::from_secs(10),

        /// Sessions in total. Default 100,000.
        max_connections: Count = 100_000,
        /// Sessions from one address (a /64 for IPv6). Default 256.
        max_connections_per_address: Count = 256,
        /// Whether sessions from loopback addresses count for that too. Default false.
        count_loopback: Flag = false,
        /// WebSockets that were accepted and have not attached yet. Default 1,024.
        max_pending: Count = 1024,

        /// Bytes waiting for a client above which `overflow` applies; one message always has
        /// room. Default 1 MiB.
        max_queued: Bytes = 1 << 20,
        /// Bytes waiting for a client from which `write` says `Pressured`; at most `max_queued`.
        /// Default 64 KiB.
        pressure: Bytes = 64 << 10,
        /// What happens above `max_queued`: `disconnect` the client, which comes back;
        /// `drop-newest` or `drop-oldest` messages. Default `disconnect`.
        overflow: Word<Overflow> = Overflow::Disconnect,
        /// Messages waiting for a handler from which nothing more is read. Default 64.
        inbox_messages: Count = 64,
        /// Bytes waiting for a handler from which nothing more is read. Default 256 KiB.
        inbox_bytes: Bytes = 256 << 10,
        /// Bytes in an inbox, 64 more for each message, up to which more is read while an answer of
        /// the client, or `ready`, is awaited; then that fails. Default 1 MiB.
        max_inbox: Bytes = 1 << 20,
        /// Requests of the server that may wait for the answer of one client. Default 256.
        max_requests: Count = 256,
        /// Rooms that one client may join by itself. Default 256.
        max_subscriptions: Count = 256,
        /// Channels that one session may be in, beside the root. Default 64.
        max_channels: Count = 64,

        /// How long a session waits for a client that is away. Zero: not at all, it ends with its
        /// connection. Default 2 min.
        resume_window: Time = Duration::from_secs(120),
        /// Messages that are kept for a client until it acknowledges them. Default 256.
        resume_messages: Count = 256,
        /// Bytes of them; one message always has room. Default 64 KiB.
        resume_bytes: Bytes = 64 << 10,
        /// Bytes that are kept for all clients together. Beyond it the sessions that have been
        /// away longest are given up. Default 256 MiB.
        resume_budget: Bytes = 256 << 20,
        /// How long a session whose client is away still counts as connected. Default 5 s.
        detach_grace: Time = Duration::from_secs(5),

        /// Whether listeners speak HTTP/2 too. Default true.
        http2: Flag = true,
        /// The name of the global that `primus.js` makes. Default `Primus`.
        global: Text = "Primus".to_owned(),
    }
    tables {
        /// Options of the clients that load `primus.js`.
        client: ClientOptions,
        /// Certificate and key, for TLS. Default: none, plain HTTP.
        tls: TlsFiles,
        /// How the server ends, for [`Primus::end`](primus_core::Primus::end). Defaults as in
        /// [`End`].
        end: End,
        /// More mounts, by their paths. What a mount leaves out it has from here.
        mounts: BTreeMap<String, Mount>,
    }
    aliases { "transformer" = transformers, }
}

optional! {
    /// Certificate and key for TLS; both, or neither.
    pub struct TlsFiles {
        /// A PEM file with the chain of certificates, the server's own first. Default: none.
        cert: Text,
        /// A PEM file with the private key. Default: none.
        key: Text,
    }
    tables {}
    aliases {}
}

readable! {
    End {
        close: Flag,
        end: Flag,
        reconnect: Flag,
        after: Time,
        deadline: Time,
        spread: Time,
    }
    tables {}
    aliases { "timeout" = after, }
}

impl Config {
    /// Defaults, then what the file at `path` says, then what the environment says: variables
    /// such as `PRIMUS_PING_INTERVAL` and `PRIMUS_CLIENT__TIMEOUT`.
    ///
    /// # Errors
    /// At the first thing that is wrong; the error says where, and what would be right.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let mut config = Self::from_file(path)?;
        config.apply_env(env::process())?;
        Ok(config)
    }

    /// Defaults, then what the file at `path` says. The environment is not asked.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::from_toml(&text, path)
    }

    /// Defaults, then what a text in TOML says. Errors call it `name`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_toml(text: &str, name: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.merge(&file::parse(text, name.as_ref())?)?;
        Ok(config)
    }

    /// Defaults, then what the environment says.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.apply_env(env::process())?;
        Ok(config)
    }

    /// Sets what these variables say; those whose names do not begin with `PRIMUS_` are left
    /// alone.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn apply_env<N, V>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), ConfigError>
    where
        N: Into<std::ffi::OsString>,
        V: Into<std::ffi::OsString>,
    {
        for entry in env::entries(variables)? {
            self.merge(std::slice::from_ref(&entry))?;
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, table: &[super::value::Entry]) -> Result<(), ConfigError> {
        let mut sources = std::mem::take(&mut self.sources);
        let merged = self.apply(table, "", &mut sources);
        self.sources = sources;
        merged
    }
}

impl fmt::Display for Config {
    /// As a file in TOML that says all of it: the defaults too, and nothing that is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = self.rows("").into_iter().filter(|row| !row.value.is_empty());
        rows.try_for_each(|row| writeln!(f, "{} = {}", row.key, row.value))
    }
}
