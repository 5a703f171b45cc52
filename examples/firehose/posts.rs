//! Posts as they might be, always the same ones in the same order.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

const PEOPLE: [&str; 16] = [
    "ada", "alan", "barbara", "brian", "dennis", "donald", "edsger", "grace", "hedy", "joan",
    "ken", "leslie", "linus", "margaret", "radia", "tony",
];
const DOES: [&str; 12] = [
    "is sure that",
    "wonders why",
    "has proved that",
    "would not say that",
    "just heard that",
    "dreamt that",
    "bets a pizza that",
    "can show that",
    "forgot why",
    "tells everyone that",
    "found out why",
    "denies that",
];
const THINGS: [&str; 16] = [
    "parser",
    "compiler",
    "kernel",
    "socket",
    "cache",
    "router",
    "printer",
    "database",
    "editor",
    "debugger",
    "proxy",
    "browser",
    "scheduler",
    "keyboard",
    "modem",
    "robot",
];
const IS: [&str; 12] = [
    "likes coffee",
    "never sleeps",
    "runs backwards on fridays",
    "needs a holiday",
    "is faster with the lid open",
    "answers before it is asked",
    "works on the first try",
    "only fails when watched",
    "outlives its inventor",
    "fits into eight kilobytes",
    "has opinions",
    "believes in ghosts",
];
const TAGS: [&str; 16] = [
    "rust", "async", "cats", "coffee", "linux", "music", "news", "physics", "pizza", "rain",
    "retro", "robots", "space", "sports", "travel", "web",
];

/// How many posts had a keyword.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

#[derive(Serialize)]
pub(crate) struct Post {
    /// Its number among all, from 1.
    pub(crate) n: u64,
    /// Milliseconds since 1970.
    at: u64,
    text: String,
    /// Its keywords, and its number among the posts of each.
    pub(crate) of: Counts,
}

/// Makes posts.
pub(crate) struct Posts {
    state: u64,
    pub(crate) made: u64,
    pub(crate) of: Counts,
}

impl Posts {
    pub(crate) fn new() -> Self {
        Self { state: 1, made: 0, of: Counts::new() }
    }

    /// Chance that is the same in each run: a linear congruential generator.
    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        from[(self.state >> 33) as usize % from.len()]
    }

    pub(crate) fn next(&mut self) -> Post {
        self.made += 1;
        let (who, does) = (self.pick(&PEOPLE), self.pick(&DOES));
        let (thing, is) = (self.pick(&THINGS), self.pick(&IS));
        let (tag, other) = (self.pick(&TAGS), self.pick(&TAGS));
        let text = format!("{who} {does} the {thing} {is} #{tag} #{other}");
        let mut of = Counts::new();
        for word in [who, thing, tag, other] {
            of.entry(word).or_insert_with(|| {
                let count = self.of.entry(word).or_default();
                *count += 1;
                *count
            });
        }
        Post { n: self.made, at: now(), text, of }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
