//! Requests to clients: one, or many at once.

use std::{
    collections::HashMap,
    future::{IntoFuture, poll_fn},
    marker::PhantomData,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use tokio::time::{Sleep, sleep};

use super::Collector;
use crate::{
    authorize::Rejection,
    handle::Spark,
    id::SparkId,
    message::Message,
    names::NameError,
    parser::{DecodeError, EncodeError},
    request::BoxFuture,
    spark::{WriteError, Written},
};

/// How long an answer is waited for, unless [`timeout`](Requesting::timeout) says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// There is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// None came in time.
    #[error("no answer in time")]
    Timeout,
    /// [`until`](Requesting::until) said that nobody wants it any more.
    #[error("the request was canceled")]
    Canceled,
    /// The spark is ending or over.
    #[error("the client is gone")]
    Closed,
    /// The client answered that it will not, and why: its listener failed, or there is none (404).
    #[error("the client refused: {}", .0.error())]
    Refused(Rejection),
    /// The client sent so much that is not handled yet (`max_inbox`) that the answer behind it
    /// cannot be read.
    #[error("the answer is behind more messages than are read ahead (max_inbox)")]
    Backlogged,
    /// So many requests of this spark wait already (`max_requests`).
    #[error("too many requests of this client wait for answers (max_requests)")]
    TooMany,
    /// The client cannot answer: a plain WebSocket or event stream has no way to.
    #[error("this client cannot answer requests")]
    Unanswerable,
    /// It never left: a transform dropped it, or it was volatile and would have had to wait.
    #[error("the request was dropped on its way out")]
    Dropped,
    /// The answer is of another type.
    #[error("the answer does not fit: {0}")]
    Answer(#[source] DecodeError),
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Arguments(#[from] EncodeError),
    /// The name is none for an event.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl From<WriteError> for RequestError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Encode(error) => Self::Arguments(error),
            WriteError::Name(error) => Self::Name(error),
            _ => Self::Closed,
        }
    }
}

/// A request on its way: await it. Dropped, it waits for nothing any more. Made by
/// [`Spark::request`].
///
/// ```
/// # async fn f(spark: &primus_core::handle::Spark) -> Result<(), primus_core::RequestError> {
/// use std::time::Duration;
/// let name: String = spark.request("name", &()).timeout(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing waits for the answer unless this is awaited"]
pub struct Requesting<T> {
    sent: Result<Sent, RequestError>,
    timeout: Duration,
    cancel: Option<BoxFuture<'static, ()>>,
    answer: PhantomData<fn() -> T>,
}

/// One that has left. Dropped, its answers are not waited for.
struct Sent {
    id: u64,
    asked: HashMap<SparkId, Spark>,
    collector: Arc<Collector>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        for spark in self.asked.values() {
            if let Some(pending) = spark.session().pending_if_any() {
                pending.take(self.id);
            }
        }
    }
}

impl<T> Requesting<T> {
    /// Asks one spark by `send`, which is given the number of the request.
    pub(crate) fn one(
        spark: &Spark,
        send: impl FnOnce(u64) -> Result<Written, WriteError>,
    ) -> Self {
        let ask = || {
            let sent = ask(spark)?;
            match send(sent.id)? {
                Written::Dropped => Err(RequestError::Dropped),
                Written::Queued | Written::Pressured => Ok(sent),
            }
        };
        Self { sent: ask(), timeout: PATIENCE, cancel: None, answer: PhantomData }
    }

    /// How long to wait for the answer. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives up, with [`RequestError::Canceled`], once `cancel` is ready.
    pub fn until(mut self, cancel: impl Future<Output = ()> + Send + 'static) -> Self {
        self.cancel = Some(Box::pin(cancel));
        self
    }
}

/// Registers a request to one spark.
fn ask(spark: &Spark) -> Result<Sent, RequestError> {
    let (id, collector) = (Collector::next_id(), Arc::default());
    spark.session().expect_answer(id, spark, &collector)?;
    Ok(Sent { id, asked: HashMap::from([(spark.id(), spark.clone())]), collector })
}

impl<T: DeserializeOwned + 'static> IntoFuture for Requesting<T> {
    type Output = Result<T, RequestError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { sent, timeout, cancel, .. } = self;
        Box::pin(async move {
            let sent = sent?;
            let mut cancel = cancel.unwrap_or_else(|| Box::pin(std::future::pending()));
            let mut late = pin!(sleep(timeout));
            let answer = poll_fn(|cx| {
                if let Poll::Ready((_, answer)) = sent.collector.poll(cx) {
                    return Poll::Ready(answer);
                }
                if cancel.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(RequestError::Canceled));
                }
                late.as_mut().poll(cx).map(|()| Err(RequestError::Timeout))
            });
            decode(&answer.await?)
        })
    }
}

fn decode<T: DeserializeOwned>(answer: &Message) -> Result<T, RequestError> {
    answer.decode().map_err(RequestError::Answer)
}

/// One answer to a request to many.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer<T> {
    /// Whose it is.
    pub spark: Spark,
    /// What it is.
    pub value: T,
}

/// The answers to a request to many, as they come: a stream that ends when all have answered, or
/// the time is over. [`missing`](Self::missing) is who did not.
///
/// ```
/// # async fn f(primus: &primus_core::Primus) -> Result<(), primus_core::EmitError> {
/// use std::time::Duration;
/// let mut votes = primus.room("jury").request::<bool>("guilty?", &())?;
/// votes = votes.timeout(Duration::from_secs(60));
/// while let Some(vote) = votes.next().await {
///     println!("{}: {}", vote.spark.id(), vote.value);
/// }
/// for (spark, error) in votes.missing() {
///     println!("{}: {error}", spark.id());
/// }
/// # Ok(()) }
/// ```
pub struct Answers<T> {
    sent: Sent,
    timeout: Duration,
    /// Begins with the first look: before that nobody need be in a runtime.
    late: Option<Pin<Box<Sleep>>>,
    missing: Vec<(Spark, RequestError)>,
    over: bool,
    answer: PhantomData<fn() -> T>,
}

impl<T> Answers<T> {
    /// Of a request that is about to be sent: `send` is given its number, and sends it to those
    /// that are asked.
    pub(crate) fn new<E>(
        sparks: Vec<Spark>,
        send: impl FnOnce(u64, &HashMap<SparkId, Spark>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (id, collector) = (Collector::next_id(), Arc::default());
        let mut sent = Sent { id, asked: HashMap::new(), collector };
        let mut missing = Vec::new();
        for spark in sparks {
            match spark.session().expect_answer(id, &spark, &sent.collector) {
                Ok(()) => drop(sent.asked.insert(spark.id(), spark)),
                Err(error) => missing.push((spark, error)),
            }
        }
        send(id, &sent.asked)?;
        Ok(Self { sent, timeout: PATIENCE, late: None, missing, over: false, answer: PhantomData })
    }

    /// How long to wait for the answers, from the first look on. Default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        (self.timeout, self.late) = (timeout, None);
        self
    }

    /// How many have been asked and have not answered yet.
    pub fn waiting(&self) -> usize {
        self.sent.asked.len()
    }

    /// The next answer; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Answer<T>>
    where
        T: DeserializeOwned,
    {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// Who did not answer, and why. Complete once the stream has ended.
    pub fn missing(&self) -> &[(Spark, RequestError)] {
        &self.missing
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer<T>>>
    where
        T: DeserializeOwned,
    {
        loop {
            if self.over || self.sent.asked.is_empty() {
                return Poll::Ready(None);
            }
            if let Poll::Ready((spark, answer)) = self.sent.collector.poll(cx) {
                self.sent.asked.remove(&spark.id());
                match answer.and_then(|answer| decode(&answer)) {
                    Ok(value) => return Poll::Ready(Some(Answer { spark, value })),
                    Err(error) => self.missing.push((spark, error)),
                }
                continue;
            }
            let timeout = self.timeout;
            let late = self.late.get_or_insert_with(|| Box::pin(sleep(timeout)));
            if late.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.over = true;
            for spark in std::mem::take(&mut self.sent.asked).into_values() {
                if let Some(pending) = spark.session().pending_if_any() {
                    pending.take(self.sent.id);
                }
                self.missing.push((spark, RequestError::Timeout));
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for Answers<T> {
    type Item = Answer<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer<T>>> {
        self.get_mut().poll_answer(cx)
    }
}

impl<T> Unpin for Answers<T> {}
