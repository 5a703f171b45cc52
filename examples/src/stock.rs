//! Pages with stock clients of others. None of those is in this repository: `cargo xtask stock` fetches them.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    path::PathBuf,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, StatusCode, header};
use primus::{
    core::{
        Response,
        request::{full, text},
    },
    http::{Page, page},
};
use tower_service::Service;

use crate::Choice;

/// For the examples whose pages have stock clients.
pub const FOLDER: Choice =
    ("--stock", "DIR", "where the stock clients are [default: what cargo xtask stock fetches]");

const FETCHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node_modules");

/// The stock clients below `/stock/`, and where their packages have them.
const CLIENTS: &[(&str, &str)] = &[
    ("/stock/bcsocket.js", "browserchannel/dist/bcsocket.js"),
    ("/stock/faye.js", "faye/client/faye-browser-min.js"),
    ("/stock/socket.io.js", "socket.io-client/dist/socket.io.min.js"),
    ("/stock/sockjs.js", "sockjs-client/dist/sockjs.min.js"),
];

/// A page at `/`, and the stock clients. One that has not been fetched is 404.
#[derive(Clone)]
pub struct Pages {
    page: Page,
    more: &'static [(&'static str, &'static str)],
    folder: PathBuf,
}

impl Pages {
    /// With the stock clients of this folder, or of the one into which they are fetched.
    pub fn new(html: &'static str, folder: Option<&str>) -> Self {
        Self { page: page(html), more: &[], folder: folder.unwrap_or(FETCHED).into() }
    }

    /// More pages, each with its path.
    pub fn with(self, more: &'static [(&'static str, &'static str)]) -> Self {
        Self { more, ..self }
    }

    fn find(&self, path: &str) -> Option<Response> {
        if let Some((_, html)) = self.more.iter().find(|(at, _)| *at == path) {
            return Some(answer("text/html; charset=utf-8", *html));
        }
        let (_, file) = CLIENTS.iter().find(|(at, _)| *at == path)?;
        Some(match std::fs::read_to_string(self.folder.join(file)) {
            Ok(script) => answer("text/javascript; charset=utf-8", script),
            Err(_) => text(StatusCode::NOT_FOUND, "run cargo xtask stock, which fetches it\n"),
        })
    }
}

fn answer(kind: &'static str, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(full(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

impl<B> Service<Request<B>> for Pages {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.find(request.uri().path()) {
            Some(response) => ready(Ok(response)),
            None => self.page.call(request),
        }
    }
}
