//! A server for the public conformance suites of other protocols: their paths, their settings, and the
//! behaviour that they expect of the application. `--suite` chooses, where they exclude each other: those of Engine.IO and
//! Socket.IO want heartbeats that are too short for anything else.
//!
//! ```sh
//! cargo run --release --example conformance -- --listen 127.0.0.1:3000 --suite engine.io
//! ```

mod actioncable;
mod asked;
mod bayeux;
mod browserchannel;
mod engine_io;
mod socket_io;
mod sockjs;
mod together;

use primus::Builder;
use primus_examples::{Args, CONFIG, Choice, Result, listening};

const ABOUT: &str = "A server for the conformance suites of other protocols.";
const SUITE: Choice = (
    "--suite",
    "NAME",
    "together (default: sockjs, bayeux, browserchannel, actioncable, and /ws), each of these, engine.io, engine.io-client, socket.io, socket.io-client",
);

/// Makes the server of a suite, with its handlers.
type Make = fn(Builder) -> Result<primus::Primus>;

/// The suites by their names. Another protocol is another module, and its lines here.
const SUITES: &[(&str, Make)] = &[
    ("engine.io", engine_io::protocol),
    ("engine.io-client", engine_io::client),
    ("socket.io", socket_io::protocol),
    ("socket.io-client", socket_io::client),
    ("sockjs", sockjs::services),
    ("browserchannel", browserchannel::services),
    ("bayeux", bayeux::services),
    ("actioncable", actioncable::services),
    ("together", together::services),
];

#[tokio::main]
async fn main() -> Result {
    let args = Args::parse(ABOUT, &[SUITE, CONFIG]);
    let name = args.get("--suite").unwrap_or("together");
    let Some((_, make)) = SUITES.iter().find(|(suite, _)| *suite == name) else {
        let names = SUITES.iter().map(|(suite, _)| *suite).collect::<Vec<_>>().join(", ");
        return Err(format!("there is no suite `{name}`; there are {names}").into());
    };
    let builder = match args.get("--config") {
        Some(file) => Builder::from_config(file)?,
        None => Builder::new(),
    };
    let primus = make(builder)?;
    asked::count(&primus)?;
    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve().await?)
}
