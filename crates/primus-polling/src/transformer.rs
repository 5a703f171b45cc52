//! Which requests are of this family, and how each is answered.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use primus_core::{
    BoxFuture, Carriage, Carrier, CloseReason, Head, Mount, Opening, Rejection, Request, Response,
    Session, Transformer, native::ServerAttach, request::text,
};
use primus_http::post::{self, Requests, is_resumable};
use tokio::time::timeout;

use crate::{
    batch::{self, Batch},
    farewell::Farewell,
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

/// How long a bare client may take between two requests, at least, beyond the heartbeat's timeout.
const TYPING: Duration = Duration::from_secs(30);

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
        Box::pin(async move {
            let head = &request.head;
            if post::tail(head, &mount) == "/send" {
                return post::send(request, mount).await;
            }
            let resumable = is_resumable(head);
            let answer = match head.method {
                Method::GET if resumable || post::token(head).is_some() => {
                    poll(head, &mount, resumable).await
                }
                Method::GET => open_plain(head, &mount).await,
                Method::POST if resumable => attach(request, &mount).await,
                Method::POST => return post::message(NAME, request, mount).await,
                _ => return post::wrong_method("GET, POST"),
            };
            let mut response = answer.unwrap_or_else(Rejection::into_response);
            post::no_store(&mut response);
            response
        })
    }

    fn client_module(&self) -> Option<&'static str> {
        Some(NAME)
    }
}

/// A carrier for the time of one request. However the request ends, the session is parked.
struct Held {
    carrier: Option<Carrier>,
    resumable: bool,
}

impl Held {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Batch> {
        match &mut self.carrier {
            Some(carrier) => Batch::poll(carrier, self.resumable, cx),
            None => Poll::Ready(Batch { gone: true, ..Batch::default() }),
        }
    }

    /// The answer to a request that has found this. The end takes the carrier with it.
    fn answer(mut self, batch: Batch) -> Response {
        let end = batch.end.is_some();
        let response = text(StatusCode::OK, batch.into_body());
        match self.carrier.take_if(|_| end) {
            Some(carrier) => response.map(|body| Farewell::new(body, carrier).boxed_unsync()),
            None => response,
        }
    }

    /// As [`answer`](Self::answer), where the dialect has no word for the end and nothing else is
    /// to be said.
    fn refuse(mut self, reason: &CloseReason) -> Response {
        let response = ended(reason).into_response();
        match self.carrier.take() {
            Some(carrier) => response.map(|body| Farewell::new(body, carrier).boxed_unsync()),
            None => response,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            let (interval, timeout) = carrier.session().mount().heartbeat();
            // Our client comes back at once. Who types curl commands is given more time.
            let interval = if self.resumable { Duration::ZERO } else { interval.max(TYPING) };
            carrier.park((interval + timeout).max(Duration::from_millis(100)));
        }
    }
}

/// Opens a resumable session. The answer begins with the server's attach frame.
async fn attach(request: Request, mount: &Arc<Mount>) -> Result<Response, Rejection> {
    let Request { head, body, .. } = request;
    let mut asked = post::attach(&head, body, &mount.settings().limits).await?;
    let opening = Opening { auth: asked.auth.take(), ..Opening::default() };
    let session = mount.open(NAME, &head, opening).await?;
    mount.issue_token(&session);
    let (held, mut batch) = first_poll(&session, true).await;
    let generation = session.extension().map_or(1, Requests::generation);
    let frame = ServerAttach::new(&session, generation, &asked).to_frame();
    batch.lines.insert(0, batch::line(&frame));
    let response = held.answer(batch);
    session.run(); // what woke the handler while it was held
    Ok(response)
}

/// Opens a session for a bare client, and tells it the token in a header.
async fn open_plain(head: &Head, mount: &Arc<Mount>) -> Result<Response, Rejection> {
    let session = mount.open(NAME, head, Opening::default()).await?;
    let token = mount.issue_token(&session).reveal();
    let (held, batch) = first_poll(&session, false).await;
    let mut response = held.answer(batch);
    session.run();
    if let Ok(token) = HeaderValue::try_from(token) {
        response.headers_mut().insert("primus-token", token);
    }
    Ok(response)
}

/// Attaches, lets the handler begin, and takes what it has written without waiting for more.
///
/// The handler is polled here and not by a task of its own, so that its first words are in the
/// answer whichever thread is faster. Who calls this has to call [`Session::run`] once the
/// session is parked: until then nobody else polls the handler.
async fn first_poll(session: &Arc<Session>, resumable: bool) -> (Held, Batch) {
    let carrier = session.attach(Carriage { drives: true, ..Carriage::SILENT });
    session.set_extension(Requests::new(carrier.generation()));
    carrier.run();
    let mut held = Held { carrier: Some(carrier), resumable };
    let batch = poll_fn(|cx| match held.poll(cx) {
        Poll::Pending => Poll::Ready(Batch::default()),
        ready => ready,
    });
    let batch = batch.await;
    (held, batch)
}

/// Holds a poll until there is something to say.
async fn poll(head: &Head, mount: &Arc<Mount>, resumable: bool) -> Result<Response, Rejection> {
    let session = post::find(head, mount)?;
    let requests = session.extension::<Requests>();
    let carrier = requests.and_then(|requests| session.unpark(requests.generation()));
    let mut held = match carrier {
        Some(carrier) => Held { carrier: Some(carrier), resumable },
        None => return Err(refusal(&session)),
    };
    let patience = session.limits().poll_timeout;
    let Ok(batch) = timeout(patience, poll_fn(|cx| held.poll(cx))).await else {
        return Ok(post::nothing());
    };
    match &batch.end {
        _ if batch.gone => Err(refusal(&session)),
        Some(reason) if batch.lines.is_empty() => Ok(held.refuse(reason)),
        _ => Ok(held.answer(batch)),
    }
}

/// Why a session cannot be taken up.
fn refusal(session: &Session) -> Rejection {
    if session.handshake().transformer() != NAME {
        let error = "this session has an event stream and is not polled";
        return Rejection::new(StatusCode::CONFLICT, error);
    }
    match session.close_reason() {
        Some(reason) => ended(&reason),
        None => {
            let error = "another poll of this session is open; have one at a time";
            Rejection::new(StatusCode::CONFLICT, error)
        }
    }
}

fn ended(reason: &CloseReason) -> Rejection {
    let error = format!("the session has ended ({reason}); open a new one, without a token");
    Rejection::new(StatusCode::NOT_FOUND, error)
}
