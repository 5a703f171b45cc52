//! What the programs of the tests have in common: their arguments, and an accept loop with some pages
//! behind Primus.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io::Write as _,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use primus::{Builder, Primus};
use tokio::net::TcpListener;
use tower_service::Service;

/// What every program of the tests returns.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A page: its content type and its text.
pub type Page = (&'static str, String);

/// A server with the configuration of `--config FILE`, or that of the environment alone, and the address of `--listen`.
///
/// # Errors
/// When the arguments or the configuration are wrong.
pub fn from_args() -> Result<(Primus, String)> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut builder = Builder::from_env()?;
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match &*name {
            "--listen" => listen = value,
            "--config" => builder = Builder::from_config(value)?,
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    Ok((builder.build()?, listen))
}

/// Says where it listens, and accepts for ever. `pages` are behind Primus, by their paths.
///
/// # Errors
/// When it cannot listen or accept.
pub async fn serve(
    primus: Primus,
    listen: &str,
    pages: impl Fn(&str) -> Option<Page> + Clone + Send + Sync + 'static,
) -> Result {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (primus, pages) = (primus.clone(), Pages(pages.clone()));
        tokio::spawn(async move { primus.attach(stream, peer, pages).await });
    }
}

/// What is not for Primus.
#[derive(Clone)]
struct Pages<F>(F);

impl<F: Fn(&str) -> Option<Page>> Service<Request<Incoming>> for Pages<F> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (status, kind, body) = match self.0(request.uri().path()) {
            Some((kind, body)) => (200, kind, body),
            None => (404, "text/plain", "nothing is here\n".to_owned()),
        };
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
        let response = response.body(Full::from(body));
        ready(Ok(response.unwrap_or_else(|error| unreachable!("the parts are valid: {error}"))))
    }
}
