//! Which requests are of Engine.IO, and how each is answered.

use std::{
    future::{poll_fn, ready},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use primus_core::{
    BoxFuture, Head, Mount, Request, Response, Transformer, Upgrade,
    request::{full, status},
};
use primus_http::post;
use tracing::Instrument as _;

use crate::{
    answer::{self, Shape},
    language::{Caller, Language},
    link::Link,
    options::Options,
    plain::Plain,
    protocol::{Asked, Denied, Handshake, Packet, RequestError, Transport, Version},
    receive,
    socket::{self, OnSocket},
    table::Table,
    talk::Talk,
};

/// Engine.IO as a transformer. Its name is that of its [`Language`]; that of plain Engine.IO is `engine.io`.
///
/// ```
/// use primus_core::Transformer as _;
/// use primus_engineio::EngineIo;
///
/// assert_eq!(EngineIo::new().name(), "engine.io");
/// ```
pub struct EngineIo {
    language: Arc<dyn Language>,
    table: Arc<Table>,
}

impl EngineIo {
    /// Plain Engine.IO.
    pub fn new() -> Self {
        Self::speaking(Plain)
    }

    /// Another language over Engine.IO.
    pub fn speaking(language: impl Language) -> Self {
        Self { language: Arc::new(language), table: Arc::default() }
    }
}

impl Default for EngineIo {
    fn default() -> Self {
        Self::new()
    }
}

impl Transformer for EngineIo {
    fn name(&self) -> &'static str {
        self.language.name()
    }

    /// The mount's own path, with or without a slash behind it, where the query is one of Engine.IO; and a GET
    /// that nobody else is asked, so that it learns what is missing.
    fn claims(&self, head: &Head, tail: &str) -> bool {
        if !matches!(tail, "" | "/") {
            return false;
        }
        let query = head.query();
        let ours = ["EIO", "transport"].iter().any(|name| query.get(name).is_some());
        ours || post::is_below(head, tail) && head.method == Method::GET && !head.wants_websocket()
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        let upgrade = request.head.wants_websocket();
        let asked = match Asked::read(&request.head.query()) {
            Ok(asked) => asked,
            Err(error) => return Box::pin(ready(answer::error(error, upgrade))),
        };
        if asked.sid.is_none() {
            return Box::pin(self.handshake(asked, request, mount));
        }
        let link = match self.find(&asked, upgrade, &mount) {
            Ok(link) => link,
            Err(error) => return Box::pin(ready(answer::error(error, upgrade))),
        };
        if upgrade {
            return Box::pin(ready(upgrade_to_socket(link, request)));
        }
        match request.head.method {
            Method::GET => Box::pin(poll(&link, &asked, &request.head)),
            Method::POST => Box::pin(receive::post(link, asked.jsonp.is_some(), request)),
            _ => Box::pin(ready(post::wrong_method("GET, POST"))),
        }
    }
}

impl EngineIo {
    /// The client that a request is of.
    fn find(
        &self,
        asked: &Asked,
        upgrade: bool,
        mount: &Arc<Mount>,
    ) -> Result<Arc<Link>, RequestError> {
        let sid = asked.sid.as_deref().unwrap_or_default();
        let link = self.table.get(sid).filter(|link| Arc::ptr_eq(&link.mount, mount));
        let link = link.ok_or(RequestError::UnknownSid)?;
        if asked.version != Some(link.version)
            || (asked.transport == Transport::WebSocket) != upgrade
        {
            return Err(RequestError::BadRequest);
        }
        Ok(link)
    }

    async fn handshake(
        self: Arc<Self>,
        asked: Asked,
        request: Request,
        mount: Arc<Mount>,
    ) -> Response {
        let Request { head, upgrade, .. } = request;
        let wants = head.wants_websocket();
        let options = mount.settings().options.get::<Options>().cloned().unwrap_or_default();
        let version = match asked.handshake(&head.method, wants, options.version_3) {
            Ok(version) => version,
            Err(error) => return answer::error(error, wants),
        };
        let sid = Table::sid();
        if wants {
            return self.open_socket((sid, version, asked.base64), head, upgrade, mount).await;
        }
        let greeting = match self.language.greet(Caller::new(&head, &mount, version, &sid)).await {
            Ok(greeting) => greeting,
            Err(rejection) => return answer::rejection(&rejection, false),
        };
        let sid = greeting.sid.clone().unwrap_or(sid);
        let link = Link::new(sid, version, asked.base64, mount, &self.table);
        let headers = greeting.headers.clone();
        let first = link.begin(greeting);
        self.table.insert(&link);
        let packets = std::iter::once(open_packet(&link, options.upgrades)).chain(first);
        let shape = Shape::of(&link, &asked, &head);
        let mut response = shape.packets(packets);
        response.headers_mut().extend(headers);
        if let Some(cookie) = options.cookie {
            let cookie = format!("{cookie}={}; Path=/; HttpOnly; SameSite=Lax", link.sid);
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        response
    }

    async fn open_socket(
        &self,
        (sid, version, base64): (Box<str>, Version, bool),
        head: Head,
        upgrade: Option<Upgrade>,
        mount: Arc<Mount>,
    ) -> Response {
        let accepted = primus_websocket::accept(&head, upgrade, None, mount.settings());
        let (mut response, handshake) = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => return *refusal,
        };
        let greeting = match self.language.greet(Caller::new(&head, &mount, version, &sid)).await {
            Ok(greeting) => greeting,
            Err(rejection) => return answer::rejection(&rejection, true),
        };
        let sid = greeting.sid.clone().unwrap_or(sid);
        response.headers_mut().extend(greeting.headers.clone());
        let link = Link::new(sid, version, base64, mount, &self.table);
        link.begin_with_socket();
        self.table.insert_socket(&link);
        let (talk, say) = Talk::new(greeting);
        let client = OnSocket(link);
        let span = tracing::debug_span!("socket", address = ?head.address);
        drop(head);
        let opened = async move {
            let Ok(mut connection) = handshake.connection(client.0.mount.settings()).await else {
                return;
            };
            let wire = client.wire();
            connection.send(&wire.payload(&open_packet(&client.0, false)));
            for message in say {
                connection.send(&wire.payload(&Packet::Message(message)));
            }
            socket::go_on(client, connection, talk).await;
        };
        tokio::spawn(opened.instrument(span));
        response
    }
}

fn open_packet(link: &Link, upgrades: bool) -> Packet {
    let (ping_interval, ping_timeout) = link.mount.heartbeat();
    let max_payload = link.mount.settings().limits.max_message;
    Handshake { sid: &link.sid, upgrades, ping_interval, ping_timeout, max_payload }.packet()
}

/// Answers with a WebSocket that may take over from polling.
fn upgrade_to_socket(link: Arc<Link>, request: Request) -> Response {
    let Request { head, upgrade, .. } = request;
    let settings = link.mount.settings();
    let (response, handshake) = match primus_websocket::accept(&head, upgrade, None, settings) {
        Ok(accepted) => accepted,
        Err(refusal) => return *refusal,
    };
    let free = link.options().upgrades && link.socket();
    let span = tracing::debug_span!("upgrade", address = ?head.address);
    let probed = async move {
        let connection = handshake.connection(link.mount.settings()).await;
        match connection {
            Ok(connection) if free => socket::probe(link, connection).await,
            Ok(connection) => socket::turn_away(&link, connection).await,
            Err(_) if free => link.gave_up(),
            Err(_) => {}
        }
    };
    tokio::spawn(probed.instrument(span));
    response
}

/// Holds a poll until there is something to say. What is held has nothing of the request.
fn poll(
    link: &Arc<Link>,
    asked: &Asked,
    head: &Head,
) -> impl Future<Output = Response> + Send + use<> {
    let shape = Shape::of(link, asked, head);
    let get = link.get();
    async move {
        let get = match get {
            Ok(get) => get,
            Err(denied) => return denial(denied),
        };
        let batch = poll_fn(|cx| match get.link() {
            Some(link) => link.poll(cx),
            None => std::task::Poll::Pending,
        });
        let batch = batch.await;
        get.done();
        shape.batch(batch)
    }
}

/// The answer to a request that may not be.
pub(crate) fn denial(denied: Denied) -> Response {
    match denied {
        Denied::Refused(error) => answer::error(error, false),
        Denied::Overlap => answer::error(RequestError::BadRequest, false),
    }
}

/// The answer to a POST that was taken in.
pub(crate) fn ok() -> Response {
    let mut response = status(StatusCode::OK);
    *response.body_mut() = full(Bytes::from_static(b"ok"));
    let html = HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
