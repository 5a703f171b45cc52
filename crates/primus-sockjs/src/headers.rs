//! Headers that answers have in common.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use primus_core::{
    Head, Response,
    request::{full, status},
};

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
    allow(head, headers);
    keep(headers);
    response
}

/// Lets the page read the answer, cookies included; its origin has been checked before.
pub(crate) fn allow(head: &Head, headers: &mut HeaderMap) {
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    match head.headers.get(header::ORIGIN) {
        None => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        Some(origin) => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
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

/// The cookie for balancers: the client's own, if it has one.
pub(crate) fn cookie(head: &Head, headers: &mut HeaderMap) {
    let own = head
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("JSESSIONID="))
        .filter(|own| !own.is_empty());
    let cookie = format!("JSESSIONID={}; path=/", own.unwrap_or("dummy"));
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
}
