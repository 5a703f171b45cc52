//! Which requests are of this family, and how each is answered.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use primus_core::{BoxFuture, Head, Mount, Request, Response, Transformer, request::empty};
use primus_http::post;
use tokio::time::sleep;

use crate::{
    face::Face,
    headers::{Common, not_found, preflight, text, typed, wrong_method},
    link::Link,
    options::SockJsOptions,
    pages,
    poll::poll,
    protocol::{
        frame::{self, OPEN, SECOND},
        url::{Target, Transport, target},
    },
    receiver::Receiver,
    send::{self, Form},
    sessions::{Found, Key, Sessions},
    stream::Stream,
    way::{Way, one, script},
    websocket,
};

/// A client whose connection broke may ask again before the break is seen here: who finds another receiver waits so
/// long, and looks once more.
const BREAK_SEEN: Duration = Duration::from_millis(100);

/// The name in configuration.
pub(crate) const NAME: &str = "sockjs";

/// SockJS: `sockjs-client`, and the stock Primus 8 client that uses it. Its name is `sockjs`.
///
/// ```
/// # use std::sync::Arc;
/// use primus_core::{MountSettings, Primus, Settings, transform::Transforms};
/// use primus_sockjs::{SockJs, SockJsOptions};
///
/// let mount = MountSettings::new("/echo");
/// let primus = Primus::new(
///     Settings::default(),
///     Transforms::default(),
///     [(mount, vec![Arc::new(SockJs::new(SockJsOptions::default())) as Arc<dyn primus_core::Transformer>])],
/// );
/// assert_eq!(primus.mounts()[0].transformers()[0].name(), "sockjs");
/// ```
#[derive(Default)]
pub struct SockJs {
    options: SockJsOptions,
    sessions: Arc<Sessions>,
}

impl SockJs {
    /// The transformer.
    pub fn new(options: SockJsOptions) -> Self {
        Self { options, sessions: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// How it has been set.
    pub fn options(&self) -> &SockJsOptions {
        &self.options
    }
}

impl std::fmt::Debug for SockJs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SockJs").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Transformer for SockJs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        let below = post::is_below(head, tail);
        match target(tail) {
            None => false,
            // A WebSocket at the path itself speaks another dialect.
            Some(Target::Greeting) => {
                below && head.method == Method::GET && !head.wants_websocket()
            }
            Some(Target::Nothing) => below,
            Some(_) => true,
        }
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            // In a box of its own: what waits is to have no room for all that may come before.
            let answer = Box::pin(self.answer(request, mount)).await;
            let (receiver, common) = match answer.unwrap_or_else(Answer::Now) {
                Answer::Now(response) => return response,
                Answer::Later(receiver, common) => (receiver, common),
            };
            let content_type = receiver.wrapping.content_type();
            common.put(script(content_type, poll(receiver, self.options.heartbeat).await))
        })
    }

    fn answers_cors(&self) -> bool {
        true
    }
}

/// What a request gets.
enum Answer {
    Now(Response),
    /// The next frame, when there is one.
    Later(Receiver, Common),
}

impl SockJs {
    async fn answer(&self, request: Request, mount: Arc<Mount>) -> Result<Answer, Response> {
        let head = &request.head;
        let tail = post::tail(head, &mount);
        let get = head.method == Method::GET;
        let response = match target(tail) {
            None | Some(Target::Nothing) => not_found(),
            Some(Target::Greeting) if get => pages::greeting(),
            Some(Target::Info) if get => pages::info(head, &self.options),
            Some(Target::Info) => options_or(head, "OPTIONS, GET"),
            Some(Target::Iframe) if get => pages::iframe(head, &self.options),
            Some(Target::Greeting | Target::Iframe) => wrong_method("GET"),
            Some(Target::RawWebsocket) => self.websocket(request, &mount, true).await?,
            Some(Target::Session { transport: Transport::Websocket, .. }) => {
                self.websocket(request, &mount, false).await?
            }
            Some(Target::Session { id, transport }) => {
                let key = Key::new(&mount, id);
                return Ok(self.session(request, mount, key, transport).await);
            }
        };
        Ok(Answer::Now(response))
    }

    async fn websocket(
        &self,
        request: Request,
        mount: &Arc<Mount>,
        raw: bool,
    ) -> Result<Response, Response> {
        let method = &request.head.method;
        if !self.options.websocket {
            Err(not_found())
        } else if *method == Method::GET || *method == Method::CONNECT {
            websocket::open(request, mount, raw).await
        } else {
            Err(wrong_method("GET"))
        }
    }

    /// Answers a request of a session, with the headers that all of them have.
    async fn session(
        &self,
        request: Request,
        mount: Arc<Mount>,
        key: Key,
        transport: Transport,
    ) -> Answer {
        let head = &request.head;
        let (method, methods) = match transport {
            Transport::Xhr | Transport::XhrStreaming | Transport::XhrSend => {
                (Method::POST, "OPTIONS, POST")
            }
            Transport::JsonpSend => (Method::POST, "POST"),
            _ => (Method::GET, "GET"),
        };
        if head.method != method {
            return Answer::Now(options_or(head, methods));
        }
        let page =
            matches!(transport, Transport::Jsonp | Transport::JsonpSend | Transport::HtmlFile);
        let common = Common::of(head, !page, self.options.cookie);
        let answer = match transport {
            Transport::XhrSend | Transport::JsonpSend => {
                self.send(request, &mount, key, transport).await.map(Received::Now)
            }
            _ => self.receive(request, mount, key, transport).await,
        };
        match answer.unwrap_or_else(Received::Now) {
            Received::Now(response) => Answer::Now(common.put(response)),
            Received::Later(receiver) => Answer::Later(receiver, common),
        }
    }

    async fn send(
        &self,
        request: Request,
        mount: &Arc<Mount>,
        key: Key,
        transport: Transport,
    ) -> Result<Response, Response> {
        let jsonp = transport == Transport::JsonpSend;
        let form = if jsonp { Form::Jsonp } else { Form::Xhr };
        send::send(request, form, mount, (Arc::clone(&self.sessions), key)).await?;
        Ok(if jsonp {
            // Some browsers do odd things after an answer without a body.
            text(StatusCode::OK, "ok")
        } else {
            let mut response = text(StatusCode::NO_CONTENT, "");
            *response.body_mut() = empty();
            response
        })
    }

    /// Answers a receiver, or says which one waits.
    async fn receive(
        &self,
        request: Request,
        mount: Arc<Mount>,
        key: Key,
        transport: Transport,
    ) -> Result<Received, Response> {
        let Way { wrapping, prelude } = Way::of(&request.head, transport)
            .map_err(|error| text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let content_type = wrapping.content_type();
        let sessions = &self.sessions;
        let mut found = sessions.find(&key);
        let mut carrier = found.unpark();
        if matches!(found, Found::Open(_)) && carrier.is_none() {
            drop(found);
            sleep(BREAK_SEEN).await;
            found = sessions.find(&key);
            carrier = found.unpark();
        }
        let (carrier, first) = match found {
            Found::Opening => return Ok(Received::Now(one(&wrapping, prelude, SECOND))),
            Found::Ended(reason) => {
                let frame = frame::close(&reason);
                return Ok(Received::Now(one(&wrapping, prelude, &frame)));
            }
            Found::Open(_) => match carrier {
                Some(carrier) => (carrier, None),
                None => return Ok(Received::Now(one(&wrapping, prelude, SECOND))),
            },
            Found::Nothing(opening) => {
                let face = Face::of(&request.head, &*mount.settings().parser);
                let carriage = face.carriage();
                let answers =
                    primus_core::Opening { answers: face.answers(), ..Default::default() };
                let opened = mount.open(NAME, &request.head, answers).await;
                let session = opened.map_err(|no| no.into_response())?;
                session.set_extension(Link::new(face, (Arc::clone(sessions), key.clone())));
                let carrier = session.attach(carriage);
                opening.opened(&session);
                (carrier, Some(wrapping.wrap(OPEN)))
            }
        };
        drop((request, mount));
        let SockJsOptions { response_limit, heartbeat, disconnect_delay, .. } = self.options;
        let owned = (Arc::clone(sessions), key);
        let receiver = Receiver::new(carrier, wrapping, owned, disconnect_delay);
        Ok(match (prelude, first) {
            (Some(prelude), first) => {
                let stream = Stream::new(receiver, (prelude, first), response_limit, heartbeat);
                Received::Now(typed(StatusCode::OK, content_type, stream.boxed_unsync()))
            }
            (None, Some(open)) => {
                receiver.park();
                Received::Now(script(content_type, open))
            }
            (None, None) => Received::Later(receiver),
        })
    }
}

/// What a receiver gets.
enum Received {
    Now(Response),
    /// The next frame, when there is one.
    Later(Receiver),
}

/// The answer to `OPTIONS` where there is one, else that the method is wrong.
fn options_or(head: &Head, methods: &'static str) -> Response {
    if head.method == Method::OPTIONS && methods.starts_with("OPTIONS") {
        preflight(head, methods)
    } else {
        wrong_method(methods)
    }
}
