//! Answers, with the headers that clients of this protocol want.

use http::{HeaderValue, StatusCode, header};
use primus_core::{
    Body, Head, Response,
    request::{empty, full},
};
use primus_http::cors;

use crate::protocol::callback::Callback;

/// What is answered to a request with messages: JSON, or a script.
pub(crate) fn messages(
    page: Option<HeaderValue>,
    callback: Option<&Callback>,
    json: String,
) -> Response {
    let mut response = match callback {
        None => typed("application/json; charset=utf-8", full(json)),
        Some(callback) => {
            let mut script = typed("text/javascript; charset=utf-8", full(callback.call(&json)));
            let name = HeaderValue::from_static("attachment; filename=f.txt");
            script.headers_mut().insert(header::CONTENT_DISPOSITION, name);
            script
        }
    };
    allow_page(page, &mut response);
    response
}

/// Something that nobody keeps.
pub(crate) fn typed(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The request has no messages, or they are none.
pub(crate) fn bad_request(head: &Head) -> Response {
    let mut response = typed("text/plain; charset=utf-8", full("Bad request"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    allow(head, &mut response);
    response
}

/// The answer to a preflight, or to who only asks for the methods.
pub(crate) fn preflight(head: &Head) -> Response {
    let mut response = Response::new(empty());
    let headers = response.headers_mut();
    let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
    put(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Accept, Authorization, Content-Type, Pragma, X-Requested-With",
    );
    put(header::ACCESS_CONTROL_ALLOW_METHODS, "POST, GET");
    put(header::ACCESS_CONTROL_MAX_AGE, "86400");
    allow(head, &mut response);
    response
}

/// Lets the page read the answer, cookies included; its origin has been checked before.
pub(crate) fn allow(head: &Head, response: &mut Response) {
    allow_page(cors::page(head), response);
}

fn allow_page(page: Option<HeaderValue>, response: &mut Response) {
    if let Some(page) = page {
        cors::let_read(page, response.headers_mut());
    }
}
