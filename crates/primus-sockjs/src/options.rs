//! What can be set.

use std::time::Duration;

/// Options of the transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SockJsOptions {
    /// Bytes of frames after which a stream ends and the client asks for the next one: browsers keep all of
    /// an answer in memory. Default 128 KiB.
    pub response_limit: usize,
    /// How often a client that is told nothing else is told that the server is there. Zero: never.
    /// Default 25 s.
    pub heartbeat: Duration,
    /// How long a session waits for the next receiver of its client. Default 5 s.
    pub disconnect_delay: Duration,
    /// Where the page of the iframe transports loads `sockjs-client` from: a path of this server, or a URL.
    /// Default: version 1 at a public CDN.
    pub sockjs_url: String,
    /// Whether WebSockets are offered. Default true.
    pub websocket: bool,
    /// Whether a cookie `JSESSIONID` is set, by which balancers tell sessions apart. Default false.
    pub cookie: bool,
}

impl Default for SockJsOptions {
    fn default() -> Self {
        Self {
            response_limit: 128 << 10,
            heartbeat: Duration::from_secs(25),
            disconnect_delay: Duration::from_secs(5),
            sockjs_url: "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
                .to_owned(),
            websocket: true,
            cookie: false,
        }
    }
}
