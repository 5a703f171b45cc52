//! What people say, to a room or to one person.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::UNIX_EPOCH,
};

use http::StatusCode;
use primus::{Rejection, Spark};

use crate::{
    events::{Line, Say, Tell, Whisper},
    people::{mailbox, nick},
    rooms::HISTORY,
};

const LONGEST: usize = 2000;

/// Says something in a room: it is kept, and goes to everybody there. The speaker's own copy tells
/// the page where the line stands.
pub(crate) fn say(spark: &Spark, Say { room, text, key, again }: Say) -> Result<(), Rejection> {
    let (root, nick) = (spark.channel(), nick(spark)?);
    if root.position(&room).is_none() {
        return Err(Rejection::new(StatusCode::NOT_FOUND, format!("there is no room {room}")));
    }
    let known = |line: Line| line.key == key && line.nick == nick;
    if again && root.history(&room, HISTORY).iter().any(|said| said.decode().is_ok_and(known)) {
        return Ok(());
    }
    let _ = root.room(&room).emit("said", &line(nick, text, key)?);
    Ok(())
}

/// Tells somebody something, in all of his windows, and shows it in all of one's own.
pub(crate) fn tell(spark: &Spark, Tell { to, text, key }: Tell) -> Result<(), Rejection> {
    let from = nick(spark)?;
    let theirs = spark.channel().room(&mailbox(&to));
    if theirs.is_empty() {
        return Err(Rejection::new(StatusCode::NOT_FOUND, format!("nobody is called {to}")));
    }
    let line = line(from, text, key)?;
    let _ = theirs.room(&mailbox(from)).emit("told", &Whisper { to, line });
    Ok(())
}

/// What a room keeps, for whom its history has run away.
pub(crate) fn recent(spark: &Spark, room: &str) -> Vec<Line> {
    let kept = spark.channel().history(room, HISTORY);
    kept.iter().filter_map(|said| said.decode().ok()).collect()
}

fn line(nick: &str, text: String, key: Option<String>) -> Result<Line, Rejection> {
    match text.trim().chars().count() {
        1..=LONGEST => Ok(Line { nick: nick.to_owned(), text, key, at: now() }),
        _ => Err(Rejection::new(StatusCode::BAD_REQUEST, "1 to 2000 characters, please")),
    }
}

/// Milliseconds since 1970, and later than at any call before.
fn now() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let clock = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as u64);
    let next = |last: u64| clock.max(last + 1);
    LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).map_or(0, next)
}
