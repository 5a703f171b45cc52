//! Headers that answers have in common.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use primus_core::{
    Head, Response,
    request::{full, status},
};
use primus_http::cors;

/// A year.
const MAX_AGE: HeaderValue = HeaderValue::from_static("31536000");
const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("public, max-age=31536000");
/// For caches that know no `max-age`: as late as their clocks may go.
const LATE: HeaderValue = HeaderValue::from_static("Thu, 31 Dec 2037 23:55:55 GMT");
const NEVER: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");

/// Text, as the errors and the small pages of SockJS are.
pub(crate) fn text(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response {
    typed(status, "text/plain; charset=UTF-8", full(text.into()))
}

pub(crate) fn typed(
    status: StatusCode,
    content_type: &'static str,
    body: primus_core::Body,
) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// There is nothing at this URL, or no such session.
pub(crate) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 Error: Page not found\n")
}

/// 405, with the methods that would do, and nothing else.
pub(crate) fn wrong_method(allow: &'static str) -> Response {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// The answer to a preflight, or to who only asks for the methods.
pub(crate) fn preflight(head: &Head, methods: &'static str) -> Response {
    let mut response = status(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    allow(cors::page(head), headers);
    keep(headers);
    response
}

/// Lets the page read the answer, cookies included; its origin has been checked before.
pub(crate) fn allow(page: Option<HeaderValue>, headers: &mut HeaderMap) {
    if let Some(page) = page {
        return cors::let_read(page, headers);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Nobody keeps this answer.
pub(crate) fn no_cache(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, NEVER);
}

/// Everybody keeps this answer.
pub(crate) fn keep(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, FOR_A_YEAR);
    headers.insert(header::EXPIRES, LATE);
}

/// The headers that the answers to a request of a session have, in little room: a poll may wait for long.
pub(crate) struct Common {
    /// Whether a page may read it, and which.
    readable: bool,
    origin: Option<HeaderValue>,
    cookie: Option<HeaderValue>,
}

impl Common {
    pub(crate) fn of(head: &Head, readable: bool, cookie: bool) -> Self {
        let origin = readable.then(|| cors::page(head)).flatten();
        Self { readable, origin, cookie: cookie.then(|| session_cookie(head)).flatten() }
    }

    pub(crate) fn put(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        no_cache(headers);
        if self.readable {
            allow(self.origin, headers);
        }
        if let Some(cookie) = self.cookie {
            headers.insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// The cookie for balancers: the client's own, if it has one.
fn session_cookie(head: &Head) -> Option<HeaderValue> {
    let own = head
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("JSESSIONID="))
        .filter(|own| !own.is_empty());
    HeaderValue::try_from(format!("JSESSIONID={}; path=/", own.unwrap_or("dummy"))).ok()
}
