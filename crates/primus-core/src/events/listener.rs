//! What can listen to an event, and what it may return.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    authorize::Rejection,
    handle::Spark,
    message::{Message, Payload},
    parser::{DecodeError, EncodeError, encode},
    request::{BoxError, BoxFuture},
};

/// A listener whose types are forgotten.
pub(crate) type Erased = Arc<dyn Fn(Spark, Message) -> Serving + Send + Sync>;

type Serving = BoxFuture<'static, Result<Payload, Failure>>;

/// Why there is no answer.
#[doc(hidden)]
#[derive(Debug)]
pub enum Failure {
    /// The arguments are not what the listener takes.
    Arguments(DecodeError),
    /// What it returned cannot be encoded.
    Answer(EncodeError),
    /// It refused.
    Refused(Rejection),
    /// It failed.
    Failed(BoxError),
}

/// What may listen to an event: an async function of the arguments, or of the spark and the
/// arguments, or of the spark and the [`Message`] as it came. What it returns answers a request; of an event it is dropped. See [`Outcome`].
///
/// ```
/// use primus_core::{Rejection, handle::Spark};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Sum { a: i64, b: i64 }
///
/// async fn connected(spark: Spark) -> Result<(), primus_core::NameError> {
///     spark.on("sum", async |Sum { a, b }: Sum| a + b)?;
///     spark.on("divide", async |Sum { a, b }: Sum| match a.checked_div(b) {
///         Some(quotient) => Ok(quotient),
///         None => Err(Rejection::new(http::StatusCode::BAD_REQUEST, "by zero?")),
///     })?;
///     spark.on("bye", async |spark: Spark, (): ()| spark.reconnect())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot listen to an event",
    note = "a listener is an async function of the arguments, or of the spark and the arguments: `async |args: T| …`, `async |spark: Spark, args: T| …`",
    note = "`T` is deserialized; it returns something that is serialized, or a `Result` of that with a `Rejection` or a boxed error"
)]
pub trait Listener<Marker>: Send + Sync + 'static {
    /// What it does with the arguments, once they are decoded.
    #[doc(hidden)]
    fn serve(&self, spark: Spark, message: Message) -> Serving;
}

impl<F, Fut, T, O, M> Listener<fn(T) -> (O, M)> for F
where
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'static,
    T: DeserializeOwned,
    O: Outcome<M>,
{
    fn serve(&self, spark: Spark, message: Message) -> Serving {
        match message.decode() {
            Ok(args) => finish(self(args), spark),
            Err(error) => Box::pin(async { Err(Failure::Arguments(error)) }),
        }
    }
}

impl<F, Fut, T, O, M> Listener<fn(Spark, T) -> (O, M)> for F
where
    F: Fn(Spark, T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'static,
    T: DeserializeOwned,
    O: Outcome<M>,
{
    fn serve(&self, spark: Spark, message: Message) -> Serving {
        match message.decode() {
            Ok(args) => finish(self(spark.clone(), args), spark),
            Err(error) => Box::pin(async { Err(Failure::Arguments(error)) }),
        }
    }
}

/// That a listener takes the message as it came.
#[doc(hidden)]
pub struct AsItCame;

impl<F, Fut, O, M> Listener<(fn(Spark, Message) -> (O, M), AsItCame)> for F
where
    F: Fn(Spark, Message) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'static,
    O: Outcome<M>,
{
    fn serve(&self, spark: Spark, message: Message) -> Serving {
        finish(self(spark.clone(), message), spark)
    }
}

fn finish<O: Outcome<M>, M>(
    serving: impl Future<Output = O> + Send + 'static,
    spark: Spark,
) -> Serving {
    Box::pin(async move { serving.await.answer(&spark) })
}

pub(crate) fn erase<M>(listener: impl Listener<M>) -> Erased {
    Arc::new(move |spark, message| listener.serve(spark, message))
}

/// What a listener may return: a value, which answers a request, or a [`Payload`] that is encoded already; or a `Result` with a [`Rejection`],
/// which the client gets, or with a boxed error, of which it gets the text only if it is a
/// [`Rejection`] in a box.
pub trait Outcome<Marker> {
    /// The answer.
    #[doc(hidden)]
    fn answer(self, spark: &Spark) -> Result<Payload, Failure>;
}

/// A payload that is encoded already.
#[doc(hidden)]
pub struct Encoded;

impl Outcome<Encoded> for Payload {
    fn answer(self, _: &Spark) -> Result<Payload, Failure> {
        Ok(self)
    }
}

/// Any value.
#[doc(hidden)]
pub struct Value;
/// A `Result` with a refusal.
#[doc(hidden)]
pub struct Refused;
/// A `Result` with any error.
#[doc(hidden)]
pub struct Failed;

impl<T: Serialize> Outcome<Value> for T {
    fn answer(self, spark: &Spark) -> Result<Payload, Failure> {
        encode(&*spark.mount().settings().parser, &self).map_err(Failure::Answer)
    }
}

impl<T: Serialize> Outcome<Refused> for Result<T, Rejection> {
    fn answer(self, spark: &Spark) -> Result<Payload, Failure> {
        self.map_err(Failure::Refused).and_then(|value| value.answer(spark))
    }
}

impl<T: Serialize> Outcome<Failed> for Result<T, BoxError> {
    fn answer(self, spark: &Spark) -> Result<Payload, Failure> {
        match self {
            Ok(value) => value.answer(spark),
            Err(error) => Err(match error.downcast::<Rejection>() {
                Ok(rejection) => Failure::Refused(*rejection),
                Err(error) => Failure::Failed(error),
            }),
        }
    }
}
