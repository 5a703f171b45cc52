//! The pages: ours at `/`, and at `/stock` one that uses the stock client of Socket.IO.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{HeaderValue, Request, header};
use primus::{
    core::{Response, request::full},
    http::{Page, page},
};
use tower_service::Service;

const STOCK: &str = include_str!("page/stock.html");

/// What `npm ci` in `examples/chat` installs. Nothing of it is in this repository, and none of it is needed for our
/// page.
const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/chat/node_modules/socket.io-client/dist/socket.io.min.js"
);

/// In front of the page at `/`.
#[derive(Clone)]
pub(crate) struct Pages(Page);

impl Pages {
    pub(crate) fn new(html: &'static str) -> Self {
        Self(page(html))
    }
}

impl<B> Service<Request<B>> for Pages {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (kind, body) = match request.uri().path() {
            "/stock" => ("text/html; charset=utf-8", STOCK.into()),
            "/stock/socket.io.js" => {
                // Where it is absent the page says so.
                let absent = "window.io = undefined;".to_owned();
                ("text/javascript", std::fs::read_to_string(CLIENT).unwrap_or(absent).into())
            }
            _ => return self.0.call(request),
        };
        let body: bytes::Bytes = body;
        let mut response = Response::new(full(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        ready(Ok(response))
    }
}
