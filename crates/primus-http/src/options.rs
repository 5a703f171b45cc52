//! Options of the HTTP side.

use std::time::Duration;

use crate::{forwarded::Network, origin::Origins};

/// What an [`App`](crate::App) allows and bounds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Which pages may connect. Default: those of the same origin.
    pub origins: Origins,
    /// Proxies whose forwarded headers are believed. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// Headers of one request. More are answered 431. Default 64.
    pub max_headers: usize,
    /// Bytes of a request's head. More are answered 431. At least 8 KiB. Default 16 KiB.
    pub max_header_bytes: usize,
    /// How long a client may take for TLS, and then for the head of a request. Default 10 s.
    pub handshake_timeout: Duration,
    /// Whether listeners speak HTTP/2 too (by ALPN over TLS, by prior knowledge in plain). Default true.
    pub http2: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            trusted_proxies: Vec::new(),
            max_headers: 64,
            max_header_bytes: 16 << 10,
            handshake_timeout: Duration::from_secs(10),
            http2: true,
        }
    }
}
