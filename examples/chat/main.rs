//! A chat room: open the page in two windows. Whatever speaks HTTP is welcome, too:
//!
//! ```sh
//! curl -N 'http://127.0.0.1:8080/primus/sse?nick=Eve'
//! curl -d '{"say":{"text":"hello"}}' 'http://127.0.0.1:8080/primus?nick=Bot'
//! ```
//!
//! There is one handler, and nothing in it is about WebSockets, event streams or polls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use primus::{AuthorizeRequest, Builder, End, Rejection, Spark, http::page};
use primus_examples::{Args, CONFIG, listening};
use serde::{Deserialize, Serialize};

const ABOUT: &str = "A chat over whichever transport the network allows.";

/// How many lines whoever joins gets to see.
const HISTORY: usize = 50;

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[CONFIG]);
    let builder = match args.get("--config") {
        Some(file) => Builder::from_config(file)?,
        None => Builder::from_env()?,
    };
    let primus = builder.build()?;
    let room = Arc::<Mutex<Room>>::default();
    primus.authorize(authorize);
    primus.on_connection(move |spark| handle(Arc::clone(&room), spark));

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

async fn handle(room: Arc<Mutex<Room>>, mut spark: Spark) -> primus::Result {
    let nick = spark.user::<Nick>().map_or("", |nick| &nick.0).to_owned();
    spark.on_end({
        let (room, nick) = (Arc::clone(&room), nick.clone());
        move |spark, _| room.lock().unwrap().leave(spark, &nick)
    });
    room.lock().unwrap().join(&spark, &nick)?;
    while let Some(message) = spark.next().await {
        match message.decode()? {
            FromPage::Say(said) => room.lock().unwrap().say(&spark, &nick, said)?,
            FromPage::Typing => drop(spark.mount().except(&spark).write(&ToPage::Typing(&nick))?),
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
}

#[derive(Serialize)]
struct Line {
    nick: String,
    text: String,
    key: Option<String>,
    /// Milliseconds since 1970, and later than all lines before.
    at: u64,
}

#[derive(Default)]
struct Room {
    online: usize,
    history: VecDeque<Line>,
}

/// The room is locked while something is both remembered and told, so that everybody sees things
/// in the same order. That is safe: to write is to queue, and never waits for a client.
impl Room {
    fn join(&mut self, spark: &Spark, nick: &str) -> primus::Result {
        self.online += 1;
        // To everyone else, then to who has come.
        spark.mount().except(spark).write(&ToPage::Joined { nick, online: self.online })?;
        spark.write(&ToPage::Welcome { online: self.online, history: &self.history })?;
        Ok(())
    }

    fn leave(&mut self, spark: &Spark, nick: &str) {
        self.online -= 1;
        let _ = spark.mount().write(&ToPage::Left { nick, online: self.online });
    }

    fn say(&mut self, spark: &Spark, nick: &str, said: Said) -> primus::Result {
        let known = |line: &Line| said.key.is_some() && line.key == said.key && line.nick == nick;
        if said.text.trim().is_empty() || self.history.iter().any(known) {
            return Ok(());
        }
        let now = UNIX_EPOCH.elapsed()?.as_millis() as u64;
        let at = self.history.back().map_or(now, |last| now.max(last.at + 1));
        let line = Line { nick: nick.to_owned(), text: said.text, key: said.key, at };
        // To everyone; the sender's own copy tells its page that the line has arrived.
        spark.mount().write(&ToPage::Message(&line))?;
        self.history.push_back(line);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        Ok(())
    }
}
