//! Which requests are of this family, and how each is answered.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use primus_core::{
    BoxFuture, Head, Mount, Request, Response, Secret, Transformer,
    request::{full, text},
};
use primus_http::post;

use crate::{
    NAME,
    back::{BackChannel, Terms},
    forward,
    graves::Graves,
    headers::{answer, bad, standard, unknown},
    link::Link,
    open::open,
    options::BrowserChannelOptions,
    pages,
    protocol::{
        chunk::list,
        query::{self, Get, QueryError},
    },
};

/// BrowserChannel: npm's `browserchannel`, and the stock Primus 8 client that uses it. Its name is `browserchannel`.
///
/// ```
/// # use std::sync::Arc;
/// use primus_browserchannel::{BrowserChannel, BrowserChannelOptions};
/// use primus_core::{MountSettings, Primus, Settings, transform::Transforms};
///
/// let mount = MountSettings::new("/channel");
/// let transformer = BrowserChannel::new(BrowserChannelOptions::default());
/// let primus = Primus::new(
///     Settings::default(),
///     Transforms::default(),
///     [(mount, vec![Arc::new(transformer) as Arc<dyn primus_core::Transformer>])],
/// );
/// assert_eq!(primus.mounts()[0].transformers()[0].name(), "browserchannel");
/// ```
#[derive(Default)]
pub struct BrowserChannel {
    options: BrowserChannelOptions,
    graves: Arc<Graves>,
}

impl BrowserChannel {
    /// The transformer.
    pub fn new(options: BrowserChannelOptions) -> Self {
        Self { options, graves: Arc::default() }
    }

    /// How it has been set.
    pub fn options(&self) -> &BrowserChannelOptions {
        &self.options
    }
}

impl std::fmt::Debug for BrowserChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrowserChannel").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Transformer for BrowserChannel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        match tail {
            // A mount at `/` leaves them to the application, but where they are clearly ours.
            "/test" | "/bind" => {
                post::is_below(head, tail) || query::version(&head.query()).is_ok()
            }
            "/bcsocket.js" => post::is_below(head, tail) || self.options.script.is_some(),
            _ => false,
        }
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move { self.answer(request, mount).await.unwrap_or_else(|no| no) })
    }
}

impl BrowserChannel {
    async fn answer(&self, request: Request, mount: Arc<Mount>) -> Result<Response, Response> {
        let head = &request.head;
        let get = head.method == Method::GET;
        match post::tail(head, &mount) {
            "/bcsocket.js" if get || head.method == Method::HEAD => {
                return Ok(pages::script(head, &self.options).await);
            }
            "/bcsocket.js" => return Err(wrong_method("GET, HEAD")),
            "/test" if get => return Ok(pages::test(head, &self.options)),
            "/test" => return Err(wrong_method("GET")),
            _ if get || head.method == Method::POST => {}
            _ => return Err(wrong_method("GET, POST")),
        }
        let query = head.query();
        query::version(&query).map_err(|error| bad(head, error))?;
        let sid = query.get("SID").filter(|sid| !sid.is_empty()).map(str::to_owned);
        match sid {
            None if get => Err(bad(head, QueryError::NoSession)),
            None => open(request, mount, &self.options, &self.graves).await,
            Some(sid) if get => self.get(head, &mount, &sid).await,
            Some(sid) => forward::send(request, &mount, &sid).await,
        }
    }

    /// Answers what is bound to a session by `GET`.
    async fn get(&self, head: &Head, mount: &Mount, sid: &str) -> Result<Response, Response> {
        let asked = query::get(&head.query()).map_err(|error| bad(head, error))?;
        let found = mount.by_token(sid);
        let found = found.as_ref().and_then(|(session, _)| Some((session, Link::of(session)?)));
        match asked {
            Get::Terminate { rid, aid } => {
                let (session, link) = found.ok_or_else(|| unknown(head))?;
                if let Some(aid) = aid {
                    link.ack(session, aid).map_err(|error| forward::beyond(head, error))?;
                }
                forward::terminate(Arc::clone(session), rid);
                Ok(standard(text(StatusCode::OK, "")))
            }
            Get::Back { form, domain, once, aid } => {
                let Some(((session, link), sid)) = found.zip(Secret::parse(sid)) else {
                    let rest = self.graves.find(sid, aid).ok_or_else(|| unknown(head))?;
                    let words = list(rest.first, rest.values.iter().map(|value| &**value));
                    let pieces =
                        [form.begin(domain.as_deref()), form.message(&words, true), form.end()];
                    return Ok(answer(form, full(pieces.concat())));
                };
                link.ack(session, aid).map_err(|error| forward::beyond(head, error))?;
                let carriage = link.face().carriage();
                let carrier = session.attach(carriage);
                let BrowserChannelOptions { keep_alive, timeout, .. } = self.options;
                let graves = Arc::clone(&self.graves);
                let terms = Terms { form, once, keep_alive, timeout, sid, graves };
                let body = BackChannel::new(carrier, terms, domain.as_deref());
                Ok(answer(form, body.boxed_unsync()))
            }
        }
    }
}

/// 405, with the methods that would do.
fn wrong_method(allow: &'static str) -> Response {
    let mut response = standard(text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allow}")));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
