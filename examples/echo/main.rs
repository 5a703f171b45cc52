//! Echoes what it gets; a text that begins with `b` goes to everybody on the same mount. Mounted
//! twice: for every client at `/primus`, with JSON, and for plain text and bytes at `/ws`. The event `m` is treated alike: what clients of
//! Socket.IO say are events.
//!
//! ```sh
//! curl -N http://127.0.0.1:8080/primus/sse &
//! curl -d '"breaking news"' http://127.0.0.1:8080/primus
//! ```

use std::{borrow::Cow, num::NonZero, time::Duration};

use axum::{Router, routing::get};
use metrics_exporter_prometheus::PrometheusBuilder;
use mimalloc::MiMalloc;
use primus::{Builder, Flow, Message, Mount, Payload, Spark, Written};
use primus_examples::{Args, CONFIG, Choice, Result, listening};
use serde::Deserialize;
use tokio::runtime;

// A program chooses its allocator, a library does not: small messages come and go all the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ABOUT: &str = "An echo for every client: native at /primus, raw messages at /ws.";
const THREADS: Choice = ("--threads", "N", "worker threads [default: one a core]");
const METRICS: Choice = ("--metrics", "PATH", "serve metrics for Prometheus there");
const UPPER: Choice = ("--upper", "TEXT", "a transform that puts this text in capitals");

fn main() -> Result {
    let args = Args::parse(ABOUT, &[THREADS, CONFIG, METRICS, UPPER]);
    runtime(args.get("--threads"))?.enable_all().build()?.block_on(serve(&args))
}

/// With one thread there is nobody to share work with.
fn runtime(threads: Option<&str>) -> Result<runtime::Builder> {
    let Some(threads) = threads else { return Ok(runtime::Builder::new_multi_thread()) };
    let threads: NonZero<usize> = threads.parse().map_err(|error| format!("--threads: {error}"))?;
    if threads.get() == 1 {
        return Ok(runtime::Builder::new_current_thread());
    }
    let mut runtime = runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads.get());
    Ok(runtime)
}

async fn serve(args: &Args) -> Result {
    // Before the server is built, so that it counts from the first.
    let app = args.get("--metrics").map(metrics).transpose()?.unwrap_or_default();
    let mut builder = match args.get("--config") {
        Some(file) => Builder::from_config(file)?,
        None => Builder::from_env()?,
    };
    if let Some(small) = args.get("--upper").map(str::to_owned) {
        builder = builder.transform_in(move |_, message| {
            if let Some(text) = message.as_text() {
                message.replace_payload(Payload::from(text.replace(&small, &small.to_uppercase())));
            }
            Flow::Pass
        });
    }
    let raw = Mount::new().parser("raw").max_message(16 << 20);
    let primus = builder.mount("/ws", raw).build()?;
    primus.on_connection(echo);
    primus.on("m", echo_event)?;

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve_with(app).await?)
}

/// An application with one page: what Primus counts.
fn metrics(path: &str) -> Result<Router> {
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    let upkeep = prometheus.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep(); // samples of histograms are kept until then
        }
    });
    Ok(Router::new().route(path, get(async move || prometheus.render())))
}

/// A text, which is copied only where its parser has to take it apart.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The handler of both mounts.
async fn echo(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        if answer(&spark, message)? == Written::Pressured {
            // A client that sends and does not read: it has to, before it is answered more.
            spark.ready().await?;
        }
    }
    Ok(())
}

/// What a text is, the mount's parser knows. Nothing waits in here, so a handler that waits holds nothing of it.
fn answer(spark: &Spark, message: Message) -> primus::Result<Written> {
    let text = message.decode::<Text<'_>>();
    if !message.is_binary() && text.is_ok_and(|Text(text)| text.starts_with('b')) {
        spark.mount().write_message(message);
        return Ok(Written::Queued);
    }
    Ok(spark.write_message(message)?)
}

/// The same for the text of an event.
async fn echo_event(spark: Spark, text: String) -> primus::Result {
    if text.starts_with('b') {
        spark.channel().everyone().emit("m", &text)?;
    } else if spark.emit("m", &text)? == Written::Pressured {
        spark.ready().await?;
    }
    Ok(())
}
