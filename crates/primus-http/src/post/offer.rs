//! Hands messages to a session whose application may be behind.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use primus_core::{DeliverError, Envelope, Rejection, Response, Session, request::json};
use tokio::time::{Instant, timeout_at};

use super::{no_store, requests::unknown};

/// Until when a POST waits: as long as a body may take.
pub(super) fn deadline(session: &Session) -> Instant {
    Instant::now() + session.limits().body_timeout
}

/// Delivers a message that has no number, waiting for room until the deadline.
///
/// # Errors
/// When there is none by then, or the session is over.
pub async fn deliver(
    session: &Arc<Session>,
    deadline: Instant,
    message: impl Into<Envelope>,
) -> Result<(), DeliverError> {
    offer(session, deadline, message.into(), |message| session.deliver(message)).await
}

/// Gives a message to the session by `give`, waiting for room until the deadline.
pub(super) async fn offer(
    session: &Session,
    deadline: Instant,
    mut message: Envelope,
    give: impl Fn(Envelope) -> Result<(), DeliverError>,
) -> Result<(), DeliverError> {
    loop {
        message = match give(message) {
            Err(DeliverError::Full(message)) => message,
            given => return given,
        };
        if timeout_at(deadline, session.room()).await.is_err() {
            return Err(DeliverError::Full(message));
        }
    }
}

/// The answer to a POST of which a message was not taken. `member`, a number, says how far it got.
pub(super) fn refusal(
    error: &DeliverError,
    member: &str,
    reached: u64,
) -> Result<Response, Rejection> {
    let (status, error) = match error {
        DeliverError::Full(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "the application is behind; send what was not accepted again, later",
        ),
        DeliverError::Gap { .. } => {
            (StatusCode::CONFLICT, "messages are missing before these; go on behind recv")
        }
        _ => return Err(unknown()),
    };
    let mut response = json(status, &serde_json::json!({ "error": error, member: reached }));
    no_store(&mut response);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
