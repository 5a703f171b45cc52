//! Drives a transformer with requests, without a socket.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::{pin::Pin, sync::Arc, task::Context};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use primus_core::{
    Body, BoxError, CloseReason, Head, Mount, MountSettings, Primus, Request, Response, Settings,
    Transformer, request, transform::Transforms,
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// One transformer mounted at `/primus`.
pub struct Server {
    pub primus: Primus,
    transformer: Arc<dyn Transformer>,
}

impl Server {
    pub fn new(transformer: impl Transformer) -> Self {
        Self::with(transformer, Settings::default(), MountSettings::new("/primus"))
    }

    pub fn with(transformer: impl Transformer, settings: Settings, mount: MountSettings) -> Self {
        let transformer: Arc<dyn Transformer> = Arc::new(transformer);
        let mounts = [(mount, vec![Arc::clone(&transformer)])];
        Self { primus: Primus::new(settings, Transforms::default(), mounts), transformer }
    }

    pub fn mount(&self) -> &Arc<Mount> {
        &self.primus.mounts()[0]
    }

    /// Asks what the transformer has to claim.
    pub async fn ask(&self, request: impl Into<Request>) -> Response {
        let request = request.into();
        let tail = request.head.uri.path().strip_prefix("/primus").unwrap();
        assert!(self.transformer.claims(&request.head, tail), "unclaimed: {:?}", request.head);
        Arc::clone(&self.transformer).serve(request, Arc::clone(self.mount())).await
    }

    /// Asks, and has nothing but the status of the answer to look at.
    pub async fn status(&self, request: impl Into<Request>) -> u16 {
        self.ask(request).await.status().as_u16()
    }

    /// Sends a batch for a session.
    pub async fn send(&self, token: &str, batch: impl Into<Bytes>) -> u16 {
        self.status(post("/primus/send?v=2", batch).header("primus-token", token)).await
    }

    /// Reports how each spark ended.
    pub fn disconnections(&self) -> mpsc::Receiver<CloseReason> {
        let (sender, receiver) = mpsc::channel(16);
        self.primus.on_disconnection(move |_, reason| {
            let sender = sender.clone();
            async move { sender.send(reason).await.unwrap() }
        });
        receiver
    }

    /// Echoes what comes, and reports it.
    pub fn echo(&self) -> mpsc::Receiver<String> {
        let (sender, receiver) = mpsc::channel(1024);
        self.primus.on_connection(move |mut spark| {
            let sender = sender.clone();
            async move {
                while let Some(message) = spark.next().await {
                    sender.try_send(format!("{:?}", message.payload()))?;
                    spark.write_message(message)?;
                }
                Ok(())
            }
        });
        receiver
    }
}

/// A request in the making.
pub struct Ask(Request);

impl Ask {
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.0.head.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub fn body(mut self, body: Body) -> Self {
        self.0.body = body;
        self
    }
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        ask.0
    }
}

pub fn ask(method: Method, uri: &str) -> Ask {
    let head = Head::new(method, uri.parse().unwrap());
    Ask(Request { head, body: request::empty(), upgrade: None })
}

pub fn get(uri: &str) -> Ask {
    ask(Method::GET, uri)
}

pub fn post(uri: &str, body: impl Into<Bytes>) -> Ask {
    ask(Method::POST, uri).body(request::full(body))
}

/// The attach frame of a client that comes back.
pub fn come_back(attached: &Value, recv: u64, next: u64, attempt: u64) -> String {
    let session = serde_json::json!({
        "id": attached["id"], "key": attached["key"],
        "generation": attached["generation"], "epoch": attached["epoch"],
    });
    let attach = serde_json::json!({
        "recv": recv, "next": next, "client": 7, "attempt": attempt, "session": session,
    });
    format!("primus::attach::{attach}")
}

/// The attach frame of a client.
pub fn attach(auth: &str) -> String {
    format!(r#"primus::attach::{{"auth":{auth},"client":7}}"#)
}

/// A body that never comes.
pub struct Stalled;

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::Poll::Pending
    }
}

/// A body that comes when it is sent.
pub fn channel() -> (oneshot::Sender<Bytes>, Body) {
    let (sender, receiver) = oneshot::channel();
    (sender, Body::new(Late(receiver)))
}

struct Late(oneshot::Receiver<Bytes>);

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.0.is_terminated() {
            return std::task::Poll::Ready(None);
        }
        Pin::new(&mut self.0).poll(cx).map(|sent| Some(Ok(Frame::data(sent.unwrap()))))
    }
}

/// The whole body of an answer.
pub async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

/// The error that an answer carries.
pub async fn error(response: Response) -> String {
    said(response).await["error"].as_str().unwrap().to_owned()
}

/// The JSON that an answer carries.
pub async fn said(response: Response) -> Value {
    assert_eq!(header(&response, "content-type"), "application/json");
    serde_json::from_str(&text(response).await).unwrap()
}

pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The JSON of a control frame of this kind.
pub fn control(frame: &str, kind: &str) -> Value {
    let json =
        frame.strip_prefix(&format!("primus::{kind}::")).unwrap_or_else(|| panic!("{frame}"));
    serde_json::from_str(json).unwrap()
}

/// The next piece of a body; `None` at its end.
pub async fn piece(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().into()).unwrap())
}

/// Whether a body has nothing to give now.
pub fn is_waiting(body: &mut Body) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    Pin::new(body).poll_frame(&mut cx).is_pending()
}
