//! A server that does on command what servers do: end, reconnect, refuse. The interop and browser
//! tests drive it.
//!
//! - Messages such as `{"cmd":"end"}` are commands, see [`obey`]; all others are echoed.
//! - `authorize` refuses with the status in `reject`, of `auth` or of the query.
//! - `GET /` is a page that connects, `GET /stats` says what has happened.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use primus::{AuthorizeRequest, Builder, CloseReason, Message, Primus, Rejection, Spark};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_service::Service;

const PAGE: &str = include_str!("../../fixture/page.html");

/// What has happened since the start.
#[derive(Default)]
struct Stats {
    opened: AtomicU64,
    disconnections: AtomicU64,
    messages: AtomicU64,
    authorizations: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut builder = Builder::new();
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match &*name {
            "--listen" => listen = value,
            "--config" => builder = Builder::from_config(value)?,
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    let primus = builder.build()?;
    let stats = Arc::<Stats>::default();
    hook(&primus, &stats);

    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let pages = Pages { primus: primus.clone(), stats };
    loop {
        let (stream, peer) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (primus, pages) = (primus.clone(), pages.clone());
        tokio::spawn(async move { primus.attach(stream, peer, pages).await });
    }
}

fn hook(primus: &Primus, stats: &Arc<Stats>) {
    let own = Arc::clone(stats);
    primus.authorize(move |request| {
        count(&own.authorizations);
        async move { authorize(&request) }
    });
    let own = Arc::clone(stats);
    primus.on_connection(move |spark| handle(spark, Arc::clone(&own)));
    let own = Arc::clone(stats);
    primus.on_disconnection(move |_, _| {
        count(&own.disconnections);
        async {}
    });
}

/// The user is whatever `auth.user` is.
fn authorize(request: &AuthorizeRequest) -> Result<Value, Rejection> {
    let reject = match &request.auth["reject"] {
        Value::Null => request.query("reject"),
        given => Some(given.to_string()),
    };
    match reject {
        None => Ok(request.auth["user"].clone()),
        Some(status) => {
            let status = StatusCode::from_bytes(status.as_bytes());
            Err(Rejection::new(status.unwrap_or(StatusCode::FORBIDDEN), "you may not"))
        }
    }
}

async fn handle(mut spark: Spark, stats: Arc<Stats>) -> primus::Result {
    count(&stats.opened);
    while let Some(message) = spark.next().await {
        count(&stats.messages);
        obey(&spark, message)?;
    }
    Ok(())
}

fn obey(spark: &Spark, message: Message) -> primus::Result {
    let said: Value = message.decode().unwrap_or_default();
    match said["cmd"].as_str() {
        Some("end") => spark.end(CloseReason::ENDED),
        Some("endWith") => drop(spark.end_with(&said["message"])?),
        Some("reconnect") => spark.reconnect(),
        Some("id") => drop(spark.write(&json!({ "id": spark.id().to_string() }))?),
        Some("user") => drop(spark.write(&json!({ "user": spark.user::<Value>() }))?),
        Some("query") => {
            let query: serde_json::Map<String, Value> =
                spark.query().iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            spark.write(&json!({ "query": query }))?;
        }
        _ => drop(spark.write_message(message)?),
    }
    Ok(())
}

/// What is not for Primus.
#[derive(Clone)]
struct Pages {
    primus: Primus,
    stats: Arc<Stats>,
}

impl Service<Request<Incoming>> for Pages {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (status, kind, body) = match request.uri().path() {
            "/" => (200, "text/html; charset=utf-8", PAGE.to_owned()),
            "/stats" => {
                let stats = json!({
                    "opened": get(&self.stats.opened),
                    "connections": self.primus.connected(),
                    "disconnections": get(&self.stats.disconnections),
                    "messages": get(&self.stats.messages),
                    "authorizations": get(&self.stats.authorizations),
                });
                (200, "application/json", stats.to_string())
            }
            _ => (404, "text/plain", "nothing is here\n".to_owned()),
        };
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
        let response = response.body(Full::from(body));
        ready(Ok(response.unwrap_or_else(|error| unreachable!("the parts are valid: {error}"))))
    }
}
