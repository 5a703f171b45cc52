//! Which requests are of this family, and how each is answered.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, header};
use http_body_util::BodyExt as _;
use primus_core::{BoxFuture, Head, Mount, Query, Request, Response, Transformer};
use primus_http::{
    cors,
    post::{self, Bound},
};
use tokio::time::timeout;

use crate::{
    asker::Asker,
    headers::{allow, bad_request, messages, preflight, typed},
    line::{Line, Told},
    options::BayeuxOptions,
    process::{Answered, Connect, Peer, find, is_streamed, streamed},
    protocol::{callback::Callback, channel, message},
    stream::Stream,
    websocket,
};

/// The name in configuration.
pub(crate) const NAME: &str = "bayeux";

/// Beyond the largest message: what stands around it, and short ones beside it.
const OVERHEAD: usize = 64 << 10;

/// Bayeux, for clients such as npm's `faye`. Its name is `bayeux`.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// use primus_core::Transformer;
/// use primus_bayeux::{Bayeux, BayeuxOptions};
///
/// let bayeux = Bayeux::new(BayeuxOptions::default());
/// assert_eq!(bayeux.wider_rooms("/prices/ACME"), ["/prices/*", "/prices/**", "/**"]);
/// ```
#[derive(Debug, Default)]
pub struct Bayeux {
    options: BayeuxOptions,
}

impl Bayeux {
    /// The transformer.
    pub fn new(options: BayeuxOptions) -> Self {
        Self { options }
    }
}

impl Transformer for Bayeux {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        if head.wants_websocket() {
            return true;
        }
        // Clients may add words to the path.
        let below = post::is_below(head, tail);
        let has_messages = || head.method == Method::GET && is_message(head) || is_stream(head);
        below || head.method == Method::POST || has_messages()
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let options = self.options.clone();
            let Request { head, body, upgrade } = request;
            if head.wants_websocket() {
                return websocket::open(head, mount, options, upgrade).unwrap_or_else(|no| *no);
            }
            if head.method == Method::OPTIONS {
                return preflight(&head);
            }
            if is_stream(&head) {
                return stream(&head, &mount, &options);
            }
            let (text, callback) = if head.method == Method::GET {
                let query = head.query();
                let callback = query.get("jsonp").map_or(Some(Callback::default()), Callback::read);
                match (query.get("message"), callback) {
                    (Some(text), Some(callback)) => (text.to_owned(), Some(callback)),
                    _ => return bad_request(&head),
                }
            } else if head.method == Method::POST {
                match Box::pin(read(&head, &mount, body)).await {
                    Ok(text) => (text, None),
                    Err(no) => return *no,
                }
            } else {
                return post::wrong_method("GET, POST, OPTIONS");
            };
            let Ok(read) = message::read(&text) else { return bad_request(&head) };
            drop(text);
            let page = cors::page(&head);
            // Nothing else of the request is there while a connect is held.
            let peer = Peer { asker: Asker::Request(Box::new(head)), mount, options };
            let answered = Box::pin(async move { peer.process(read).await }).await;
            let json = wait(answered, self.options.patience()).await;
            messages(page, callback.as_ref(), json)
        })
    }

    fn answers_cors(&self) -> bool {
        true
    }

    fn wider_rooms(&self, name: &str) -> Vec<String> {
        channel::patterns(name)
    }
}

fn is_message(head: &Head) -> bool {
    head.query().get("message").is_some()
}

/// An event stream is asked for.
fn is_stream(head: &Head) -> bool {
    let accepts = head.header(header::ACCEPT).unwrap_or_default();
    head.method == Method::GET
        && accepts.split(',').any(|one| one.trim().starts_with("text/event-stream"))
}

/// Reads the messages that are posted: JSON, or a form. Clients post forms without a word about it, or as plain text,
/// which a page may do to another origin without asking first.
async fn read(
    head: &Head,
    mount: &Mount,
    body: primus_core::Body,
) -> Result<String, Box<Response>> {
    let content_type = head.header(header::CONTENT_TYPE).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let form = media != "application/json";
    let limits = &mount.settings().limits;
    // A form has three bytes for one at worst.
    let factor = if form { 3 } else { 1 };
    let bytes = limits.max_message.saturating_mul(factor).saturating_add(OVERHEAD);
    let bound = Bound { bytes, limit: "max_message", within: limits.body_timeout };
    let refused = |mut response: Response| {
        allow(head, &mut response);
        Box::new(response)
    };
    let body = post::read(head, body, bound).await.map_err(|no| refused(no.into_response()))?;
    let bad = || Box::new(bad_request(head));
    let text = std::str::from_utf8(&body).map_err(|_| bad())?;
    if form && !text.trim_start().starts_with(['[', '{']) {
        Query::parse(text).get("message").map(str::to_owned).ok_or_else(bad)
    } else {
        Ok(text.to_owned())
    }
}

/// Holds a connect until there is something to tell, and makes the answer to all.
async fn wait(answered: Answered, patience: Duration) -> String {
    let Answered { replies, connect } = answered;
    let mut answer: Vec<Bytes> = replies.into_iter().map(Bytes::from).collect();
    if let Some(connect) = connect {
        // Who has just opened a stream may still connect as before, and waits for nothing. A stream that lost its session
        // by that would be opened anew, seconds later.
        let told = if connect.wait.is_zero() && is_streamed(&connect.session, patience) {
            None
        } else {
            let mut line = Line::attach(&connect.session, patience);
            timeout(connect.wait, line.next()).await.ok()
        };
        let (reply, events) = answer_connect(*connect, told);
        answer.push(reply.into());
        answer.extend(events);
    }
    array(&answer)
}

/// The reply to a connect, and what follows it.
pub(crate) fn answer_connect(connect: Connect, told: Option<Told>) -> (String, Vec<Bytes>) {
    match told {
        Some(Told::Events(events)) => (connect.end(None), events),
        Some(Told::End(reason)) => (connect.end(Some(&reason)), Vec::new()),
        Some(Told::Elsewhere) | None => (connect.end(None), Vec::new()),
    }
}

/// Messages as an array.
pub(crate) fn array(messages: &[Bytes]) -> String {
    let texts: Vec<_> = messages.iter().map(|message| String::from_utf8_lossy(message)).collect();
    format!("[{}]", texts.join(","))
}

/// The events of a client, whose id is the last word of the path.
fn stream(head: &Head, mount: &Mount, options: &BayeuxOptions) -> Response {
    let client = head.uri.path().rsplit('/').next().unwrap_or_default();
    let Some(session) = find(mount, client) else {
        let mut response = post::nothing();
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        allow(head, &mut response);
        return response;
    };
    let line = Line::attach(&session, options.patience());
    streamed(&session);
    let body = Stream::new(line, client.to_owned()).boxed_unsync();
    let mut response = typed("text/event-stream; charset=utf-8", body);
    allow(head, &mut response);
    response
}
