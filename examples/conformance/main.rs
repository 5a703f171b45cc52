//! A server for the public conformance suites of other protocols: their paths, their settings, and the
//! behaviour that they expect of the application. `--suite` chooses one: those of the clients of Engine.IO and Socket.IO have
//! the paths of the protocols' own.
//!
//! ```sh
//! cargo run --release --example conformance -- --listen 127.0.0.1:3000
//! ```

mod actioncable;
mod asked;
mod bayeux;
mod browserchannel;
mod engine_io;
mod socket_io;
mod sockjs;
mod together;

use axum::Router;
use primus::Builder;
use primus_examples::{Args, CONFIG, Choice, Result, listening};

const ABOUT: &str = "A server for the conformance suites of other protocols.";
const SUITE: Choice = (
    "--suite",
    "NAME",
    "engine.io, engine.io-client, socket.io, socket.io-client, sockjs, bayeux, browserchannel, actioncable [default: all but the two of clients, and /ws]",
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
];

#[tokio::main]
async fn main() -> Result {
    let args = Args::parse(ABOUT, &[SUITE, CONFIG]);
    let builder = || match args.get("--config") {
        Some(file) => Builder::from_config(file),
        None => Ok(Builder::new()),
    };
    let Some(suite) = args.get("--suite") else {
        let primus = together::services(builder()?)?;
        // These have heartbeats of their own, and so they are servers of their own.
        let engine_io = engine_io::protocol(builder()?)?;
        let socket_io = socket_io::protocol(builder()?)?;
        let listener = primus.bind(args.listen()).await?;
        listening(listener.local_addr());
        let others = Router::new().layer(engine_io.layer()).layer(socket_io.layer());
        return Ok(listener.serve_with(others).await?);
    };
    let Some((_, make)) = SUITES.iter().find(|(name, _)| *name == suite) else {
        let names = SUITES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        return Err(format!("there is no suite `{suite}`; there are {names}").into());
    };
    let primus = make(builder()?)?;
    asked::count(&primus)?;
    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve().await?)
}
