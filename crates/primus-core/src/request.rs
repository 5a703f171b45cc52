//! HTTP as the core sees it: types of the `http` crate, a boxed body, and an upgrade that yields
//! boxed I/O. The concrete sockets are in `primus-http`.

use std::{
    any::Any,
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The body of a request or an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An answer.
pub type Response = http::Response<Body>;

/// What an upgraded connection is: bytes both ways. What they go through can be asked.
pub trait Io: AsyncRead + AsyncWrite + Any + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Any + Send + Unpin> Io for T {}

/// A connection after its upgrade.
pub struct Upgraded {
    /// The connection.
    pub io: Box<dyn Io>,
    /// What the peer sent behind its request and the HTTP server has read already.
    pub read: Bytes,
}

/// Yields the connection once the answer to the upgrade has been sent.
pub type Upgrade = BoxFuture<'static, Result<Upgraded, BoxError>>;

/// A request without its body: what routing, middleware and `authorize` look at.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The socket's peer, where it is known.
    pub peer: Option<SocketAddr>,
    /// The client's address: the peer's, or the one that a trusted proxy forwarded.
    pub address: Option<IpAddr>,
    /// Whether the client came over TLS, as far as this server or a trusted proxy knows.
    pub secure: bool,
    /// The `:protocol` of an HTTP/2 extended `CONNECT` (RFC 8441 §4).
    pub connect_protocol: Option<Box<str>>,
}

impl Head {
    /// A head with nothing but a method and a target; for tests and tools.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            peer: None,
            address: None,
            secure: false,
            connect_protocol: None,
        }
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The query, decoded.
    pub fn query(&self) -> Query {
        Query::parse(self.uri.query().unwrap_or_default())
    }

    /// The host that the client named, without its port.
    pub fn host(&self) -> Option<&str> {
        self.header(header::HOST).or_else(|| self.uri.authority().map(http::uri::Authority::as_str))
    }

    /// Whether this asks for a WebSocket: an HTTP/1.1 upgrade (RFC 6455 §4.1) or an HTTP/2
    /// extended `CONNECT` (RFC 8441).
    pub fn wants_websocket(&self) -> bool {
        if self.method == Method::CONNECT {
            return self.connect_protocol.as_deref() == Some("websocket");
        }
        self.method == Method::GET
            && has_token(&self.headers, header::UPGRADE, "websocket")
            && has_token(&self.headers, header::CONNECTION, "upgrade")
    }
}

/// Whether a comma-separated header has `token`, in any case.
pub fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// A decoded query string. Order is kept; of equal names the first counts.
///
/// ```
/// use primus_core::Query;
/// let query = Query::parse("a=1&b=x%20y+z&c");
/// assert_eq!(query.get("b"), Some("x y z"));
/// assert_eq!(query.get("c"), Some(""));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Box<[(Box<str>, Box<str>)]>);

impl Query {
    /// Reads `application/x-www-form-urlencoded` pairs; what is not UTF-8 is replaced.
    pub fn parse(query: &str) -> Self {
        let decode = |part: &str| -> Box<str> {
            let part = part.replace('+', " ");
            percent_decode_str(&part).decode_utf8_lossy().into()
        };
        Self(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// A request on its way to a transformer.
pub struct Request {
    /// Everything but the body.
    pub head: Head,
    /// The body.
    pub body: Body,
    /// Present when the connection can be upgraded.
    pub upgrade: Option<Upgrade>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("head", &self.head).finish_non_exhaustive()
    }
}

/// A body of nothing.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer without a body.
pub fn status(status: StatusCode) -> Response {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// An answer of text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// An answer of JSON.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let mut response = text(status, serde_json::to_vec(value).unwrap_or_default());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// JSON as it may stand in a script: of JavaScript's line ends, two may stand in strings of JSON.
///
/// ```
/// assert_eq!(primus_core::request::in_script("\"a\u{2028}b\""), "\"a\\u2028b\"");
/// ```
pub fn in_script(json: &str) -> String {
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_in_lists_and_any_case() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive, UpGrade"));
        assert!(has_token(&headers, header::CONNECTION, "upgrade"));
        assert!(!has_token(&headers, header::CONNECTION, "keep"));
    }

    #[test]
    fn odd_queries_are_read() {
        let query = Query::parse("&&a=1&a=2&%zz=%ff&=x");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.get("%zz"), Some("\u{fffd}"));
        assert_eq!(query.get(""), Some("x"));
    }
}
