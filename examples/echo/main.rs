//! Echoes what it gets; a text that begins with `b` goes to everybody on the same mount. Mounted
//! twice: for every client at `/primus`, with JSON, and for plain text and bytes at `/ws`.
//!
//! ```sh
//! curl -N http://127.0.0.1:8080/primus/sse &
//! curl -d '"breaking news"' http://127.0.0.1:8080/primus
//! ```

use primus::{Builder, Mount, Spark, Written};
use primus_examples::{Args, CONFIG, Choice, Result, listening};

const ABOUT: &str = "An echo for every client: native at /primus, raw messages at /ws.";
const THREADS: Choice = ("--threads", "N", "worker threads [default: one a core]");

fn main() -> Result {
    let args = Args::parse(ABOUT, &[THREADS, CONFIG]);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.get("--threads") {
        let threads = threads.parse::<std::num::NonZero<usize>>();
        runtime.worker_threads(threads.map_err(|error| format!("--threads: {error}"))?.get());
    }
    runtime.enable_all().build()?.block_on(serve(&args))
}

async fn serve(args: &Args) -> Result {
    let builder = match args.get("--config") {
        Some(file) => Builder::from_config(file)?,
        None => Builder::from_env()?,
    };
    let raw = Mount::new().parser("raw").max_message(16 << 20);
    let primus = builder.mount("/ws", raw).build()?;
    primus.on_connection(echo);

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve().await?)
}

/// The handler of both mounts. What a text is, the mount's parser knows.
async fn echo(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        let text = message.decode::<String>();
        if !message.is_binary() && text.is_ok_and(|text| text.starts_with('b')) {
            spark.mount().write_message(message);
        } else if spark.write_message(message)? == Written::Pressured {
            // A client that sends and does not read: nothing more is read from it until it does.
            spark.ready().await?;
        }
    }
    Ok(())
}
