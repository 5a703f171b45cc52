//! Primus as a `tower` service: a layer around an application, or a service of its own.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, ext::Protocol};
use primus_core::{Body, BoxError, BoxFuture, Head, Request as CoreRequest, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    app::App,
    awaited::{Asked, Awaited},
    io::{PeerAddr, upgrade},
};

/// An application behind Primus, for listeners and [`App::attach`]: any cheaply cloned service of
/// hyper's requests that cannot fail, such as axum's `Router`.
pub trait Inner:
    Service<
        Request<Incoming>,
        Response = http::Response<Self::ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, R> Inner for S
where
    S: Service<Request<Incoming>, Response = http::Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type ResponseBody = R;
}

/// Puts Primus in front of a service: what is not ours goes on to it.
#[derive(Clone)]
pub struct PrimusLayer {
    app: App,
}

impl<S> Layer<S> for PrimusLayer {
    type Service = PrimusService<S>;

    fn layer(&self, inner: S) -> PrimusService<S> {
        PrimusService { app: self.app.clone(), inner }
    }
}

/// Primus in front of an inner service.
#[derive(Clone)]
pub struct PrimusService<S> {
    app: App,
    inner: S,
}

/// The inner service where there is none: 404, or what fits better.
pub struct NotFound<B> {
    app: App,
    body: PhantomData<fn(B)>,
}

impl<S> PrimusService<S> {
    pub(crate) fn app(&self) -> &App {
        &self.app
    }
}

impl<B> Clone for NotFound<B> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), body: PhantomData }
    }
}

impl App {
    /// As a layer around an application.
    pub fn layer(&self) -> PrimusLayer {
        PrimusLayer { app: self.clone() }
    }

    /// As a service of its own.
    pub fn service<B>(&self) -> PrimusService<NotFound<B>> {
        self.around(self.nobody())
    }

    pub(crate) fn nobody<B>(&self) -> NotFound<B> {
        NotFound { app: self.clone(), body: PhantomData }
    }

    /// As a service in front of `inner`.
    pub fn around<S>(&self, inner: S) -> PrimusService<S> {
        PrimusService { app: self.clone(), inner }
    }
}

impl<B> Service<Request<B>> for NotFound<B> {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        ready(Ok(self.app.not_found(&take_head(parts).0)))
    }
}

/// A head, and what is left of the request to put it together again.
fn take_head(mut parts: http::request::Parts) -> (Head, http::request::Parts) {
    let peer = parts.extensions.get::<PeerAddr>().copied();
    let mut head = Head::new(std::mem::take(&mut parts.method), std::mem::take(&mut parts.uri));
    head.headers = std::mem::take(&mut parts.headers);
    head.peer = peer.map(|peer| peer.address);
    head.secure = peer.is_some_and(|peer| peer.secure);
    head.address = head.peer.map(|peer| peer.ip().to_canonical());
    head.connect_protocol =
        parts.extensions.get::<Protocol>().map(|protocol| protocol.as_str().into());
    (head, parts)
}

impl<S, B, R> Service<Request<B>> for PrimusService<S>
where
    S: Service<Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let awaited = parts.extensions.remove::<Awaited>();
        let asked = Asked::of(parts.version, &parts.headers);
        let (head, mut parts) = take_head(parts);
        let Some(route) = self.app.route(&head) else {
            (parts.method, parts.uri, parts.headers) = (head.method, head.uri, head.headers);
            let answer = self.inner.call(Request::from_parts(parts, body));
            return Box::pin(async move {
                Ok(answer.await?.map(|body| body.map_err(Into::into).boxed_unsync()))
            });
        };
        let upgrade = head.wants_websocket().then(|| {
            let mut request = Request::from_parts(parts, ());
            upgrade(hyper::upgrade::on(&mut request))
        });
        // Of a HEAD there is nothing to wait for once the head is there.
        let awaited = awaited.filter(|_| upgrade.is_none() && head.method != Method::HEAD);
        let body = body.map_err(Into::into).boxed_unsync();
        let body = awaited.iter().fold(body, |body, awaited| awaited.after(body));
        let request = CoreRequest { head, body, upgrade };
        let answer = self.app.answer(route, request);
        match awaited {
            None => Box::pin(async move { Ok(answer.await) }),
            Some(awaited) => {
                let answer = Box::pin(answer);
                Box::pin(async move { Ok(awaited.answer(asked, answer).await) })
            }
        }
    }
}
