//! Cross-origin answers (the Fetch standard, "CORS protocol"). The origin has been checked before.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use primus_core::{
    Head, Response,
    request::{empty, status},
};

use crate::origin::Origins;

/// What scripts of other origins may read of an answer.
const EXPOSED: HeaderValue = HeaderValue::from_static("Primus-Token, Retry-After");
/// What they may send.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue = HeaderValue::from_static("Content-Type, Primus-Token");
/// How long a browser may remember the preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// The method that a preflight asks for.
pub(crate) fn preflight(head: &Head) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    head.header(header::ACCESS_CONTROL_REQUEST_METHOD)?.parse().ok()
}

/// The answer to a preflight that is allowed.
pub(crate) fn answer_preflight() -> Response {
    let mut response = status(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    *response.body_mut() = empty();
    response
}

/// The page that asks, as a value of its own: that of the request would keep alive all that was read with it.
pub fn page(head: &Head) -> Option<HeaderValue> {
    HeaderValue::from_bytes(head.headers.get(header::ORIGIN)?.as_bytes()).ok()
}

/// Lets that page read the answer, cookies included.
pub fn let_read(page: HeaderValue, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
    let yes = HeaderValue::from_static("true");
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
}

/// Lets the page read the answer of a transformer that says nothing of it.
pub(crate) fn allow(page: Option<HeaderValue>, origins: &Origins, headers: &mut HeaderMap) {
    let Some(page) = page else { return };
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if *origins == Origins::Any {
        // Never `*` together with credentials.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let any = HeaderValue::from_static("*");
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    } else {
        let_read(page, headers);
    }
}
