//! A chat with rooms: open the page in two windows, under two names. Whatever speaks HTTP is
//! welcome, too:
//!
//! ```sh
//! curl -N 'http://127.0.0.1:8080/primus/sse?nick=Eve&subscribe=lobby'
//! curl -d '{"room":"lobby","text":"hello"}' 'http://127.0.0.1:8080/primus?nick=Bot'
//! ```
//!
//! With `transformers = ["websocket", "sse", "polling", "socket.io"]` a page at `/stock` joins in, which uses the stock
//! client of Socket.IO from npm; `cargo xtask stock` fetches it.
//!
//! Nothing in here is about WebSockets, event streams or polls, or about connections that break: the
//! page has a laboratory that cuts its own, and counts what is missing. Rooms, their members and what
//! was said in them are kept by Primus; the chat itself keeps nothing but who has which nick.

mod events;
mod people;
mod presence;
mod rooms;
mod talk;

use std::sync::atomic::Ordering;

use primus::{Builder, End, Primus, Rejection, Spark};
use primus_examples::{
    Args, CONFIG, listening,
    stock::{FOLDER, Pages},
};

use crate::{
    events::{Behind, Introduction, Probe, Room, Say, Tell},
    people::Person,
};

const ABOUT: &str = "A chat over whichever transport the network allows.";

const PAGE: &str = concat!(
    include_str!("page/head.html"),
    concat!("<style>\n", include_str!("page/style.css"), "</style>\n"),
    include_str!("page/body.html"),
    concat!("<script>\n", include_str!("page/network.js"), "</script>\n"),
    concat!("<script>\n", include_str!("page/log.js"), "</script>\n"),
    concat!("<script>\n", include_str!("page/chat.js"), "</script>\n"),
    concat!("<script>\n", include_str!("page/lab.js"), "</script>\n"),
);

/// Another page, which uses the stock client of Socket.IO.
const STOCK: &[(&str, &str)] = &[("/stock", include_str!("page/stock.html"))];

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[CONFIG, FOLDER]);
    let builder = args.get("--config").map_or_else(Builder::from_env, Builder::from_config)?;
    let primus = builder.build()?;
    primus.authorize(people::authorize);
    primus.on_connection(connected);
    rooms::open(primus.root())?;
    listen_to_pages(&primus)?;

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    tokio::spawn(async move {
        // Ctrl-C: the pages are told to come back, and `serve_with` returns.
        let _ = tokio::signal::ctrl_c().await;
        primus.end(End { reconnect: true, ..End::default() }).await;
    });
    // What is not for Primus goes on to the page; it could be an axum router just as well.
    let pages = Pages::new(PAGE, args.get(FOLDER.0)).with(STOCK);
    Ok(listener.serve_with(pages).await?)
}

/// What pages emit and ask for. What a listener returns is the answer, or the refusal.
fn listen_to_pages(primus: &Primus) -> Result<(), primus::NameError> {
    primus.on("nick", async |spark: Spark, who: Introduction| -> Result<Vec<Room>, Rejection> {
        people::introduce(&spark, who)?;
        Ok(rooms::list(&spark.channel()))
    })?;
    primus.on("members", async |spark: Spark, which: Behind| presence::members(&spark, which))?;
    primus.on("say", async |spark: Spark, say: Say| talk::say(&spark, say))?;
    primus.on("recent", async |spark: Spark, room: String| talk::recent(&spark, &room))?;
    primus.on("tell", async |spark: Spark, tell: Tell| talk::tell(&spark, tell))?;
    primus.on("typing", async |spark: Spark, room: String| presence::typing(&spark, room))?;
    primus.on("probe", probe)
}

/// A message of the connection lab. A session counts them however often its connection breaks.
async fn probe(spark: Spark, n: u64) {
    if let Some(person) = spark.user::<Person>() {
        let heard = person.heard.fetch_add(1, Ordering::Relaxed) + 1;
        let _ = spark.emit("probe", &Probe { n, heard });
    }
}

/// Runs once for each session. Whoever can emit no events just says something.
async fn connected(mut spark: Spark) -> primus::Result {
    people::settle(&spark);
    while let Some(message) = spark.next().await {
        talk::say(&spark, message.decode()?)?;
    }
    Ok(())
}
