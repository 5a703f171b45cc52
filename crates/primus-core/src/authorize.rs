//! Who may open a session: the `authorize` hook and its refusals.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode, header};

use crate::request::{Head, Response, json};

/// What `authorize` looks at.
#[derive(Debug, Clone)]
pub struct AuthorizeRequest {
    /// The request that asks for a session.
    pub head: Head,
    /// What the client's `auth` option gave; null for plain and classic clients.
    pub auth: serde_json::Value,
    /// The path of the mount.
    pub mount: Arc<str>,
    /// The transformer in use.
    pub transformer: &'static str,
}

impl AuthorizeRequest {
    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The value of a name in the query.
    pub fn query(&self, name: &str) -> Option<String> {
        self.head.query().get(name).map(str::to_owned)
    }
}

/// What `authorize` returned for an accepted session, read by `spark.user::<T>()`.
pub type User = Arc<dyn Any + Send + Sync>;

/// Decides before a session exists; once a session, not once a poll.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Accepts with a user, or refuses.
    async fn authorize(&self, request: AuthorizeRequest) -> Result<User, Rejection>;
}

/// A refusal: an HTTP status and a JSON body `{"error": …}`; over a resumable WebSocket the same in
/// a `refuse` frame, so that a browser learns why.
///
/// ```
/// use primus_core::Rejection;
/// let rejection = Rejection::unauthorized("log in first").authenticate("Bearer");
/// assert_eq!(rejection.status(), 401);
/// ```
#[derive(Debug, Clone)]
pub struct Rejection {
    status: StatusCode,
    error: serde_json::Value,
    authenticate: Option<HeaderValue>,
    retry_after: Option<Duration>,
}

impl Rejection {
    /// A refusal with any status from 400 on (another status is taken as 500) and any JSON as what is said about it.
    pub fn new(status: StatusCode, error: impl Into<serde_json::Value>) -> Self {
        let status = if status.is_client_error() || status.is_server_error() {
            status
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self { status, error: error.into(), authenticate: None, retry_after: None }
    }

    /// 401: who are you? `WWW-Authenticate` is `Bearer` unless [`authenticate`](Self::authenticate) says otherwise.
    pub fn unauthorized(error: impl Into<serde_json::Value>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    /// 403: you may not.
    pub fn forbidden(error: impl Into<serde_json::Value>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// 503: not now; come back after so long.
    pub fn unavailable(error: impl Into<serde_json::Value>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error).retry_after(retry_after)
    }

    /// Sets the `WWW-Authenticate` header (RFC 9110 §11.6.1), sent with a 401. A value that is no header value is left out.
    #[must_use]
    pub fn authenticate(mut self, challenge: &str) -> Self {
        self.authenticate = HeaderValue::from_str(challenge).ok();
        self
    }

    /// Sets `Retry-After`, in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What a peer said in a refusal. What is no such JSON is a 500 that says nothing.
    pub(crate) fn read(json: &[u8]) -> Self {
        let mut json: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
        let status = json["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let error = json.get_mut("error").map(serde_json::Value::take).unwrap_or_default();
        Self::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is said about it.
    pub fn error(&self) -> &serde_json::Value {
        &self.error
    }

    /// The body of the `refuse` frame.
    pub fn to_json(&self) -> serde_json::Value {
        let mut body = serde_json::json!({ "status": self.status.as_u16(), "error": self.error });
        if let Some(after) = self.retry_after {
            body["after"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
        }
        body
    }

    /// The HTTP answer.
    pub fn into_response(self) -> Response {
        let mut response = json(self.status, &serde_json::json!({ "error": self.error }));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = self.authenticate.unwrap_or(HeaderValue::from_static("Bearer"));
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(after) = self.retry_after {
            headers.insert(
                header::RETRY_AFTER,
                after
                    .as_millis()
                    .div_ceil(1000)
                    .try_into()
                    .map_or(HeaderValue::from_static("1"), |seconds: u64| {
                        HeaderValue::from(seconds.max(1))
                    }),
            );
        }
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused ({}): {}", self.status.as_u16(), self.error)
    }
}

impl std::error::Error for Rejection {}

impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or("refused"))
    }
}
