//! One page, for servers that need no more than that.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, StatusCode, header};
use primus_core::{
    Response,
    request::{empty, full, status, text},
};
use tower_service::Service;

/// A service that answers `/` with a page, to stand behind Primus. See [`page`].
#[derive(Debug, Clone, Copy)]
pub struct Page {
    html: &'static str,
}

/// Answers `GET /` with `html`, everything else with 404. Examples and first steps need no more;
/// an application that has a router uses that.
///
/// ```
/// let inner = primus_http::page("<!doctype html><script src=/primus/primus.js></script>");
/// ```
pub fn page(html: &'static str) -> Page {
    Page { html }
}

impl<B> Service<Request<B>> for Page {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let readable = matches!(*request.method(), Method::GET | Method::HEAD);
        ready(Ok(match request.uri().path() {
            "/" if readable => {
                let body = if request.method() == Method::HEAD { empty() } else { full(self.html) };
                let mut response = Response::new(body);
                let html = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, html);
                response
            }
            // Browsers ask by themselves, and log a 404 as if the page were broken.
            "/favicon.ico" if readable => status(StatusCode::NO_CONTENT),
            _ => text(StatusCode::NOT_FOUND, "nothing is here\n"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_is_at_the_root_only() {
        let mut page = page("<p>hi</p>");
        for (method, path, expected) in [
            (Method::GET, "/", StatusCode::OK),
            (Method::HEAD, "/", StatusCode::OK),
            (Method::POST, "/", StatusCode::NOT_FOUND),
            (Method::GET, "/favicon.ico", StatusCode::NO_CONTENT),
            (Method::GET, "/x", StatusCode::NOT_FOUND),
        ] {
            let request = Request::builder().method(&method).uri(path).body(()).unwrap();
            let status = page.call(request).await.unwrap().status();
            assert_eq!(status, expected, "{method} {path}");
        }
    }
}
