//! Writing to one spark with options.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    broadcast::show_outgoing,
    envelope::{Envelope, Head},
    events::Requesting,
    handle::Spark,
    message::Payload,
    names,
    packet::Delivery,
    spark::{WriteError, Written},
};

/// What is written next, and what may become of it while it waits. Made by [`Spark::volatile`],
/// [`Spark::conflate`] and [`Spark::compress`].
///
/// ```
/// # fn f(spark: &primus_core::handle::Spark) -> Result<(), primus_core::WriteError> {
/// spark.volatile().write("the mouse is here")?; // or nowhere, if the client cannot take it now
/// spark.conflate("ACME").emit("price", &101.25)?; // of prices that wait, the last
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until something is written"]
pub struct Sending<'a> {
    spark: &'a Spark,
    delivery: Delivery,
    compress: bool,
}

impl<'a> Sending<'a> {
    #[inline]
    pub(crate) fn new(spark: &'a Spark) -> Self {
        Self { spark, delivery: Delivery::Reliable, compress: true }
    }

    /// As [`Spark::volatile`].
    pub fn volatile(mut self) -> Self {
        self.delivery = Delivery::Volatile;
        self
    }

    /// As [`Spark::conflate`].
    pub fn conflate(mut self, key: impl Into<Arc<str>>) -> Self {
        self.delivery = Delivery::Latest(key.into());
        self
    }

    /// As [`Spark::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Writes a value, encoded by the mount's parser. [`Written::Dropped`] if it was dropped.
    ///
    /// # Errors
    /// As [`Spark::write`].
    pub fn write<T: Serialize + ?Sized>(self, value: &T) -> Result<Written, WriteError> {
        let head = self.head(|head| head.data());
        self.encode(head, value)
    }

    /// Writes a payload as it is.
    ///
    /// # Errors
    /// As [`Spark::write`].
    #[inline]
    pub fn write_message(self, payload: impl Into<Payload>) -> Result<Written, WriteError> {
        let payload = payload.into();
        let envelope = match self.spark.channel_name() {
            None => payload.into(),
            channel => Envelope::data(channel, &payload),
        };
        self.send(envelope)
    }

    /// Emits an event: its arguments are encoded by the mount's parser.
    ///
    /// # Errors
    /// As [`Spark::emit`].
    pub fn emit<T: Serialize + ?Sized>(self, name: &str, args: &T) -> Result<Written, WriteError> {
        names::check_event(name)?;
        let head = self.head(|head| head.event(name));
        self.encode(head, args)
    }

    /// Emits an event whose arguments are encoded already.
    ///
    /// # Errors
    /// As [`Spark::emit`].
    pub fn emit_message(self, name: &str, args: impl Into<Payload>) -> Result<Written, WriteError> {
        names::check_event(name)?;
        let head = self.head(|head| head.event(name));
        self.send(Envelope::join(&head, &args.into()))
    }

    /// Asks the client, as [`Spark::request`] does it.
    pub fn request<T>(self, name: &str, args: &(impl Serialize + ?Sized)) -> Requesting<T> {
        let spark = self.spark;
        Requesting::one(spark, |id| {
            names::check_event(name)?;
            let head = self.head(|head| head.request(id, name));
            self.encode(head, args)
        })
    }

    #[inline]
    fn head(&self, write: impl FnOnce(&Head<'_>) -> Vec<u8>) -> Vec<u8> {
        let channel = self.spark.channel_name();
        write(&Head { channel, rooms: &[] })
    }

    fn encode<T: Serialize + ?Sized>(
        self,
        head: Vec<u8>,
        value: &T,
    ) -> Result<Written, WriteError> {
        let parser = &*self.spark.mount().settings().parser;
        let envelope = if head.is_empty() {
            parser.encode(&value)?.into()
        } else {
            Envelope::encode(head, parser, &value)?
        };
        self.send(envelope)
    }

    #[inline]
    fn send(self, envelope: Envelope) -> Result<Written, WriteError> {
        let Self { spark, delivery, compress } = self;
        show_outgoing(spark, &envelope);
        spark.send(envelope.compress(compress), delivery)
    }
}
