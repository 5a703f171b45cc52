//! Requests that wait for their answers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::RequestError;
use crate::{handle::Spark, message::Message};

/// Numbers requests, for all sparks of this process: a request to many is one frame for all of them.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What came of one request to one spark.
pub(super) type Result = std::result::Result<Message, RequestError>;

/// Where the answers to one request arrive.
#[derive(Default)]
pub(crate) struct Collector {
    inner: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    answers: VecDeque<(Spark, Result)>,
    waker: Option<Waker>,
}

impl Collector {
    pub(super) fn next_id() -> u64 {
        // Numbers on the wire are up to 2^53, which takes 285 years at a million a second.
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Arrived> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, spark: Spark, result: Result) {
        let waker = {
            let mut inner = self.inner();
            inner.answers.push_back((spark, result));
            inner.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<(Spark, Result)> {
        let mut inner = self.inner();
        if let Some(answer) = inner.answers.pop_front() {
            return Poll::Ready(answer);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The requests of one spark that wait for their answers.
#[derive(Default)]
pub(crate) struct Pending {
    waiting: Mutex<Waiting>,
}

type Asked = HashMap<u64, (Spark, Arc<Collector>)>;

#[derive(Default)]
struct Waiting {
    asked: Option<Asked>,
    /// There will be no more.
    closed: bool,
}

impl Pending {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().asked.as_ref().map_or(0, HashMap::len)
    }

    /// Adds one, if there are less than `most`.
    pub(crate) fn add(
        &self,
        id: u64,
        spark: &Spark,
        collector: &Arc<Collector>,
        most: usize,
    ) -> std::result::Result<(), RequestError> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(RequestError::Closed);
        }
        let waiting = waiting.asked.get_or_insert_default();
        if waiting.len() >= most {
            return Err(RequestError::TooMany);
        }
        waiting.insert(id, (spark.clone(), Arc::clone(collector)));
        Ok(())
    }

    /// Takes one out: it has been answered, or nobody waits for it any more.
    pub(crate) fn take(&self, id: u64) -> Option<(Spark, Arc<Collector>)> {
        let mut waiting = self.waiting();
        let map = waiting.asked.as_mut()?;
        let taken = map.remove(&id);
        if map.is_empty() {
            waiting.asked = None;
        }
        taken
    }

    /// An answer has come. One that nobody waits for is dropped.
    pub(crate) fn answer(&self, id: u64, result: Result) {
        if let Some((spark, collector)) = self.take(id) {
            collector.put(spark, result);
        }
    }

    /// All of them fail.
    pub(crate) fn fail(&self, error: impl Fn() -> RequestError) {
        let waiting = self.waiting().asked.take();
        for (spark, collector) in waiting.into_iter().flat_map(HashMap::into_values) {
            collector.put(spark, Err(error()));
        }
    }

    /// The peer is gone for good: all fail, and so will those to come.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.fail(|| RequestError::Closed);
    }

    /// Those of one channel fail: its spark has left.
    pub(crate) fn close_of(&self, spark: &Spark) {
        let gone: Vec<_> = {
            let mut waiting = self.waiting();
            let Some(map) = waiting.asked.as_mut() else { return };
            map.extract_if(|_, (other, _)| other == spark).collect()
        };
        for (_, (spark, collector)) in gone {
            collector.put(spark, Err(RequestError::Closed));
        }
    }
}
