//! A server that does on command what servers do: end, reconnect, refuse. The interop and browser
//! tests drive it.
//!
//! - Messages such as `{"cmd":"end"}` are commands, see [`obey`]; all others are echoed.
//! - `authorize` refuses with the status in `reject`, of `auth` or of the query.
//! - `GET /` is a page that connects, `GET /stats` says what has happened.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use primus::{
    AuthorizeRequest, CloseReason, FromFn, Kind, Message, Place, Primus, Rejection, Spark,
};
use primus_tests::program;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../fixture/page.html");

/// What has happened since the start.
#[derive(Default)]
struct Stats {
    opened: AtomicU64,
    disconnections: AtomicU64,
    messages: AtomicU64,
    authorizations: AtomicU64,
    /// For Primus, of whatever kind.
    requests: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[tokio::main]
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    let stats = Arc::<Stats>::default();
    hook(&primus, &stats)?;
    let server = primus.clone();
    let pages = move |path: &str| match path {
        "/" => Some(("text/html; charset=utf-8", PAGE.to_owned())),
        "/stats" => Some(("application/json", stats.show(&server).to_string())),
        _ => None,
    };
    program::serve(primus, &listen, pages).await
}

impl Stats {
    fn show(&self, primus: &Primus) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "opened": get(&self.opened),
            "connections": primus.connected(),
            "disconnections": get(&self.disconnections),
            "messages": get(&self.messages),
            "authorizations": get(&self.authorizations),
            "requests": get(&self.requests),
        })
    }
}

fn hook(primus: &Primus, stats: &Arc<Stats>) -> program::Result {
    let own = Arc::clone(stats);
    let requests = FromFn::new(move |_| {
        count(&own.requests);
        None
    });
    primus.middleware().add("requests", Kind::Both, Place::Last, requests)?;
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
    Ok(())
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
