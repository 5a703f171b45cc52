//! Reads bodies: bounded in size and time, and checked for what they have to be.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use primus_core::{
    Body, BoxError, BoxFuture, Head, Limits, Payload, Rejection,
    native::{ClientAttach, Frame, lines, parse},
};
use tokio::time::timeout;

/// Beyond what base64 makes of one message: room for its prefix and for control frames.
const BATCH_OVERHEAD: usize = 8 << 10;

/// What a body may be, and the name of the limit for who meets it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The most bytes.
    pub bytes: usize,
    /// The option that says so.
    pub limit: &'static str,
    /// How long it may take.
    pub within: Duration,
}

/// Reads the attach frame that opens a session of the resumable dialect.
///
/// # Errors
/// When it is too large (413), too slow (408), or is not an attach frame (400).
pub async fn attach(head: &Head, body: Body, limits: &Limits) -> Result<ClientAttach, Rejection> {
    let bound =
        Bound { bytes: limits.max_attach, limit: "max_attach", within: limits.attach_timeout };
    let text = read_text(head, body, bound).await?;
    let frame = text.strip_suffix('\n').unwrap_or(&text);
    match parse(frame.into()) {
        Ok(Frame::Attach(json)) => {
            ClientAttach::parse(&json).map_err(|error| bad_request(error.to_string()))
        }
        Ok(_) => Err(bad_request("the body has to be one frame: primus::attach::<json>")),
        Err(error) => Err(bad_request(error.to_string())),
    }
}

async fn read_text(head: &Head, body: Body, bound: Bound) -> Result<String, Rejection> {
    let bytes = read(head, body, bound).await?;
    String::from_utf8(bytes.into()).map_err(|_| not_utf8())
}

/// Reads a batch of frames.
pub(super) async fn read_batch(
    head: &Head,
    body: Body,
    limits: &Limits,
) -> Result<Bytes, Rejection> {
    let bytes = limits.max_message.div_ceil(3).saturating_mul(4).saturating_add(BATCH_OVERHEAD);
    read(head, body, Bound { bytes, limit: "max_message", within: limits.body_timeout }).await
}

/// Reads the messages of a plain POST: one, or with `application/x-ndjson` one a line.
pub(super) async fn read_messages(
    head: &Head,
    body: Body,
    limits: &Limits,
) -> Result<Vec<Payload>, Rejection> {
    let bound =
        Bound { bytes: limits.max_message, limit: "max_message", within: limits.body_timeout };
    let bytes = read(head, body, bound).await?;
    match content_type(head).as_str() {
        "application/octet-stream" => Ok(vec![Payload::Binary(bytes)]),
        "application/x-ndjson" => {
            let text = utf8(bytes)?;
            check_items(lines(&text).count(), limits)?;
            Ok(lines(&text)
                .map(|line| line.slice_ref(line.strip_suffix('\r').unwrap_or(&line)))
                .filter(|line| !line.is_empty())
                .map(Payload::Text)
                .collect())
        }
        _ => Ok(vec![Payload::Text(utf8(bytes)?)]),
    }
}

/// The media type, without parameters, in lower case.
fn content_type(head: &Head) -> String {
    let value = head.header(header::CONTENT_TYPE).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads a body. One that declares more than it may have is refused before it is read.
///
/// # Errors
/// When it is too large (413), too slow (408), or is cut off (400).
pub async fn read(head: &Head, body: Body, bound: Bound) -> Result<Bytes, Rejection> {
    let Bound { bytes, limit, within } = bound;
    let too_large = || {
        let error = format!("the body has more than {bytes} bytes ({limit}); send less at once");
        Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    };
    let declared =
        head.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes as u64) {
        return Err(too_large());
    }
    // Boxed for the compiler: unboxed, it cannot prove the callers' futures `Send`.
    let all: BoxFuture<'static, Result<Collected<Bytes>, BoxError>> =
        Box::pin(Limited::new(body, bytes).collect());
    match timeout(within, all).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(bad_request(format!("the body could not be read: {error}"))),
        Err(_) => {
            let error = format!("the body did not arrive within {within:?}; send it again");
            Err(Rejection::new(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

/// The same bytes as text, uncopied.
pub(super) fn utf8<T: TryFrom<Bytes>>(bytes: Bytes) -> Result<T, Rejection> {
    T::try_from(bytes).map_err(|_| not_utf8())
}

pub(super) fn check_items(items: usize, limits: &Limits) -> Result<(), Rejection> {
    if items <= limits.max_post_items {
        return Ok(());
    }
    let most = limits.max_post_items;
    let error =
        format!("the body has {items} items, more than {most} (max_post_items); send several");
    Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, error))
}

pub(super) fn bad_request(error: impl Into<serde_json::Value>) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, error)
}

fn not_utf8() -> Rejection {
    bad_request("the body is not UTF-8; send bytes as application/octet-stream or primus::binary")
}
