//! The request that opens a session.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::StatusCode;
use primus_core::{
    Carriage, Carrier, Head, Mount, Opening, Query, Request, Response, Resume, Session,
    request::full,
};
use tokio::time::Instant;

use crate::{
    NAME,
    face::Face,
    forward::{not_taken, read, refused},
    graves::Graves,
    headers::{answer, bad, refusal, standard},
    link::{Link, Next},
    options::BrowserChannelOptions,
    pages::host_prefix,
    protocol::{
        chunk::{Form, chunk, list},
        json::quote,
        maps::Maps,
        query,
    },
};

/// How the request that opens carries: the handler's first words are in its answer, whichever thread is faster.
const FIRST: Carriage = Carriage { drives: true, ..Carriage::SILENT };

/// Opens a session. Of a request that is wrong nothing is left.
pub(crate) async fn open(
    request: Request,
    mount: Arc<Mount>,
    options: &BrowserChannelOptions,
    graves: &Graves,
) -> Result<Response, Response> {
    let Request { head, body, .. } = request;
    let query = head.query();
    let rid = query::number(&query, "RID").map_err(|error| bad(&head, error))?;
    let limits = &mount.settings().limits;
    let maps = read(&head, body, limits).await?.map_err(|error| refused(&head, &error, true))?;

    let face = Face::of(mount.settings(), &query, options.primus);
    let plain = face.is_plain();
    let opening =
        Opening { resume: Resume::Acknowledged, answers: face.answers(), ..Opening::default() };
    let opened = mount.open(NAME, &head, opening).await;
    let session = opened.map_err(|no| standard(no.into_response()))?;
    let sid = mount.issue_token(&session);
    let prefix = host_prefix(options).map_or_else(|| "null".to_owned(), |prefix| quote(&prefix));
    let hello = format!("[\"c\",{},{prefix},8]", quote(&sid.reveal()));
    session.set_extension(Link::new(face, rid, hello.into()));
    replace(&query, &mount);

    let mut carrier = session.attach(FIRST);
    carrier.run();
    let (first, values, ended) = first_words(&mut carrier);
    if ended {
        let silent = plain && values.len() == 2; // the greeting, and that it is over
        carrier.finish();
        if silent {
            return Err(refusal(&head, StatusCode::FORBIDDEN, "Forbidden"));
        }
        graves.bury(sid, (first, values.clone()));
    } else {
        carrier.park(options.timeout);
    }
    let text = list(first, values.iter().map(|value| &**value));
    if !ended {
        hear(&head, &session, maps).await?;
    }
    Ok(answer(Form::Xhr, full(chunk(&text))))
}

/// What the handler has said without waiting, and whether it has ended the session.
fn first_words(carrier: &mut Carrier) -> (u64, Vec<Bytes>, bool) {
    let session = Arc::clone(carrier.session());
    let mut values = Vec::new();
    let Some(link) = Link::of(&session) else { return (0, values, true) };
    link.begin(carrier);
    let mut nobody = Context::from_waker(Waker::noop());
    while let Poll::Ready(Next::Arrays(_, more)) = link.poll_next(carrier, &mut nobody) {
        values.extend(more);
    }
    link.closed(carrier.generation());
    (0, values, link.has_ended())
}

/// The client had another session, which it has given up.
fn replace(query: &Query, mount: &Mount) {
    let Some((old, _)) = query.get("OSID").and_then(|sid| mount.by_token(sid)) else {
        return;
    };
    let Some(link) = Link::of(&old) else { return };
    if let Ok(Some(aid)) = query::optional(query, "OAID") {
        let _ = link.ack(&old, aid);
    }
    old.left(old.generation());
}

/// What the client said in the same breath.
async fn hear(head: &Head, session: &Arc<Session>, maps: Maps) -> Result<(), Response> {
    let Some(link) = Link::of(session) else { return Ok(()) };
    let deadline = Instant::now() + session.limits().body_timeout;
    let taken = link.take(session, deadline, maps).await;
    taken.map_err(|error| not_taken(head, &error))
}
