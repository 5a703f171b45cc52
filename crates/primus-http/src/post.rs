//! What the HTTP carriers have in common: requests that find a session by its token, and POSTs
//! (docs/protocol.md §2, §4 and §8).
//!
//! The event stream and polling differ in how messages leave. How they come in is the same, and
//! is here once, for both transformers:
//!
//! - [`send`]: a batch of frames to a session (resumable);
//! - [`message`]: one message, to a session or as a whole conversation (plain);
//! - [`attach`]: the frame that opens a session (resumable).
//!
//! # How large a body may be
//!
//! `max_message` bounds a message as it is once decoded. A plain body is not encoded, so it may
//! have `max_message` bytes. A batch may have 4/3 of that, which is what base64 makes of the
//! largest message, and 8 KiB for its control frames. An attach may have `max_attach`. A body
//! that declares more is refused before it is read.

mod batch;
mod body;
mod offer;
mod oneshot;
mod owed;
mod ready;
mod requests;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use primus_core::{
    Envelope, Head, Mount, Parser, Payload, Rejection, Request, Response, native, request::status,
};

use self::requests::{Turn, unknown};
pub use self::{
    body::{Bound, attach, read},
    offer::deliver,
    owed::Owed,
    ready::{Waiting, deliver_ready, deliver_until_room},
    requests::{Requests, find, token},
};

/// Whether the request speaks the resumable dialect.
pub fn is_resumable(head: &Head) -> bool {
    head.query().get("v") == Some("2")
}

/// Whether the request bears the mark of our own client, by which it can be told from those of every other: a
/// WebSocket that offers the subprotocol `primus.2`, anything else by its query.
pub fn is_ours(head: &Head) -> bool {
    if !head.wants_websocket() {
        return is_resumable(head);
    }
    let offers = head.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    offers.any(|protocol| protocol.trim() == "primus.2")
}

/// The number of a message, as requests carry it: decimal, up to 2^53, no sign, no leading zeros.
pub fn number(text: &str) -> Option<u64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && *number <= 1 << 53)
}

/// The path behind the mount's: empty or beginning with `/`.
pub fn tail<'a>(head: &'a Head, mount: &Mount) -> &'a str {
    let path = head.uri.path();
    path.strip_prefix(mount.settings().path.trim_end_matches('/')).unwrap_or(path)
}

/// Whether the mount has a path of its own. One at `/` shares its URLs with an application, which
/// has all requests that are not clearly ours.
pub fn is_below(head: &Head, tail: &str) -> bool {
    head.uri.path() != tail
}

/// Whether the method is one that an HTTP transformer has a use for.
pub fn reads_or_posts(head: &Head) -> bool {
    matches!(head.method, Method::GET | Method::POST)
}

/// Whether a request is one that every HTTP transformer serves: `{path}/send`, and a plain POST
/// to the mount itself. A mount at `/` leaves `POST /` to the application that it is part of.
pub fn claims(head: &Head, tail: &str) -> bool {
    match tail {
        "/send" => is_below(head, tail) || head.method == Method::POST && is_resumable(head),
        "" | "/" => head.method == Method::POST && head.uri.path() != "/" && !is_resumable(head),
        _ => false,
    }
}

/// Answers `{path}/send`: takes a batch of frames for a session.
///
/// A batch is taken as a whole or not at all as far as its form goes: a malformed frame ends the
/// session before anything of the batch has been delivered. What the session has already is
/// dropped, so a batch may be repeated.
pub async fn send(request: Request, mount: Arc<Mount>) -> Response {
    if request.head.method != Method::POST {
        return wrong_method("POST");
    }
    match try_send(request, &mount).await {
        Ok(response) => response,
        Err(rejection) => rejection.into_response(),
    }
}

async fn try_send(request: Request, mount: &Mount) -> Result<Response, Rejection> {
    let Request { head, body, .. } = request;
    if !is_resumable(&head) {
        let error = "frames are sent to /send?v=2; a plain message goes to the mount itself";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, error));
    }
    let (session, generation) = find(&head, mount)?;
    let _turn = Turn::take(&session, generation)?;
    let bytes = body::read_batch(&head, body, session.limits()).await?;
    if session.generation() != generation {
        return Err(unknown()); // another carrier has taken the session meanwhile
    }
    session.seen();
    let frames = batch::decode(bytes, &session, generation)?;
    batch::take(&session, generation, frames).await
}

/// Answers a plain POST: with a token it is a message to a session, without one a conversation
/// of its own, opened in the name of `transformer`.
pub async fn message(transformer: &'static str, request: Request, mount: Arc<Mount>) -> Response {
    let answer = if token(&request.head).is_some() {
        message_to_session(request, &mount).await
    } else {
        oneshot::converse(transformer, request, &mount).await
    };
    answer.unwrap_or_else(Rejection::into_response)
}

async fn message_to_session(request: Request, mount: &Mount) -> Result<Response, Rejection> {
    let Request { head, body, .. } = request;
    let (session, generation) = find(&head, mount)?;
    let _turn = Turn::take(&session, generation)?;
    let messages = body::read_messages(&head, body, session.limits()).await?;
    if session.is_counted() {
        // It would take the number of the client's next one, which would be dropped as known.
        let error = "this session counts its messages; send frames to /send?v=2";
        return Err(Rejection::new(StatusCode::BAD_REQUEST, error));
    }
    session.seen();
    let deadline = offer::deadline(&session);
    for (accepted, message) in messages.into_iter().enumerate() {
        if let Err(error) = offer::deliver(&session, deadline, message).await {
            return offer::refusal(&error, "accepted", accepted as u64);
        }
    }
    Ok(nothing())
}

/// One message as plain polls and conversations have it: a line. Binary is base64; text is as it
/// is, so text with line ends is several lines.
pub fn plain_line(envelope: &Envelope, parser: &dyn Parser) -> Bytes {
    match native::plain(envelope, parser) {
        None => Bytes::new(),
        Some(Payload::Text(text)) => format!("{text}\n").into(),
        Some(Payload::Binary(bytes)) => format!("{}\n", STANDARD.encode(bytes)).into(),
    }
}

/// 405, with the methods that would do.
pub fn wrong_method(allow: &'static str) -> Response {
    let error = format!("this URL takes {allow}");
    let mut response = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, error).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// 204, not to be kept by anybody.
pub fn nothing() -> Response {
    let mut response = status(StatusCode::NO_CONTENT);
    no_store(&mut response);
    response
}

/// Marks an answer as one that no cache may keep.
pub fn no_store(response: &mut Response) {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_one_way() {
        let most = 1 << 53;
        for good in [0, 1, 10, most] {
            assert_eq!(number(&good.to_string()), Some(good));
        }
        for bad in ["", "-1", "+1", "01", "00", " 1", "1.0", "1e3", "x", "\u{661}"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(number(&(most + 1).to_string()), None);
        assert_eq!(number("99999999999999999999"), None);
    }
}
