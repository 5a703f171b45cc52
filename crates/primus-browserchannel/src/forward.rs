//! The forward channel: what clients send, and how far they have received.

use std::sync::Arc;

use http::{StatusCode, header};
use primus_core::{Body, Head, Limits, Mount, Request, Response, Session, request::full};
use primus_http::post::{self, Bound};
use tokio::time::Instant;

use crate::{
    headers::{answer, bad, refusal, standard, unknown},
    link::{Link, NoTurn, NotTaken, invalid_json},
    protocol::{
        arrays::Beyond,
        chunk::{Form, chunk},
        maps::{Maps, MapsError},
        query,
    },
};

/// What a form makes of the worst byte: `\u0000` in JSON is `%5Cu0000`.
const WORST: usize = 8;
/// Beyond that: names, and short maps beside a long one.
const OVERHEAD: usize = 64 << 10;

/// Reads the maps of a body. The inner error is about what is in it.
pub(crate) async fn read(
    head: &Head,
    body: Body,
    limits: &Limits,
) -> Result<Result<Maps, MapsError>, Response> {
    let bytes = limits.max_message.saturating_mul(WORST).saturating_add(OVERHEAD);
    let bound = Bound { bytes, limit: "max_message", within: limits.body_timeout };
    let body = post::read(head, body, bound).await;
    let body = body.map_err(|no| standard(no.into_response()))?;
    let media = head.header(header::CONTENT_TYPE).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let is_json = media.eq_ignore_ascii_case("application/json");
    Ok(Maps::read(&body, is_json, limits.max_message))
}

/// What is wrong with maps. `opening`: they came with the request for a session.
pub(crate) fn refused(head: &Head, error: &MapsError, opening: bool) -> Response {
    let status = match error {
        MapsError::TooBig(_) | MapsError::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
        MapsError::Json if opening => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    refusal(head, status, &error.to_string())
}

pub(crate) fn not_taken(head: &Head, error: &NotTaken) -> Response {
    match error {
        NotTaken::Gap(next) => {
            let error = format!("Bad data: maps are missing before these; the next is {next}");
            refusal(head, StatusCode::BAD_REQUEST, &error)
        }
        NotTaken::Full => {
            let error = "the application is behind; send less at once, or later";
            refusal(head, StatusCode::TOO_MANY_REQUESTS, error)
        }
        NotTaken::Ended => unknown(head),
    }
}

fn no_turn(head: &Head, error: &NoTurn) -> Response {
    let (status, error) = match error {
        NoTurn::Crowded => {
            (StatusCode::TOO_MANY_REQUESTS, "too many requests of this session at once".to_owned())
        }
        NoTurn::Far(next) => (StatusCode::BAD_REQUEST, format!("Bad RID: the next is {next}")),
        NoTurn::Missing(next) => {
            (StatusCode::BAD_REQUEST, format!("Bad RID: request {next} has not come"))
        }
    };
    refusal(head, status, &error)
}

/// Takes maps for a session.
pub(crate) async fn send(request: Request, mount: &Mount, sid: &str) -> Result<Response, Response> {
    let Request { head, body, .. } = request;
    let query = head.query();
    let rid = query::number(&query, "RID").map_err(|error| bad(&head, error))?;
    let aid = query::optional(&query, "AID").map_err(|error| bad(&head, error))?;
    let Some((session, _)) = mount.by_token(sid) else { return Err(unknown(&head)) };
    let Some(link) = Link::of(&session) else { return Err(unknown(&head)) };
    let deadline = Instant::now() + session.limits().body_timeout;

    let _counted = link.count(rid).map_err(|error| no_turn(&head, &error))?;
    session.seen();
    if let Some(aid) = aid {
        link.ack(&session, aid).map_err(|error| beyond(&head, error))?;
    }
    let maps = read(&head, body, session.limits()).await?.map_err(|error| {
        if error == MapsError::Json {
            session.end_by(session.generation(), invalid_json());
        }
        refused(&head, &error, false)
    })?;
    link.turn(rid, deadline).await.map_err(|error| no_turn(&head, &error))?;
    session.seen();
    let taken = link.take(&session, deadline, maps).await;
    taken.map_err(|error| not_taken(&head, &error))?;
    link.served(rid);
    Ok(answer(Form::Xhr, full(chunk(&link.status()))))
}

pub(crate) fn beyond(head: &Head, error: Beyond) -> Response {
    refusal(head, StatusCode::BAD_REQUEST, &error.to_string())
}

/// The client ends the session, as soon as what it sent before has come. It waits for no answer.
pub(crate) fn terminate(session: Arc<Session>, rid: u64) {
    tokio::spawn(async move {
        let Some(link) = Link::of(&session) else { return };
        let Ok(_counted) = link.count(rid) else { return };
        let deadline = Instant::now() + session.limits().body_timeout;
        // Without an answer there is nothing else to be done for who left something out.
        let _ = link.turn(rid, deadline).await;
        // Behind what is being taken.
        let _ = link.take(&session, deadline, Maps::default()).await;
        session.left(session.generation());
    });
}
