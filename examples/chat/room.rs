//! The room: who is in it, and what was said.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use primus::{Spark, SparkId};
use serde::Serialize;
use tokio::task::AbortHandle;

use crate::{Said, ToPage, nick};

/// How many lines whoever joins gets to see.
const HISTORY: usize = 50;

/// For how long somebody whose connection broke is still here.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
pub(crate) struct Line {
    nick: String,
    text: String,
    key: Option<String>,
    /// Milliseconds since 1970, and later than all lines before.
    at: u64,
}

/// The room is locked while something is both remembered and told, so that everybody sees things
/// in the same order. That is safe: to write is to queue, and never waits for a client.
#[derive(Default)]
pub(crate) struct Room {
    /// Who is here; and where the connection is lost, what will tell that he has left.
    people: HashMap<SparkId, Option<AbortHandle>>,
    history: VecDeque<Line>,
}

impl Room {
    /// A new session.
    pub(crate) fn welcome(&mut self, spark: &Spark) -> primus::Result {
        self.arrive(spark);
        spark.write(&ToPage::Welcome { online: self.people.len(), history: &self.history })?;
        Ok(())
    }

    /// A new session, or one whose client is back.
    pub(crate) fn arrive(&mut self, spark: &Spark) {
        match self.people.insert(spark.id(), None) {
            Some(leaving) => leaving.into_iter().for_each(|task| task.abort()),
            None => self.tell(spark, |nick, online| ToPage::Joined { nick, online }),
        }
    }

    /// A connection broke. Most are back within the grace, and nobody need know.
    pub(crate) fn lose(&mut self, room: &'static Mutex<Self>, spark: Spark) {
        if let Some(leaving) = self.people.get_mut(&spark.id()) {
            let task = tokio::spawn(async move {
                tokio::time::sleep(GRACE).await;
                room.lock().unwrap().leave(&spark);
            });
            *leaving = Some(task.abort_handle());
        }
    }

    /// The session is over, or its client has been away for too long.
    pub(crate) fn leave(&mut self, spark: &Spark) {
        if self.people.remove(&spark.id()).is_some() {
            self.tell(spark, |nick, online| ToPage::Left { nick, online });
        }
    }

    /// Tells everyone else.
    fn tell<'a>(&self, spark: &'a Spark, news: fn(&'a str, usize) -> ToPage<'a>) {
        let _ = spark.mount().except(spark).write(&news(nick(spark), self.people.len()));
    }

    /// Remembers a line, and tells everyone.
    pub(crate) fn say(&mut self, spark: &Spark, said: Said) -> primus::Result {
        let nick = nick(spark);
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
