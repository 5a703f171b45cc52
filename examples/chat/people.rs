//! People, and their nicks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use http::StatusCode;
use primus::{AuthorizeRequest, Rejection, Spark};
use serde::Deserialize as _;

use crate::events::Introduction;

/// For how long a nick waits for whoever had it last.
const RESERVED: Duration = Duration::from_secs(10);

/// Who somebody is: what `authorize` returns, and every listener has as `spark.user()`.
#[derive(Default)]
pub(crate) struct Person {
    nick: OnceLock<Nick>,
    /// How many messages of the connection lab this session has heard.
    pub(crate) heard: AtomicU64,
}

/// Runs before a spark exists. A page takes its nick by a request, and says it here when it comes back
/// and its session is gone; a plain client has its nick in the query, or is a guest who only listens.
pub(crate) async fn authorize(request: AuthorizeRequest) -> Result<Person, Rejection> {
    let person = Person::default();
    if let Some(nick) = request.query("nick") {
        person.take(Introduction { nick, key: String::new() })?;
    } else if let Ok(known) = Introduction::deserialize(&request.auth) {
        // Where somebody else has it by now, the page will ask, and hear of it.
        let _ = person.take(known);
    }
    Ok(person)
}

/// Somebody says who he is.
pub(crate) fn introduce(spark: &Spark, who: Introduction) -> Result<(), Rejection> {
    if let Some(person) = spark.user::<Person>() {
        person.take(who)?;
    }
    settle(spark);
    // It fails if the spark has ended meanwhile, and then nothing need be done; here and below.
    let _ = spark.join(EVERYBODY);
    Ok(())
}

/// Whoever has a nick can be told something.
pub(crate) fn settle(spark: &Spark) {
    if let Ok(nick) = nick(spark) {
        let _ = spark.join(&mailbox(nick));
    }
}

/// The room of everybody who has a nick and a page.
pub(crate) const EVERYBODY: &str = "@";

/// The room of all windows of a person.
pub(crate) fn mailbox(nick: &str) -> String {
    format!("@{nick}")
}

/// The nick of a spark, without which little is allowed.
pub(crate) fn nick(spark: &Spark) -> Result<&str, Rejection> {
    let nick = spark.user::<Person>().and_then(|person| person.nick.get());
    nick.map(|nick| &*nick.0).ok_or_else(|| Rejection::forbidden("choose a nickname first"))
}

impl Person {
    fn take(&self, Introduction { nick, key }: Introduction) -> Result<(), Rejection> {
        let nick = nick.trim();
        if !(1..=24).contains(&nick.chars().count()) || nick.contains(char::is_control) {
            return Err(Rejection::forbidden("choose a nickname of 1 to 24 characters"));
        }
        let mine = match self.nick.get() {
            Some(mine) => mine,
            None => {
                let taken = Nick::take(nick, key)?;
                self.nick.get_or_init(|| taken)
            }
        };
        if mine.0 == nick { Ok(()) } else { Err(taken(&format!("you are {} already", mine.0))) }
    }
}

fn taken(error: &str) -> Rejection {
    Rejection::new(StatusCode::CONFLICT, error)
}

/// A nick that somebody has. Dropped with the session, it is free a moment later.
struct Nick(String);

struct Holder {
    key: String,
    sessions: usize,
    since: Instant,
}

static HOLDERS: Mutex<BTreeMap<String, Holder>> = Mutex::new(BTreeMap::new());

fn holders() -> MutexGuard<'static, BTreeMap<String, Holder>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nick {
    fn take(nick: &str, key: String) -> Result<Self, Rejection> {
        let mut holders = holders();
        holders.retain(|_, holder| holder.sessions > 0 || holder.since.elapsed() < RESERVED);
        let since = Instant::now();
        let holder = holders.entry(nick.to_owned()).or_insert(Holder {
            key: key.clone(),
            sessions: 0,
            since,
        });
        if holder.key != key {
            return Err(taken(&format!("somebody is called {nick} already")));
        }
        holder.sessions += 1;
        Ok(Self(nick.to_owned()))
    }
}

impl Drop for Nick {
    fn drop(&mut self) {
        if let Some(holder) = holders().get_mut(&self.0) {
            holder.sessions -= 1;
            holder.since = Instant::now();
        }
    }
}
