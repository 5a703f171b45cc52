//! Writing to one spark with options.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    handle::Spark,
    message::{Message, Payload},
    packet::Delivery,
    spark::{WriteError, Written},
};

/// What is written next, and what may become of it while it waits. Made by
/// [`Spark::volatile`] and [`Spark::conflate`].
///
/// ```
/// # fn f(spark: &primus_core::handle::Spark) -> Result<(), primus_core::WriteError> {
/// spark.volatile().write("the mouse is here")?; // or nowhere, if the client cannot take it now
/// spark.conflate("ACME").write(&101.25)?; // of prices that wait, the last
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until something is written"]
pub struct Sending<'a> {
    spark: &'a Spark,
    delivery: Delivery,
}

impl<'a> Sending<'a> {
    pub(crate) fn new(spark: &'a Spark, delivery: Delivery) -> Self {
        Self { spark, delivery }
    }

    /// Writes a value, encoded by the mount's parser. [`Written::Dropped`] if it was dropped.
    ///
    /// # Errors
    /// As [`Spark::write`].
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<Written, WriteError> {
        let payload = crate::parser::encode(&*self.spark.mount().settings().parser, value)?;
        self.write_message(payload)
    }

    /// Writes a payload as it is.
    ///
    /// # Errors
    /// As [`Spark::write`].
    pub fn write_message(&self, payload: impl Into<Payload>) -> Result<Written, WriteError> {
        let parser = Arc::clone(&self.spark.mount().settings().parser);
        self.spark.send(Message::new(payload, parser), self.delivery.clone())
    }
}
