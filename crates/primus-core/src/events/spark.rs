//! A spark and its events.

use std::sync::Arc;

use serde::Serialize;

use super::{Listener, Requesting, erase};
use crate::{
    handle::Spark,
    message::Message,
    names::{self, NameError},
    spark::{WriteError, Written},
};

impl Spark {
    /// Adds a listener of an event, or of a request, which what it returns answers. A spark with
    /// listeners stays when the connection handler returns, and holds no future.
    ///
    /// Listeners of events run one after the other, in the order of the messages. The listener of a
    /// request begins in its turn; what is behind it does not wait for its answer. Of several
    /// listeners of one name all hear an event, and the first answers a request. Those of the spark
    /// go before those of its channel ([`ChannelRules::on`](crate::channel::ChannelRules::on)).
    ///
    /// Arguments that do not fit are told to the client, with the path of the field: as the refusal
    /// of a request (400), or as its `error` event.
    ///
    /// ```
    /// # fn f(spark: &primus_core::handle::Spark) -> Result<(), primus_core::NameError> {
    /// use primus_core::handle::Spark;
    /// spark.on("add", async |numbers: Vec<i64>| numbers.iter().sum::<i64>())?;
    /// spark.on("shout", async |spark: Spark, text: String| {
    ///     let _ = spark.channel().except(&spark).emit("shout", &text.to_uppercase());
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the name is none for an event, or reserved.
    pub fn on<M>(&self, name: &str, listener: impl Listener<M>) -> Result<(), NameError> {
        names::check_event(name)?;
        self.belongings().listeners_mut().add(name, erase(listener));
        self.look_again();
        Ok(())
    }

    /// Takes the spark's own listeners of an event away; false if there were none.
    pub fn off(&self, name: &str) -> bool {
        let removed = self.belongings_if_any().and_then(|own| own.listeners_mut().remove(name));
        removed.is_some()
    }

    /// Adds a listener of all events that come, before those of their names.
    pub fn on_any(&self, f: impl Fn(&Self, &str, &Message) + Send + Sync + 'static) {
        self.belongings().listeners_mut().add_any(Arc::new(f));
        self.look_again();
    }

    /// Adds a listener of all events that go to this spark, before the outgoing transforms.
    pub fn on_any_outgoing(&self, f: impl Fn(&Self, &str, &Message) + Send + Sync + 'static) {
        let belongings = self.belongings();
        belongings.listeners_mut().add_any_outgoing(Arc::new(f));
        belongings.hear_outgoing();
    }

    /// Emits an event. Never waits: see [`Written::Pressured`].
    ///
    /// ```
    /// # fn f(spark: &primus_core::handle::Spark) -> Result<(), primus_core::WriteError> {
    /// spark.emit("moved", &(3, 4))?;
    /// spark.emit("bye", &())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`write`](Self::write), and when the name is none for an event, or reserved.
    pub fn emit<T: Serialize + ?Sized>(&self, name: &str, args: &T) -> Result<Written, WriteError> {
        self.sending().emit(name, args)
    }

    /// Emits an event whose arguments are encoded already, such as those of one that came:
    /// `spark.emit_message("echo", message)`.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_message(
        &self,
        name: &str,
        args: impl Into<crate::message::Payload>,
    ) -> Result<Written, WriteError> {
        self.sending().emit_message(name, args)
    }

    /// Asks the client: the value that its listener of `name` returns is the answer. It is waited for
    /// for 30 s unless [`timeout`](Requesting::timeout) says otherwise, over any loss of the
    /// connection that the session survives. The answer is read however much waits ahead of it for
    /// the handler.
    ///
    /// ```
    /// # async fn f(spark: &primus_core::handle::Spark) -> Result<(), primus_core::RequestError> {
    /// let size: (u32, u32) = spark.request("window size", &()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it is awaited: see [`RequestError`](super::RequestError).
    pub fn request<T>(&self, name: &str, args: &(impl Serialize + ?Sized)) -> Requesting<T> {
        self.sending().request(name, args)
    }
}
