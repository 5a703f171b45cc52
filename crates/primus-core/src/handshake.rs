//! What a session keeps of the request that opened it.

use std::{net::IpAddr, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::request::{Head, Query};

/// Copied from the request: small, and never a slice of the HTTP server's read buffer, which
/// would keep that alive for as long as the session.
#[derive(Debug, Clone)]
pub struct Handshake {
    path: Box<str>,
    query: Query,
    /// `None`: there are none.
    headers: Option<Box<HeaderMap>>,
    address: Option<IpAddr>,
    secure: bool,
    transformer: &'static str,
    protocol: Option<Box<str>>,
}

impl Handshake {
    pub(crate) fn new(
        head: &Head,
        keep: &[HeaderName],
        transformer: &'static str,
        protocol: Option<&str>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        for name in keep {
            for value in head.headers.get_all(name) {
                if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
                    headers.append(name.clone(), copy);
                }
            }
        }
        Self {
            path: head.uri.path().into(),
            query: head.query(),
            headers: (!headers.is_empty()).then(|| Box::new(headers)),
            address: head.address,
            secure: head.secure,
            transformer,
            protocol: protocol.map(Into::into),
        }
    }

    /// The path of the request.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query of the request.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The headers named in `keep_headers`.
    pub fn headers(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.headers.as_deref().unwrap_or(&NONE)
    }

    /// The client's address.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether the client came over TLS.
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The transformer that opened the session.
    pub fn transformer(&self) -> &'static str {
        self.transformer
    }

    /// The WebSocket subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }
}
