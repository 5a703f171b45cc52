//! Which requests are of this family, and how each is answered.

use std::{
    future::{poll_fn, ready},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{HeaderValue, Method, StatusCode};
use primus_core::{
    Attached, BoxFuture, Carriage, Carrier, CloseReason, Head, Mount, Opening, Rejection, Request,
    Response, Session, Transformer,
};
use primus_http::post::{self, Requests, is_resumable};
use tokio::time::timeout;

use crate::{
    batch::{self, Batch},
    held::Held,
};

/// Held GETs out, POSTs in. Its name is `polling`.
///
/// ```
/// # use std::sync::Arc;
/// use primus_core::{MountSettings, Primus, Settings, transform::Transforms};
/// use primus_polling::Polling;
///
/// let mount = MountSettings::new("/primus");
/// let primus = Primus::new(
///     Settings::default(),
///     Transforms::default(),
///     [(mount, vec![Arc::new(Polling::new()) as Arc<dyn primus_core::Transformer>])],
/// );
/// assert_eq!(primus.mounts()[0].transformers()[0].name(), "polling");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Polling;

impl Polling {
    /// The transformer.
    pub fn new() -> Self {
        Self
    }
}

const NAME: &str = "polling";

impl Transformer for Polling {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        match tail {
            "/poll" => post::is_below(head, tail) || post::reads_or_posts(head),
            _ => post::claims(head, tail),
        }
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        let head = &request.head;
        if post::tail(head, &mount) == "/send" {
            return Box::pin(post::send(request, mount));
        }
        let resumable = is_resumable(head);
        match head.method {
            Method::GET if resumable || post::token(head).is_some() => {
                match poll(head, &mount, resumable) {
                    Ok(polled) => Box::pin(polled),
                    Err(rejection) => Box::pin(ready(answer(Err(rejection)))),
                }
            }
            Method::GET => Box::pin(async move { answer(open_plain(&request.head, &mount).await) }),
            Method::POST if resumable => {
                Box::pin(async move { answer(attach(request, &mount).await) })
            }
            Method::POST => Box::pin(post::message(NAME, request, mount)),
            _ => Box::pin(ready(post::wrong_method("GET, POST"))),
        }
    }

    fn client_module(&self) -> Option<&'static str> {
        Some(NAME)
    }
}

/// An answer, whether granted or refused, that nobody keeps.
fn answer(answer: Result<Response, Rejection>) -> Response {
    let mut response = answer.unwrap_or_else(Rejection::into_response);
    post::no_store(&mut response);
    response
}

/// Attaches. The answer begins with the server's attach frame.
async fn attach(request: Request, mount: &Arc<Mount>) -> Result<Response, Rejection> {
    let Request { head, body, .. } = request;
    let asked = post::attach(&head, body, &mount.settings().limits).await?;
    let Attached { carrier, answer } = mount.attach(NAME, &head, asked, FIRST, true).await?;
    Requests::keep(carrier.session());
    let (held, mut batch) = first_poll(carrier, true);
    batch.lines.insert(0, batch::line(&answer.to_frame()));
    Ok(held.answer(batch))
}

/// Opens a session for a bare client, and tells it the token in a header.
async fn open_plain(head: &Head, mount: &Arc<Mount>) -> Result<Response, Rejection> {
    let session = mount.open(NAME, head, Opening::default()).await?;
    let carrier = session.attach(FIRST);
    Requests::keep(&session);
    let token = mount.issue_token(&session).reveal();
    let (held, batch) = first_poll(carrier, false);
    let mut response = held.answer(batch);
    if let Ok(token) = HeaderValue::try_from(token) {
        response.headers_mut().insert("primus-token", token);
    }
    Ok(response)
}

/// How the request that attaches carries.
const FIRST: Carriage = Carriage { drives: true, ..Carriage::SILENT };

/// Lets the handler begin, or go on, and takes what it has written without waiting for more.
///
/// The handler is polled here and not by a task of its own, so that its first words are in the
/// answer whichever thread is faster. Until the session is parked nobody else polls it.
fn first_poll(carrier: Carrier, resumable: bool) -> (Held, Batch) {
    carrier.run();
    let mut held = Held::new(carrier, resumable);
    let mut nobody = Context::from_waker(Waker::noop());
    let batch = match held.poll(&mut nobody) {
        Poll::Ready(batch) => batch,
        Poll::Pending => Batch::default(),
    };
    (held, batch)
}

/// Holds a poll until there is something to say. What is held has nothing of the request.
fn poll(
    head: &Head,
    mount: &Arc<Mount>,
    resumable: bool,
) -> Result<impl Future<Output = Response> + Send + use<>, Rejection> {
    let (session, generation) = post::find(head, mount)?;
    let recv = if resumable { recv(head)? } else { None };
    let carrier = session.unpark(generation).ok_or_else(|| refusal(&session, generation))?;
    let mut held = Held::new(carrier, resumable);
    if recv.is_some_and(|recv| !held.rewind(recv)) {
        let error = "the messages behind recv cannot be had by a poll; attach anew";
        return Err(Rejection::new(StatusCode::NOT_FOUND, error));
    }
    Ok(async move {
        let patience = session.limits().poll_timeout;
        let Ok(batch) = timeout(patience, poll_fn(|cx| held.poll(cx))).await else {
            return answer(Ok(post::nothing()));
        };
        answer(match &batch.end {
            _ if batch.gone => Err(refusal(&session, generation)),
            Some(reason) if batch.lines.is_empty() => Ok(held.say(ended(reason).into_response())),
            _ => Ok(held.answer(batch)),
        })
    })
}

/// What a poll says that the client has.
fn recv(head: &Head) -> Result<Option<u64>, Rejection> {
    let query = head.query();
    let Some(recv) = query.get("recv") else { return Ok(None) };
    let bad = || {
        let error = "recv is the number of the last message that you have, in decimal; 0 for none";
        Rejection::new(StatusCode::BAD_REQUEST, error)
    };
    post::number(recv).map(Some).ok_or_else(bad)
}

/// Why a session cannot be taken up by who has the token of `generation`.
fn refusal(session: &Session, generation: u64) -> Rejection {
    if let Some(reason) = session.close_reason().filter(|_| session.is_ended()) {
        return ended(&reason);
    }
    let (status, error) = if session.generation() != generation {
        (StatusCode::NOT_FOUND, "another carrier has the session by now; attach anew")
    } else if session.is_detached() {
        (StatusCode::NOT_FOUND, "the session has lost its carrier; attach anew")
    } else if session.transport() != NAME {
        (StatusCode::CONFLICT, "this session has an event stream and is not polled")
    } else {
        (StatusCode::CONFLICT, "another poll of this session is open; have one at a time")
    };
    Rejection::new(status, error)
}

fn ended(reason: &CloseReason) -> Rejection {
    let error = format!("the session has ended ({reason}); open a new one, without a token");
    Rejection::new(StatusCode::NOT_FOUND, error)
}
