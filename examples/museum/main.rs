//! A museum of clients: one page shows our own beside the stock clients of others as npm has them, and what browsers
//! have built in. They are all in one room, and talk to each other.
//!
//! ```sh
//! cargo xtask stock                          # fetches the stock clients, into an ignored folder
//! cargo run --release --example museum
//! ```
//!
//! The handler knows nothing of all this: it is written once. Each protocol is a name in a mount.

use primus::{Mount, Primus, Spark};
use primus_examples::{
    Args, listening,
    stock::{FOLDER, Pages},
};
use serde::Serialize;

const ABOUT: &str = "Our client and the stock clients of others, side by side in one room.";
const ROOM: &str = "museum";

/// What every client gets, whatever it speaks.
#[derive(Serialize)]
struct Said<'a> {
    who: &'a str,
    text: &'a str,
}

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[FOLDER]);
    let primus = Primus::builder()
        .transformers(["websocket", "sse", "polling", "socket.io"])
        .mount("/sockjs", Mount::new().transformers(["sockjs"]))
        .mount("/faye", Mount::new().transformers(["bayeux"]))
        .mount("/channel", Mount::new().transformers(["browserchannel"]))
        .mount("/bare", Mount::new().transformers(["websocket", "sse"]))
        .build()?;
    primus.on_connection(visit);

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    let pages = Pages::new(include_str!("page.html"), args.get(FOLDER.0));
    Ok(listener.serve_with(pages).await?)
}

/// Greets a client, and says to the room what it says.
async fn visit(mut spark: Spark) -> primus::Result {
    let who = format!("{} at {}", spark.transformer(), spark.mount().settings().path);
    spark.join(ROOM)?;
    spark.write(&Said { who: "museum", text: &format!("you are {who}") })?;
    while let Some(message) = spark.next().await {
        let text: String = message.decode()?;
        spark.channel().room(ROOM).write(&Said { who: &who, text: &text })?;
    }
    Ok(())
}
