//! What a session keeps of the request that opened it.

use std::{
    net::IpAddr,
    sync::{LazyLock, OnceLock},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::request::{Head, Query};

/// Copied from the request: small, and never a slice of the HTTP server's read buffer, which
/// would keep that alive for as long as the session.
#[derive(Debug, Clone)]
pub struct Handshake {
    path: Box<str>,
    query: Query,
    /// What most have not.
    kept: Option<Box<Kept>>,
    address: Option<IpAddr>,
    secure: bool,
    transformer: &'static str,
}

/// Headers and the subprotocol.
#[derive(Debug, Clone)]
struct Kept {
    protocol: Option<Box<str>>,
    /// The headers, as a list: a map of one header takes as much room as the rest of the session, so it
    /// is made only for who asks.
    list: Box<[(HeaderName, HeaderValue)]>,
    map: OnceLock<Box<HeaderMap>>,
}

impl Kept {
    fn new(list: Box<[(HeaderName, HeaderValue)]>, protocol: Option<Box<str>>) -> Self {
        Self { protocol, list, map: OnceLock::new() }
    }

    fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| {
            let mut map = HeaderMap::with_capacity(self.list.len());
            for (name, value) in &self.list {
                map.append(name, value.clone());
            }
            Box::new(map)
        })
    }
}

impl Handshake {
    pub(crate) fn new(
        head: &Head,
        keep: &[HeaderName],
        transformer: &'static str,
        protocol: Option<&str>,
    ) -> Self {
        let copy = |name: &HeaderName, value: &HeaderValue| {
            Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        let values = |name| head.headers.get_all(name).iter().map(move |value| (name, value));
        let headers: Box<[_]> =
            keep.iter().flat_map(values).filter_map(|(name, value)| copy(name, value)).collect();
        Self {
            path: head.uri.path().into(),
            query: head.query(),
            kept: (!headers.is_empty() || protocol.is_some())
                .then(|| Box::new(Kept::new(headers, protocol.map(Into::into)))),
            address: head.address,
            secure: head.secure,
            transformer,
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
        self.kept.as_ref().map_or(&NONE, |kept| kept.map())
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
        self.kept.as_ref()?.protocol.as_deref()
    }
}
