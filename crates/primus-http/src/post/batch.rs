//! A batch of frames: decoded as a whole, then delivered one after the other.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use primus_core::{
    CloseReason, DeliverError, Limits, Payload, Rejection, Response, Session,
    native::{Frame, lines, parse},
};
use tokio::time::{Duration, Instant, timeout_at};

use super::{
    body::{bad_request, check_items, utf8},
    nothing,
    requests::{Requests, unknown},
};

/// What a client sent.
pub(super) enum Item {
    Message(Payload),
    Ping(u64),
    Pong,
    End,
}

/// Reads the frames of a batch. When this fails, nothing of it has been delivered. Frames that
/// break the protocol end the session.
pub(super) fn decode(bytes: Bytes, session: &Arc<Session>) -> Result<Vec<Item>, Rejection> {
    let limits = session.limits();
    let text = utf8(bytes)?;
    check_items(lines(&text).count(), limits)?;
    let mut items: Vec<Item> = Vec::new();
    for line in lines(&text).filter(|line| !line.is_empty()) {
        let item = match parse(line) {
            _ if matches!(items.last(), Some(Item::End)) => Err("nothing follows the end".into()),
            Ok(Frame::Data(payload)) => {
                check_size(&payload, limits)?;
                Ok(Item::Message(payload))
            }
            Ok(Frame::Ping(number)) => Ok(Item::Ping(number)),
            Ok(Frame::Pong(_)) => Ok(Item::Pong),
            Ok(Frame::End) => Ok(Item::End),
            Ok(Frame::Attach(_) | Frame::Refuse(_)) => {
                Err("a client sends no such frame here".to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        items.push(item.map_err(|error| {
            session.end(CloseReason::BAD_CONTROL);
            bad_request(format!("{error} (frame {}); the session has ended", items.len() + 1))
        })?);
    }
    Ok(items)
}

fn check_size(payload: &Payload, limits: &Limits) -> Result<(), Rejection> {
    let (size, most) = (payload.len(), limits.max_message);
    if size <= most {
        return Ok(());
    }
    let error =
        format!("a message of {size} bytes is over {most} (max_message); send smaller ones");
    Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, error))
}

/// Hands items to a session, in order. While its handler is behind, this waits, for as long as a
/// body may take; then the client has to send the rest again.
pub(super) async fn deliver(
    session: &Arc<Session>,
    items: impl IntoIterator<Item = Item>,
) -> Response {
    let deadline = Instant::now() + session.limits().body_timeout;
    for (accepted, item) in items.into_iter().enumerate() {
        match item {
            Item::Message(payload) => {
                if let Err(rejection) = deliver_by(deadline, session, payload).await {
                    let mut response = rejection.into_response();
                    let accepted = HeaderValue::from(accepted);
                    response.headers_mut().insert("primus-accepted", accepted);
                    return response;
                }
            }
            Item::Ping(number) => {
                if let Some(requests) = session.extension::<Requests>() {
                    requests.owe_pong(number);
                }
            }
            Item::Pong => session.ponged(),
            Item::End => end(session),
        }
    }
    nothing()
}

/// Delivers one message, waiting for room until the deadline.
pub(super) async fn deliver_by(
    deadline: Instant,
    session: &Arc<Session>,
    mut payload: Payload,
) -> Result<(), Rejection> {
    loop {
        payload = match session.deliver(payload) {
            Ok(()) => return Ok(()),
            Err(DeliverError::Ended(_)) => return Err(unknown()),
            Err(DeliverError::Full(payload)) => payload,
        };
        if timeout_at(deadline, session.room()).await.is_err() {
            let error = "the application is behind; send what was not accepted again, later";
            return Err(Rejection::new(StatusCode::TOO_MANY_REQUESTS, error)
                .retry_after(Duration::from_secs(1)));
        }
    }
}

/// The client ends the session. One that is between two polls has nobody to tell it.
fn end(session: &Arc<Session>) {
    session.end(CloseReason::NORMAL);
    let parked =
        session.extension::<Requests>().and_then(|requests| session.unpark(requests.generation()));
    if let Some(carrier) = parked {
        carrier.finish();
    }
}
