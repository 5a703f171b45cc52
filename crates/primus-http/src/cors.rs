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

/// Lets the page read the answer.
pub(crate) fn allow(origin: Option<&HeaderValue>, origins: &Origins, headers: &mut HeaderMap) {
    let Some(origin) = origin else { return };
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if *origins == Origins::Any {
        // Never `*` together with credentials.
        let any = HeaderValue::from_static("*");
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    } else {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let yes = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
}
