//! The application on the server, and what it knows: it numbers what it writes, and checks the
//! numbers of what it reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{network::Answer, rng::Rng};
use crate::{
    close::CloseReason, handle::Spark, hooks::HandlerResult, message::Payload,
    native::ClientAttach, spark::WriteError,
};

/// Messages that each side sends in a session, at least.
pub(super) const MESSAGES: u64 = 200;

/// What a message says: who wrote it, its number there, and how it may be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    pub(super) author: u64,
    pub(super) number: u64,
    /// It may be dropped before it has been written to a carrier.
    pub(super) droppable: bool,
}

impl Said {
    pub(super) fn payload(self, size: usize) -> Payload {
        let kind = if self.droppable { 'v' } else { 'r' };
        let mut text = format!("{kind} {} {} ", self.author, self.number);
        while text.len() < size {
            text.push('.');
        }
        text.into()
    }

    pub(super) fn read(payload: &Payload) -> Option<Self> {
        let mut words = payload.as_text()?.split(' ');
        let droppable = words.next()? == "v";
        let (author, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { author, number, droppable })
    }
}

/// Sizes of messages: mostly small, now and then as large as they may be.
pub(super) fn size(rng: &mut Rng, most: usize) -> usize {
    match rng.between(0, 63) {
        0 => most,
        1..=8 => rng.between(0, most as u64 / 4) as usize,
        _ => 0,
    }
}

/// What the application knows of one session.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) starts: u32,
    pub(super) ends: u32,
    /// The highest number received from each author.
    received: BTreeMap<u64, u64>,
    /// How many messages were accepted that may not be dropped.
    pub(super) written: u64,
    /// It has written all that it wanted to, or was told why it could not.
    pub(super) done: bool,
    /// The random number of the client that attached last.
    holder: u64,
    /// It was told that the client is away.
    detached: bool,
}

/// What may happen in a run without being wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    /// The application may write without awaiting `ready`, and overflow.
    pub(super) pushy: bool,
    /// It does.
    pub(super) pushes: bool,
    /// A client stays away for longer than the resume window.
    pub(super) absent: bool,
    /// A tab was duplicated.
    pub(super) cloned: bool,
    /// Sessions are being ended.
    pub(super) ending: bool,
}

#[derive(Debug)]
struct Inner {
    failure: Option<String>,
    rules: Rules,
    books: BTreeMap<String, Book>,
    /// By author: which numbers have been delivered, in whichever session.
    delivered: BTreeMap<u64, Vec<bool>>,
    rng: Rng,
    slow_until: Instant,
    /// Sessions that were lost by overflow, because they had expired, and to others.
    losses: (u64, u64, u64),
}

/// What is known on both sides, and the first thing that went wrong.
#[derive(Debug, Clone)]
pub(super) struct Verdict(Arc<Mutex<Inner>>);

impl Verdict {
    pub(super) fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            failure: None,
            rules: Rules::default(),
            books: BTreeMap::new(),
            delivered: BTreeMap::new(),
            rng,
            slow_until: Instant::now(),
            losses: (0, 0, 0),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail(&self, what: String) {
        self.lock().failure.get_or_insert(what);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    pub(super) fn rules(&self) -> Rules {
        self.lock().rules
    }

    pub(super) fn allow(&self, allow: impl FnOnce(&mut Rules)) {
        allow(&mut self.lock().rules);
    }

    pub(super) fn losses(&self) -> (u64, u64, u64) {
        self.lock().losses
    }

    /// The handlers read nothing until then.
    pub(super) fn slow_until(&self, until: Instant) {
        self.lock().slow_until = until;
    }

    pub(super) fn book<T>(&self, id: &str, f: impl FnOnce(&mut Book) -> T) -> T {
        f(self.lock().books.entry(id.to_owned()).or_default())
    }

    pub(super) fn for_each_book(&self, mut f: impl FnMut(&str, &Book)) {
        self.lock().books.iter().for_each(|(id, book)| f(id, book));
    }

    pub(super) fn was_delivered(&self, author: u64, number: u64) -> bool {
        let inner = self.lock();
        let delivered = inner.delivered.get(&author);
        delivered.and_then(|delivered| delivered.get(number as usize)).copied().unwrap_or(false)
    }

    pub(super) fn delivered(&self) -> u64 {
        let inner = self.lock();
        let count = |delivered: &Vec<bool>| delivered.iter().filter(|is| **is).count() as u64;
        inner.delivered.values().map(count).sum()
    }

    /// A session may be resumed by who names its generation, or attached last.
    pub(super) fn may_resume(&self, asked: &ClientAttach, generation: Option<u64>) {
        let Some(had) = &asked.session else {
            return self.fail("a session was resumed that nobody asked for".into());
        };
        let holder = self.book(&had.id, |book| book.holder);
        if generation != Some(had.generation) && holder != asked.client {
            self.fail(format!("{asked:?} resumed a session of generation {generation:?}"));
        }
    }

    /// Whether somebody else has attached last to the session that is asked for.
    pub(super) fn is_other(&self, asked: &ClientAttach) -> bool {
        let had = asked.session.as_ref();
        had.is_some_and(|had| self.book(&had.id, |book| book.holder) != asked.client)
    }

    /// A client has been told what became of its attach.
    pub(super) fn attached(&self, answer: &Answer, asked: &ClientAttach, transport: &str) {
        self.book(&answer.id, |book| book.holder = asked.client);
        if answer.resumed != (asked.session.is_some() && answer.reason.is_none()) {
            self.fail(format!("{answer:?} answers {asked:?}"));
        }
        if answer.reason.as_deref() == Some("conflict") && !self.is_other(asked) {
            self.fail(format!("{asked:?} is in conflict with itself"));
        }
        if let Some(reason) = &answer.reason {
            self.lost_for(reason, transport);
        }
    }

    /// A session was lost, and this is why: it must be a cause that there was.
    pub(super) fn lost_for(&self, reason: &str, transport: &str) {
        let mut inner = self.lock();
        let Inner { rules, losses, .. } = &mut *inner;
        let (fair, count) = match reason {
            "overflow" => (rules.pushy, &mut losses.0),
            "expired" => (rules.absent || rules.ending, &mut losses.1),
            "conflict" => (rules.cloned, &mut losses.2),
            _ => (false, &mut 0),
        };
        *count += 1;
        if !fair {
            drop(inner);
            self.fail(format!("a session was lost over {transport}: {reason}"));
        }
    }

    /// The handler has read a message.
    fn received(&self, id: &str, payload: &Payload) {
        let Some(said) = Said::read(payload) else {
            return self.fail(format!("the server received {payload:?}"));
        };
        let before = self.book(id, |book| book.received.insert(said.author, said.number));
        if before.is_some_and(|before| before + 1 != said.number) {
            self.fail(format!("the server received {said:?} behind {before:?} in {id}"));
        }
        let mut inner = self.lock();
        let delivered = inner.delivered.entry(said.author).or_default();
        let at = said.number as usize;
        if delivered.len() <= at {
            delivered.resize(at + 1, false);
        }
        if std::mem::replace(&mut delivered[at], true) {
            drop(inner);
            self.fail(format!("the server received {said:?} twice"));
        }
    }

    /// What the application is told of carriers: in turns, and nothing after the end.
    pub(super) fn carried(&self, spark: &Spark, resumed: bool) {
        let id = spark.id().to_string();
        let (was, ends) =
            self.book(&id, |book| (std::mem::replace(&mut book.detached, !resumed), book.ends));
        if was != resumed || ends > 0 {
            self.fail(format!("{id} was told resumed: {resumed} out of turn"));
        }
    }

    /// The application says a last word and ends a session.
    pub(super) fn end(&self, spark: &Spark) {
        let number = self.book(&spark.id().to_string(), |book| {
            book.written += 1;
            book.written
        });
        let last = Said { author: 0, number, droppable: false };
        if let Err(refused) = spark.write_message(last.payload(0)) {
            self.fail(format!("the last word was refused: {refused}"));
        }
        spark.end(CloseReason::ENDED);
    }

    /// The connection handler.
    pub(super) async fn serve(self, spark: Spark) -> HandlerResult {
        let id = spark.id().to_string();
        self.book(&id, |book| book.starts += 1);
        let rng = self.lock().rng.fork();
        tokio::join!(self.read(spark.clone(), &id), self.write(&spark, &id, rng));
        Ok(())
    }

    async fn read(&self, mut spark: Spark, id: &str) {
        while let Some(message) = spark.next().await {
            self.received(id, &message.into());
            let until = self.lock().slow_until;
            if until > Instant::now() {
                sleep_until(until).await;
            }
        }
    }

    async fn write(&self, spark: &Spark, id: &str, mut rng: Rng) {
        if self.write_all(spark, id, &mut rng).await.is_err() && !spark_is_over(spark) {
            self.fail(format!("a message to {id} was refused"));
        }
        self.book(id, |book| book.done = true);
    }

    async fn write_all(&self, spark: &Spark, id: &str, rng: &mut Rng) -> Result<(), WriteError> {
        let total = MESSAGES + rng.between(0, 40);
        let most = spark.mount().settings().limits.max_message;
        let mut number = 0;
        let mut droppable = 0;
        while number < total {
            let pushes = self.rules().pushes;
            for _ in 0..rng.between(1, if pushes { 120 } else { 24 }) {
                if !pushes {
                    spark.ready().await?;
                }
                if rng.one_in(12) {
                    droppable += 1;
                    let said = Said { author: 0, number: droppable, droppable: true }.payload(0);
                    match rng.one_in(2) {
                        true => spark.volatile().write_message(said)?,
                        false => spark.conflate("same").write_message(said)?,
                    };
                } else if number < total {
                    number += 1;
                    let said = Said { author: 0, number, droppable: false };
                    let payload = said.payload(size(rng, most));
                    // A driver may take it at once, on this very task.
                    self.book(id, |book| book.written = number);
                    if let Err(refused) = spark.write_message(payload) {
                        self.book(id, |book| book.written = number - 1);
                        if matches!(refused, WriteError::TooSlow(_)) && !pushes {
                            self.fail(format!("a writer that waits overflowed: {number} of {id}"));
                        }
                        return Err(refused);
                    }
                }
            }
            sleep(Duration::from_millis(rng.between(10, 700))).await;
        }
        Ok(())
    }
}

fn spark_is_over(spark: &Spark) -> bool {
    spark.close_reason().is_some()
}
