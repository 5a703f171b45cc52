//! The opening handshake: RFC 6455 §4.2 over HTTP/1.1, RFC 8441 §5 over HTTP/2.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use primus_core::{
    BoxError, Head, MountSettings, Response, Upgrade,
    request::{empty, json, status},
};
use tokio_tungstenite::tungstenite::{
    error::{Error, ProtocolError},
    handshake::server::create_response_with_body,
};

use crate::{
    connection::Connection,
    deflate::{Agreed, negotiate},
};

/// The subprotocol by which our own client says that it speaks the resumable dialect.
pub(crate) const RESUMABLE: &str = "primus.2";

/// A handshake that was answered with yes: the connection comes when that answer has been sent.
pub struct Handshake {
    upgrade: Upgrade,
    agreed: Option<Agreed>,
}

/// Checks a request for a WebSocket, and makes the answer that switches protocols, with the `protocol`
/// that was chosen of those [`offered`].
///
/// # Errors
/// The answer that says what is wrong with the request.
pub fn accept(
    head: &Head,
    upgrade: Option<Upgrade>,
    protocol: Option<&str>,
    settings: &MountSettings,
) -> Result<(Response, Handshake), Box<Response>> {
    let Some(upgrade) = upgrade else {
        let error = "this connection cannot be upgraded";
        let error = json(StatusCode::BAD_REQUEST, &serde_json::json!({ "error": error }));
        return Err(Box::new(error));
    };
    let agreed = negotiate(&head.headers, settings.compression.as_ref());
    Ok((answer(head, protocol, agreed)?, Handshake { upgrade, agreed }))
}

impl Handshake {
    /// The connection.
    ///
    /// # Errors
    /// When the client went meanwhile.
    pub async fn connection(self, settings: &MountSettings) -> Result<Connection, BoxError> {
        Ok(Connection::new(self.upgrade.await?, settings, self.agreed))
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("agreed", &self.agreed).finish_non_exhaustive()
    }
}

fn answer(
    head: &Head,
    protocol: Option<&str>,
    compression: Option<Agreed>,
) -> Result<Response, Box<Response>> {
    let mut response = if head.method == Method::CONNECT {
        status(StatusCode::OK)
    } else {
        let mut request = http::Request::new(());
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        create_response_with_body(&request, empty).map_err(|error| Box::new(refuse(&error)))?
    };
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(agreed) = compression {
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, agreed.answer());
    }
    Ok(response)
}

fn refuse(error: &Error) -> Response {
    let version = matches!(error, Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader));
    let status = if version { StatusCode::UPGRADE_REQUIRED } else { StatusCode::BAD_REQUEST };
    let error = format!("not a WebSocket handshake: {error}");
    let mut response = json(status, &serde_json::json!({ "error": error }));
    let headers = response.headers_mut();
    if version {
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The subprotocols that a client offers, in its order; what is no token is left out.
pub fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| is_token(protocol))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What a plain client gets: its first that is configured; with none configured, its first.
pub(crate) fn choose<'a>(headers: &'a HeaderMap, configured: &[String]) -> Option<&'a str> {
    offered(headers)
        .find(|protocol| configured.is_empty() || configured.iter().any(|known| known == protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        headers
    }

    #[test]
    fn subprotocols() {
        let both = headers(&["bad name, a ,b", "c"]);
        assert_eq!(choose(&both, &[]), Some("a"));
        assert_eq!(choose(&both, &["c".into(), "b".into()]), Some("b"));
        assert_eq!(choose(&both, &["x".into()]), None);
        assert_eq!(choose(&headers(&[", ,\"q\",(x)"]), &[]), None);
        assert_eq!(choose(&headers(&[&" ".repeat(10_000)]), &[]), None);
    }
}
