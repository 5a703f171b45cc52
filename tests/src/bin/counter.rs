//! A server that counts: it sends numbered messages to each client, and looks at the numbers of
//! those that it gets. The tests of what survives drive it.
//!
//! - `?client=<name>&every=<ms>`: the client is sent `{"n":1,…}`, `{"n":2,…}` at this pace, with
//!   `&burst=<n>` now and then so many at once, and what it sends is to be numbered in the same way.
//!   The count belongs to the name, not to the session.
//! - Without a name: messages are echoed.
//! - `GET /stats` says what has been counted and what the server holds, `GET /rest` stops all writing,
//!   `GET /` is a page that converses, see `numbers.mjs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::{Ready, pending, ready},
    io::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use primus::{Builder, Message, Primus, Spark, WriteError};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle, time::MissedTickBehavior};
use tower_service::Service;

/// So that the memory that the soak looks at is what the server uses, and not what glibc's arenas
/// have come to look like.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGE: &str = include_str!("../../fixture/numbers.html");
const SCRIPT: &str = include_str!("../../fixture/numbers.mjs");

/// One client, whatever its sessions.
#[derive(Default)]
struct Client {
    connections: AtomicU64,
    detaches: AtomicU64,
    resumes: AtomicU64,
    disconnections: AtomicU64,
    numbers: Mutex<Numbers>,
}

/// The numbers of both directions.
#[derive(Default)]
struct Numbers {
    /// The last that was sent.
    sent: u64,
    /// The highest that has come.
    highest: u64,
    /// Lower ones that have not come.
    missing: BTreeSet<u64>,
    received: u64,
    duplicate: u64,
    disordered: u64,
}

impl Numbers {
    /// Each is to come once, one after the other.
    fn take(&mut self, number: u64) {
        if number > self.highest {
            self.missing.extend(self.highest + 1..number);
            self.highest = number;
        } else if self.missing.remove(&number) {
            self.disordered += 1;
        } else {
            self.duplicate += 1;
            return;
        }
        self.received += 1;
    }
}

impl Client {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the next number. One that is not accepted is not counted.
    fn write(&self, spark: &Spark) -> Result<(), WriteError> {
        let mut numbers = self.numbers();
        let next = numbers.sent + 1;
        spark.write(&json!({ "n": next, "padding": padding(next) }))?;
        numbers.sent = next;
        Ok(())
    }

    fn take(&self, message: &Message) -> primus::Result {
        let value: Value = message.decode()?;
        let number = value["n"].as_u64().ok_or("a message without a number")?;
        self.numbers().take(number);
        Ok(())
    }

    fn stats(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let numbers = self.numbers();
        json!({
            "connections": get(&self.connections),
            "detaches": get(&self.detaches),
            "resumes": get(&self.resumes),
            "disconnections": get(&self.disconnections),
            "sent": numbers.sent,
            "received": numbers.received,
            "duplicate": numbers.duplicate,
            "disordered": numbers.disordered,
        })
    }
}

/// Mostly little, now and then more than one packet, and never one byte a character.
fn padding(number: u64) -> String {
    "é→".repeat(if number.is_multiple_of(10) { 300 } else { 3 })
}

/// What all handlers share.
#[derive(Default)]
struct Shared {
    clients: Mutex<BTreeMap<String, Arc<Client>>>,
    resting: AtomicBool,
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, spark: &Spark) -> Option<Arc<Client>> {
        let name = spark.query().get("client")?;
        Some(Arc::clone(self.clients().entry(name.to_owned()).or_default()))
    }

    /// Counts something that happened to a client.
    fn count(&self, spark: &Spark, counter: impl Fn(&Client) -> &AtomicU64) -> Ready<()> {
        if let Some(client) = self.client(spark) {
            counter(&client).fetch_add(1, Ordering::Relaxed);
        }
        ready(())
    }
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
    let shared = Arc::<Shared>::default();
    hook(&primus, &shared);

    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let pages = Pages { primus: primus.clone(), shared };
    loop {
        let (stream, peer) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (primus, pages) = (primus.clone(), pages.clone());
        tokio::spawn(async move { primus.attach(stream, peer, pages).await });
    }
}

fn hook(primus: &Primus, shared: &Arc<Shared>) {
    let own = Arc::clone(shared);
    primus.on_connection(move |spark| handle(spark, Arc::clone(&own)));
    let own = Arc::clone(shared);
    primus.on_detach(move |spark, _| own.count(&spark, |client| &client.detaches));
    let own = Arc::clone(shared);
    primus.on_resume(move |spark| own.count(&spark, |client| &client.resumes));
    let own = Arc::clone(shared);
    primus.on_disconnection(move |spark, _| own.count(&spark, |client| &client.disconnections));
}

async fn handle(mut spark: Spark, shared: Arc<Shared>) -> primus::Result {
    let Some(client) = shared.client(&spark) else {
        while let Some(message) = spark.next().await {
            spark.write_message(message)?;
        }
        return Ok(());
    };
    client.connections.fetch_add(1, Ordering::Relaxed);
    let number = |name| spark.query().get(name).map(str::parse).transpose();
    let every = Duration::from_millis(number("every")?.unwrap_or(50));
    let burst = number("burst")?.unwrap_or(1);
    tokio::select! {
        over = read(spark.clone(), &client) => over,
        over = write(&spark, &client, &shared, every, burst) => over,
    }
}

async fn read(mut spark: Spark, client: &Client) -> primus::Result {
    while let Some(message) = spark.next().await {
        client.take(&message)?;
    }
    Ok(())
}

async fn write(
    spark: &Spark,
    client: &Client,
    shared: &Shared,
    every: Duration,
    burst: u64,
) -> primus::Result {
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 1_u64.. {
        pace.tick().await;
        if shared.resting.load(Ordering::Relaxed) {
            break;
        }
        for _ in 0..if turn.is_multiple_of(20) { burst } else { 1 } {
            spark.ready().await?;
            client.write(spark)?;
        }
    }
    pending().await
}

/// What is not for Primus.
#[derive(Clone)]
struct Pages {
    primus: Primus,
    shared: Arc<Shared>,
}

impl Pages {
    fn stats(&self) -> Value {
        let clients = self.shared.clients();
        let clients: serde_json::Map<String, Value> =
            clients.iter().map(|(name, client)| (name.clone(), client.stats())).collect();
        json!({
            "sessions": self.primus.sessions(),
            "connected": self.primus.connected(),
            "kept": self.primus.kept(),
            "tasks": Handle::current().metrics().num_alive_tasks(),
            "clients": clients,
        })
    }
}

impl Service<Request<Incoming>> for Pages {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (status, kind, body) = match request.uri().path() {
            "/" => (200, "text/html; charset=utf-8", PAGE.to_owned()),
            "/numbers.mjs" => (200, "text/javascript; charset=utf-8", SCRIPT.to_owned()),
            "/stats" => (200, "application/json", self.stats().to_string()),
            "/rest" => {
                self.shared.resting.store(true, Ordering::Relaxed);
                (200, "text/plain", "resting\n".to_owned())
            }
            _ => (404, "text/plain", "nothing is here\n".to_owned()),
        };
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
        let response = response.body(Full::from(body));
        ready(Ok(response.unwrap_or_else(|error| unreachable!("the parts are valid: {error}"))))
    }
}
