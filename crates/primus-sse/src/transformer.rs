//! Which requests are of this family, and how a stream is opened.

use std::sync::Arc;

use http::{HeaderValue, Method, header};
use http_body_util::BodyExt as _;
use primus_core::{
    Attached, BoxFuture, Carriage, CloseReason, Head, Mount, Opening, Rejection, Request, Response,
    Resume, Secret, Transformer,
};
use primus_http::post::{self, Requests, is_resumable};

use crate::{
    event,
    stream::{Dialect, Events},
};

/// Server-sent events out, POSTs in. Its name is `sse`.
///
/// ```
/// # use std::sync::Arc;
/// use primus_core::{MountSettings, Primus, Settings, transform::Transforms};
/// use primus_sse::Sse;
///
/// let mount = MountSettings::new("/primus");
/// let primus = Primus::new(
///     Settings::default(),
///     Transforms::default(),
///     [(mount, vec![Arc::new(Sse::new()) as Arc<dyn primus_core::Transformer>])],
/// );
/// assert_eq!(primus.mounts()[0].transformers()[0].name(), "sse");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Sse;

impl Sse {
    /// The transformer.
    pub fn new() -> Self {
        Self
    }
}

const NAME: &str = "sse";

impl Transformer for Sse {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        match tail {
            "/sse" => post::is_below(head, tail) || post::reads_or_posts(head),
            "" | "/" if head.method == Method::GET => wants_events(head) && !is_resumable(head),
            _ => post::claims(head, tail),
        }
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let head = &request.head;
            if post::tail(head, &mount) == "/send" {
                return post::send(request, mount).await;
            }
            let opened = match (is_resumable(head), &head.method) {
                (true, &Method::POST) => attach(request, &mount).await,
                (true, _) => return post::wrong_method("POST"),
                (false, &Method::GET) => open_plain(head, &mount).await,
                (false, &Method::POST) => return post::message(NAME, request, mount).await,
                (false, _) => return post::wrong_method("GET, POST"),
            };
            opened.map_or_else(Rejection::into_response, stream)
        })
    }

    fn client_module(&self) -> Option<&'static str> {
        Some(NAME)
    }
}

/// Whether a request to the mount itself is one for its events.
fn wants_events(head: &Head) -> bool {
    let types = head.headers.get_all(header::ACCEPT).iter();
    let mut types =
        types.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let events = |media: &str| {
        let media = media.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("text/event-stream")
    };
    types.any(events) && !head.wants_websocket()
}

/// Attaches; the stream begins with the server's attach frame.
async fn attach(request: Request, mount: &Arc<Mount>) -> Result<Events, Rejection> {
    let Request { head, body, .. } = request;
    let asked = post::attach(&head, body, &mount.settings().limits).await?;
    let Attached { carrier, answer } =
        mount.attach(NAME, &head, asked, Carriage::STREAM, true).await?;
    Requests::keep(carrier.session());
    Ok(Events::new(carrier, Dialect::Resumable, event::line(&answer.to_frame())))
}

/// Opens a session for a reader that cannot answer, or goes on with the one that it had. It is in the
/// rooms that `subscribe` in its query names. A comment makes the headers leave at once.
async fn open_plain(head: &Head, mount: &Arc<Mount>) -> Result<Events, Rejection> {
    let mut lost = None;
    if let Some((token, recv)) = last_event(head) {
        match mount.resume_by_token(NAME, head, token, recv, Carriage::FEED).await? {
            Ok(carrier) => {
                let next = carrier.session().next();
                let dialect = Dialect::Plain { token: token.to_owned(), next };
                return Ok(Events::new(carrier, dialect, event::COMMENT));
            }
            Err(reason) => lost = Some(reason),
        }
    }
    let opening = Opening { resume: Resume::Feed, ..Opening::default() };
    let session = mount.open(NAME, head, opening).await?;
    for (_, room) in head.query().iter().filter(|(name, _)| *name == "subscribe") {
        // Before anything is carried, so that a refusal is a status.
        if let Err(rejection) = session.subscribe(room).await {
            session.end(CloseReason::NORMAL);
            return Err(rejection);
        }
    }
    let carrier = session.attach(Carriage::FEED);
    Requests::keep(&session);
    let token = mount.issue_token(&session).reveal();
    let first = lost.map_or(event::COMMENT, |reason| event::lost(&token, reason));
    let next = session.next();
    Ok(Events::new(carrier, Dialect::Plain { token, next }, first))
}

/// The token and the number in `Last-Event-ID`. What was never an id of ours is like none.
fn last_event(head: &Head) -> Option<(&str, u64)> {
    let (token, number) = head.header("last-event-id")?.split_once('.')?;
    Secret::parse(token)?;
    Some((token, post::number(number)?))
}

/// The answer. It has no `Connection` header, which HTTP/2 forbids.
fn stream(events: Events) -> Response {
    let mut response = Response::new(events.boxed_unsync());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // Tells nginx not to collect the answer before it passes it on.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
