//! Who writes the posts, and tells how it is with everybody.

use std::{ops::ControlFlow, sync::Mutex, time::Duration};

use primus::{Primus, Spark};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    posts::{Counts, Posts, now},
    reader::{Reader, Report},
};

/// From one look at the clock to the next, and the most posts at once: fewer than may wait for a
/// page (`pressure`, 64 KiB), so that one that keeps up gets all of them.
const TICK: Duration = Duration::from_millis(5);
const AT_ONCE: u64 = 200;

/// A page that is so many seconds behind gets no posts until it has caught up. Without this it would
/// be sent as many as the kernels on the way keep, which is megabytes, and read old ones for ever.
const BEHIND: u64 = 3;

/// Where all posts are: how many there have been, and how many of each keyword.
#[derive(Serialize)]
struct Tally<'a> {
    made: u64,
    at: u64,
    of: &'a Counts,
}

#[derive(Serialize)]
pub(crate) struct Stats {
    made: u64,
    /// What was encoded: each post once, for however many pages.
    encoded: u64,
    /// Bytes that are kept for all pages together.
    kept: usize,
    pages: Vec<Page>,
}

#[derive(Serialize)]
struct Page {
    id: String,
    transport: &'static str,
    /// Bytes that wait for it.
    queued: usize,
    behind: u64,
    #[serde(flatten)]
    report: Report,
}

pub(crate) struct App {
    primus: Primus,
    rate: u64,
    posts: Mutex<Posts>,
}

impl App {
    pub(crate) fn new(primus: Primus, rate: u32) -> Self {
        Self { primus, rate: rate.into(), posts: Mutex::new(Posts::new()) }
    }

    /// Writes posts at the rate; where the machine is too slow for that, as many as it can.
    pub(crate) async fn write(&self) {
        let (mut start, mut written) = (Instant::now(), 0);
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0_u64.. {
            let time = clock.tick().await;
            let due = ((time - start).as_secs_f64() * self.rate as f64) as u64 - written;
            for _ in 0..due.min(AT_ONCE) {
                self.post();
            }
            written += due.min(AT_ONCE);
            if due > self.rate {
                (start, written) = (time, 0); // what it could not do in a second is not made up for
            }
            if tick % 50 == 0 {
                self.tell();
            }
        }
    }

    /// One post, to whoever has one of its keywords or several.
    fn post(&self) {
        let post = self.posts.lock().unwrap().next();
        let (n, most) = (post.n, self.rate * BEHIND);
        let rooms = post.of.keys().fold(self.primus.everyone(), |all, word| all.room(word));
        let readers = rooms
            .filter(move |spark| spark.user::<Reader>().is_none_or(|reader| reader.takes(n, most)));
        if let Err(error) = readers.volatile().emit("post", &post) {
            eprintln!("{error}");
        }
    }

    /// Tells everyone what there was; of what a slow page has not had yet, the last.
    fn tell(&self) {
        let posts = self.posts.lock().unwrap();
        let tally = Tally { made: posts.made, at: now(), of: &posts.of };
        let _ = self.primus.everyone().conflate("tally").emit("tally", &tally);
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut pages = Vec::new();
        let _: Option<()> = self.primus.for_each(|spark| {
            pages.push(page(&spark));
            ControlFlow::Continue(())
        });
        pages.sort_by(|one, other| one.id.cmp(&other.id));
        let made = self.posts.lock().unwrap().made;
        let encoded = self.primus.frame_counters().encoded();
        Stats { made, encoded, kept: self.primus.kept(), pages }
    }
}

fn page(spark: &Spark) -> Page {
    let reader = spark.user::<Reader>();
    Page {
        id: spark.id().to_string(),
        transport: spark.transformer(),
        queued: spark.queued(),
        behind: reader.map_or(0, Reader::behind),
        report: reader.map(Reader::report).unwrap_or_default(),
    }
}
