//! Primus in front of a bare hyper application, in an accept loop of one's own. It is mounted at
//! `/`: upgrades, streams, polls and `/primus.js` are its own, everything else goes on to [`App`].

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use primus::{Primus, Spark};
use primus_examples::{Args, bind, listening};
use tower_service::Service;

const ABOUT: &str = "A hyper application with Primus at /.";

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[]);
    let primus = Primus::builder().path("/").build()?;
    primus.on_connection(handle);

    let listener = bind(args.listen()).await?;
    listening(listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        // Small messages are not to wait for more.
        let _ = stream.set_nodelay(true);
        let primus = primus.clone();
        tokio::spawn(async move {
            // A connection that fails is its client's business.
            let _ = primus.attach(stream, peer, App).await;
        });
    }
}

/// Says everything backwards.
async fn handle(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        let text = message.decode::<String>()?;
        spark.write(&text.chars().rev().collect::<String>())?;
    }
    Ok(())
}

/// The application: two routes.
#[derive(Clone)]
struct App;

impl Service<Request<Incoming>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (status, kind, body) = match request.uri().path() {
            "/" => (StatusCode::OK, "text/html; charset=utf-8", include_str!("page.html")),
            "/health" => (StatusCode::OK, "text/plain", "well\n"),
            _ => (StatusCode::NOT_FOUND, "text/plain", "nothing is here\n"),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        ready(Ok(response))
    }
}
