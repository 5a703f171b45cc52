//! A chat room: open the page in two windows. Whatever speaks HTTP is welcome, too:
//!
//! ```sh
//! curl -N 'http://127.0.0.1:8080/primus/sse?nick=Eve'
//! curl -d '{"say":{"text":"hello"}}' 'http://127.0.0.1:8080/primus?nick=Bot'
//! ```
//!
//! There is one handler, and nothing in it is about WebSockets, event streams or polls, or about
//! connections that break: the page has a laboratory that cuts its own, and counts what is missing.

mod room;

use std::collections::VecDeque;
use std::sync::Mutex;

use primus::{AuthorizeRequest, Builder, End, Rejection, Spark, http::page};
use primus_examples::{Args, CONFIG, listening};
use serde::{Deserialize, Serialize};

use crate::room::{Line, Room};

const ABOUT: &str = "A chat over whichever transport the network allows.";

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[CONFIG]);
    let builder = args.get("--config").map_or_else(Builder::from_env, Builder::from_config)?;
    let primus = builder.build()?;
    // One room, for as long as the program runs.
    let room: &Mutex<Room> = Box::leak(Box::default());
    primus.authorize(authorize);
    primus.on_connection(move |spark| handle(room, spark));
    primus.on_detach(move |spark, _| async move { room.lock().unwrap().lose(room, spark) });
    primus.on_resume(move |spark| async move { room.lock().unwrap().arrive(&spark) });

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    tokio::spawn(async move {
        // Ctrl-C: the pages are told to come back, and `serve_with` returns.
        let _ = tokio::signal::ctrl_c().await;
        primus.end(End { reconnect: true, ..End::default() }).await;
    });
    // What is not for Primus goes on to the page; it could be an axum router just as well.
    Ok(listener.serve_with(page(include_str!("page.html"))).await?)
}

/// Who somebody is. What `authorize` returns, every handler has as `spark.user()`.
struct Nick(String);

/// Runs before a spark exists: a nick is in the page's `auth`, or in the query of a plain client.
async fn authorize(request: AuthorizeRequest) -> Result<Nick, Rejection> {
    let nick = request.auth["nick"].as_str().map(str::to_owned).or_else(|| request.query("nick"));
    let nick = nick.as_deref().unwrap_or_default().trim();
    match nick.chars().count() {
        1..=24 => Ok(Nick(nick.to_owned())),
        _ => Err(Rejection::forbidden("choose a nickname of 1 to 24 characters")),
    }
}

fn nick(spark: &Spark) -> &str {
    spark.user::<Nick>().map_or("", |nick| &nick.0)
}

/// Runs once for each session, however often its connection breaks: `heard` goes on counting.
async fn handle(room: &'static Mutex<Room>, mut spark: Spark) -> primus::Result {
    let mut heard = 0;
    spark.on_end(move |spark, _| room.lock().unwrap().leave(spark));
    room.lock().unwrap().welcome(&spark)?;
    while let Some(message) = spark.next().await {
        match message.decode()? {
            FromPage::Say(said) => room.lock().unwrap().say(&spark, said)?,
            FromPage::Typing => {
                // Worthless a moment later, so it does not wait for anyone.
                let others = spark.mount().except(&spark).volatile();
                others.write(&ToPage::Typing(nick(&spark)))?;
            }
            FromPage::Probe(n) => {
                heard += 1;
                spark.write(&ToPage::Probe { n, heard })?;
            }
        }
    }
    Ok(())
}

/// What pages say.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum FromPage {
    Say(Said),
    Typing,
    /// A message of the connection lab: its number.
    Probe(u64),
}

#[derive(Deserialize)]
struct Said {
    text: String,
    /// The page's own name for the line: it may repeat one that it is not sure of.
    key: Option<String>,
}

/// What pages hear.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum ToPage<'a> {
    Welcome { online: usize, history: &'a VecDeque<Line> },
    Joined { nick: &'a str, online: usize },
    Left { nick: &'a str, online: usize },
    Message(&'a Line),
    Typing(&'a str),
    Probe { n: u64, heard: u64 },
}
