//! Headers that all answers have in common, and answers that say what is wrong.

use http::{HeaderValue, StatusCode, header};
use primus_core::{
    Body, Head, Response,
    request::{full, text},
};

use crate::protocol::{
    chunk::Form,
    query::{self, QueryError},
};

const NEVER: HeaderValue =
    HeaderValue::from_static("no-cache, no-store, max-age=0, must-revalidate");
/// The same for caches of old.
const PAST: HeaderValue = HeaderValue::from_static("Fri, 01 Jan 1990 00:00:00 GMT");

/// Marks an answer as one that nobody keeps or guesses at.
pub(crate) fn standard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, NEVER);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, PAST);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer in the form that was asked for.
pub(crate) fn answer(form: Form, body: Body) -> Response {
    let mut response = Response::new(body);
    let media = HeaderValue::from_static(form.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    standard(response)
}

/// What is wrong, as a script hears it by the status, and a page by a script.
pub(crate) fn refusal(head: &Head, status: StatusCode, error: &str) -> Response {
    if query::form(&head.query()) == Form::Html {
        return answer(Form::Html, full(Form::error(error)));
    }
    standard(text(status, error.to_owned()))
}

pub(crate) fn bad(head: &Head, error: QueryError) -> Response {
    refusal(head, StatusCode::BAD_REQUEST, &error.to_string())
}

/// The words that the client looks for, to begin anew at once.
pub(crate) fn unknown(head: &Head) -> Response {
    refusal(head, StatusCode::BAD_REQUEST, "Unknown SID")
}
