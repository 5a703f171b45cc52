//! A whole conversation in one POST: a spark is made, hears what the body says and nothing more,
//! and what its handler writes is the answer (docs/protocol.md §8).

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use primus_core::{
    Carriage, Carrier, CloseReason, Mount, Opening, Payload, Rejection, Request, Response, Session,
    Work, request::text,
};
use tokio::time::{Instant, timeout};

use super::{body::read_messages, no_store, nothing, offer, plain_line};

/// How long the handler may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a session in the name of `transformer` for the time of this request.
pub(super) async fn converse(
    transformer: &'static str,
    request: Request,
    mount: &Arc<Mount>,
) -> Result<Response, Rejection> {
    let Request { head, body, .. } = request;
    // First the body: a session that exists is carried from then on, and never waits for one.
    let messages = read_messages(&head, body, &mount.settings().limits).await?;
    let session = mount.open(transformer, &head, Opening::default()).await?;
    let mut carrier = session.attach(Carriage::SILENT);

    let mut said = Vec::new();
    let talk = async { tokio::join!(hear(&session, messages), listen(&mut carrier, &mut said)).1 };
    let reason = timeout(PATIENCE, talk).await.unwrap_or(CloseReason::NORMAL);
    session.end(reason.clone()); // unless it has
    carrier.finish();

    if said.is_empty() && reason.code() == CloseReason::HANDLER_FAILED.code() {
        let error = "the application failed; what it says of it is in the server's log";
        return Err(Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, error));
    }
    let mut response = if said.is_empty() { nothing() } else { text(StatusCode::OK, said) };
    no_store(&mut response);
    Ok(response)
}

async fn hear(session: &Arc<Session>, messages: Vec<Payload>) {
    let deadline = Instant::now() + PATIENCE;
    for message in messages {
        if offer::deliver(session, deadline, message).await.is_err() {
            break; // it has ended, or is about to be given up
        }
    }
    session.end_input();
}

/// Collects what is written, as far as one outbox would hold it.
async fn listen(carrier: &mut Carrier, said: &mut Vec<u8>) -> CloseReason {
    let session = Arc::clone(carrier.session());
    let (limits, parser) = (session.limits(), &*session.mount().settings().parser);
    let most = limits.max_queued.max(limits.max_message);
    loop {
        match carrier.work().await {
            Work::Message(message) => {
                said.extend_from_slice(&plain_line(message.envelope(), parser));
            }
            Work::Ping => {}
            Work::End(reason) => return reason,
            Work::Gone => return CloseReason::GOING_AWAY,
        }
        if said.len() > most {
            return CloseReason::TOO_SLOW;
        }
    }
}
