//! The request that opens a session.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::StatusCode;
use primus_core::{
    Carriage, Carrier, Mount, Opening, Query, Request, Response, Resume, Session, request::full,
};

use crate::{
    NAME,
    face::Face,
    forward::{not_taken, read, refused},
    graves::Graves,
    headers::{answer, bad, refusal, standard},
    link::{Link, Next, NotTaken},
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
    if maps.first > 0 && !maps.maps.is_empty() {
        return Err(not_taken(&head, &NotTaken::Gap(0)));
    }

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
        hear(session, maps);
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

/// What the client said in the same breath. It has a session by now, and would take any answer but the greeting for its
/// end; so what the application has no room for yet waits here, and whatever comes next behind it.
fn hear(session: Arc<Session>, maps: Maps) {
    let mut heard = Box::pin(async move {
        let Some(link) = Link::of(&session) else { return };
        link.take_all(&session, maps).await;
    });
    // Now, so that its turn comes before that of any other request.
    if heard.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(heard);
    }
}
