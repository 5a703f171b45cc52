//! Who serves the listeners of a spark.
//!
//! Listeners of events run one after the other, in the order of the messages. The listener of a
//! request begins in its turn, and what is behind it does not wait for its answer. All of it is
//! polled by whoever polls the handler, so a spark that waits owns no task.

use std::task::{Context, Poll};

use serde_json::json;

use super::{Belongings, Erased, Failure};
use crate::{
    authorize::Rejection,
    close::CloseReason,
    envelope::{Envelope, Subject},
    handle::Spark,
    message::{Message, Payload},
    request::BoxFuture,
    session::{Lane, MailBox, OnData, poll_mail},
};

/// Messages that are served before the carrier is served again.
const TURN: usize = 64;
/// Requests of one client that are served at the same time.
const AT_ONCE: usize = 64;

type Answering = BoxFuture<'static, Result<Payload, Failure>>;

/// What a spark's listeners are busy with.
#[derive(Default)]
pub(crate) struct Serve {
    event: Option<BoxFuture<'static, ()>>,
    requests: Vec<(u64, String, Answering)>,
}

impl Serve {
    pub(crate) fn is_idle(&self) -> bool {
        self.event.is_none() && self.requests.is_empty()
    }
}

/// A spark whose messages are to be served.
pub(crate) struct Served<'a, M> {
    pub(crate) mailbox: &'a M,
    pub(crate) spark: &'a Spark,
    pub(crate) belongings: Option<&'a Belongings>,
    /// `on_data`.
    pub(crate) data: Option<&'a OnData>,
    /// The handler is over, so nobody else reads.
    pub(crate) alone: bool,
}

/// Serves what has come, until nothing is left or everything waits. True: there may be more at once.
pub(crate) fn serve<M: MailBox>(served: &Served<'_, M>, cx: &mut Context<'_>) -> bool {
    let Served { mailbox, spark, belongings, .. } = *served;
    let busy = belongings.is_some_and(|own| !own.serving().is_idle());
    if !busy && mailbox.mail(|mail| mail.next_lane()).is_none() {
        return false;
    }
    let mut serve = belongings.map(|own| std::mem::take(&mut *own.serving())).unwrap_or_default();
    let more = serve.turn(served, cx);
    if let Some(belongings) = belongings.or_else(|| (!serve.is_idle()).then(|| spark.belongings()))
    {
        *belongings.serving() = serve;
    }
    more
}

impl Serve {
    fn turn<M: MailBox>(&mut self, served: &Served<'_, M>, cx: &mut Context<'_>) -> bool {
        let Served { mailbox, spark, belongings, data, alone } = *served;
        self.poll_requests(spark, cx);
        for _ in 0..TURN {
            if let Some(event) = &mut self.event {
                if event.as_mut().poll(cx).is_pending() {
                    return false;
                }
                self.event = None;
            }
            if self.requests.len() >= AT_ONCE {
                return false;
            }
            let lane = mailbox.mail(|mail| {
                if alone || data.is_some() {
                    mail.next_lane()
                } else {
                    mail.has(Lane::Events).then_some(Lane::Events)
                }
            });
            let Some(lane) = lane else { return false };
            let Poll::Ready(Some(message)) = poll_mail(mailbox, lane, spark, cx) else {
                return false;
            };
            match (lane, data) {
                (Lane::Data, Some(data)) => data(spark, message),
                (Lane::Data, None) => {}
                (Lane::Events, _) => self.begin(spark, belongings, message, cx),
            }
        }
        true
    }

    fn poll_requests(&mut self, spark: &Spark, cx: &mut Context<'_>) {
        self.requests.retain_mut(|(id, name, answering)| match answering.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(answer) => {
                reply(spark, *id, answer.map_err(|failure| explain(spark, name, failure)));
                false
            }
        });
    }

    /// Gives a message to its listeners: those of the spark, else those of its channel.
    fn begin(
        &mut self,
        spark: &Spark,
        belongings: Option<&Belongings>,
        message: Message,
        cx: &mut Context<'_>,
    ) {
        let heading = message.heading();
        let (id, name) = match &heading.subject {
            Subject::Event(name) => (None, name),
            Subject::Request(id, name) => (Some(*id), name),
            _ => return,
        };
        let channel = spark.channel();
        let rules = channel.rules();
        let (mut any, mut own): (Vec<_>, Vec<Erased>) = match belongings {
            None => Default::default(),
            Some(belongings) => {
                let listeners = belongings.listeners();
                (listeners.any().to_vec(), listeners.of(name).to_vec())
            }
        };
        any.extend(rules.any_listeners());
        if own.is_empty() {
            own = rules.listeners_of(name);
        }
        for listener in any {
            listener(spark, name, &message);
        }
        match (id, &own[..]) {
            (None, []) => tracing::debug!(spark = %spark.id(), event = &**name, "nobody listens"),
            (None, _) => {
                let (spark, name) = (spark.clone(), name.to_string());
                drop(heading);
                self.event = Some(Box::pin(async move {
                    for listener in own {
                        if let Err(failure) = listener(spark.clone(), message.clone()).await {
                            fail(&spark, &name, failure);
                        }
                    }
                }));
            }
            (Some(id), []) => {
                let error = format!("nobody listens for {name}");
                reply(spark, id, Err(Rejection::new(http::StatusCode::NOT_FOUND, error)));
            }
            (Some(id), [first, ..]) => {
                let name = name.to_string();
                let mut answering = first(spark.clone(), message.clone());
                match answering.as_mut().poll(cx) {
                    Poll::Pending => self.requests.push((id, name, answering)),
                    Poll::Ready(answer) => {
                        reply(spark, id, answer.map_err(|failure| explain(spark, &name, failure)));
                    }
                }
            }
        }
    }
}

/// An event could not be handled: its sender is told, as an error that it can see.
fn fail(spark: &Spark, name: &str, failure: Failure) {
    if let Failure::Failed(error) = failure {
        match error.downcast::<CloseReason>() {
            Ok(reason) => return spark.end(*reason),
            Err(error) => return fail(spark, name, Failure::Refused(failed(spark, name, &error))),
        }
    }
    let rejection = explain(spark, name, failure);
    spark.tell(
        "primus.error",
        &json!({
            "event": name, "status": rejection.status().as_u16(), "error": rejection.error(),
        }),
    );
}

/// What the client is told of a failure.
fn explain(spark: &Spark, name: &str, failure: Failure) -> Rejection {
    match failure {
        Failure::Refused(rejection) => rejection,
        Failure::Arguments(error) => {
            tracing::debug!(spark = %spark.id(), event = name, %error, "the arguments do not fit");
            let error = error.to_string();
            let error = error.strip_prefix("the message cannot be decoded: ").unwrap_or(&error);
            let error = format!("the arguments of {name} do not fit: {error}");
            Rejection::new(http::StatusCode::BAD_REQUEST, error)
        }
        Failure::Answer(error) => failed(spark, name, &error.into()),
        Failure::Failed(error) => failed(spark, name, &error),
    }
}

/// What went wrong in a listener is for the log, and not for the client.
fn failed(spark: &Spark, event: &str, error: &crate::request::BoxError) -> Rejection {
    tracing::warn!(spark = %spark.id(), event, %error, "a listener failed");
    let error = format!("the listener of {event} failed");
    Rejection::new(http::StatusCode::INTERNAL_SERVER_ERROR, error)
}

/// Answers a request of an application. A value passes the outgoing transforms, a refusal does not.
pub(crate) fn reply(spark: &Spark, id: u64, answer: Result<Payload, Rejection>) {
    // The client may have gone meanwhile.
    let _ = match answer {
        Ok(value) => spark.push(Envelope::reply(id, &value)),
        Err(rejection) => spark.push_own(Envelope::refuse(id, &rejection)),
    };
}
