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
    future::{Ready, pending, ready},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use primus::{Message, Primus, Spark, WriteError};
use primus_tests::program;
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::MissedTickBehavior};

/// So that the memory that the soak looks at is what the server uses, and not what glibc's arenas
/// have come to look like.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGE: &str = include_str!("../../fixture/numbers.html");
const SCRIPT: &str = include_str!("../../fixture/numbers.mjs");

/// One client, whatever its sessions: those in which it has spoken.
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

    fn stats(&self, primus: &Primus) -> Value {
        let clients = self.clients();
        let clients: serde_json::Map<String, Value> =
            clients.iter().map(|(name, client)| (name.clone(), client.stats())).collect();
        json!({
            "sessions": primus.sessions(),
            "connected": primus.connected(),
            "kept": primus.kept(),
            "tasks": Handle::current().metrics().num_alive_tasks(),
            "clients": clients,
        })
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
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    let shared = Arc::<Shared>::default();
    hook(&primus, &shared);
    let server = primus.clone();
    let pages = move |path: &str| match path {
        "/" => Some(("text/html; charset=utf-8", PAGE.to_owned())),
        "/numbers.mjs" => Some(("text/javascript; charset=utf-8", SCRIPT.to_owned())),
        "/stats" => Some(("application/json", shared.stats(&server).to_string())),
        "/rest" => {
            shared.resting.store(true, Ordering::Relaxed);
            Some(("text/plain", "resting\n".to_owned()))
        }
        _ => None,
    };
    program::serve(primus, &listen, pages).await
}

fn hook(primus: &Primus, shared: &Arc<Shared>) {
    let own = Arc::clone(shared);
    primus.on_connection(move |spark| handle(spark, Arc::clone(&own)));
    let own = Arc::clone(shared);
    primus.on_detach(move |spark, _| own.count(&spark, |client| &client.detaches));
    let own = Arc::clone(shared);
    primus.on_resume(move |spark| own.count(&spark, |client| &client.resumes));
}

async fn handle(mut spark: Spark, shared: Arc<Shared>) -> primus::Result {
    let Some(client) = shared.client(&spark) else {
        while let Some(message) = spark.next().await {
            spark.write_message(message)?;
        }
        return Ok(());
    };
    // A client that starts several transports, as the first were slow, ends the sessions of all but one unheard.
    let Some(first) = spark.next().await else { return Ok(()) };
    client.take(&first)?;
    client.connections.fetch_add(1, Ordering::Relaxed);
    let number = |name| spark.query().get(name).map(str::parse).transpose();
    let every = Duration::from_millis(number("every")?.unwrap_or(50));
    let burst = number("burst")?.unwrap_or(1);
    let over = tokio::select! {
        over = read(spark.clone(), &client) => over,
        over = write(&spark, &client, &shared, every, burst) => over,
    };
    client.disconnections.fetch_add(1, Ordering::Relaxed);
    over
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
