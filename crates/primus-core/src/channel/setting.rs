//! What an application sets for a channel: hooks and listeners.

use std::sync::Arc;

use super::{ChannelRequest, Rules};
use crate::{
    authorize::Rejection,
    close::CloseReason,
    events::{self, Listener},
    handle::Spark,
    hooks::HandlerResult,
    message::Message,
    names::{self, NameError},
    rooms::PresenceChange,
};

/// What an application sets for a channel, or for all channels of a pattern
/// ([`Primus::channels`](crate::Primus::channels)). A cheap clone.
#[derive(Clone)]
pub struct ChannelRules {
    pub(super) rules: Arc<Rules>,
}

impl ChannelRules {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }

    // ---- hooks ----

    /// Sets the handler of new sparks of this channel, as
    /// [`Primus::on_connection`](crate::Primus::on_connection) does it for the root.
    pub fn on_connection<F, Fut>(&self, handler: F)
    where
        F: Fn(Spark) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        self.rules.hooks.set_connection(handler);
    }

    /// Bytes of the future of that handler, of which every spark has one; `None` without a handler. A
    /// channel of a pattern that has none of its own has the pattern's. That of the root is in
    /// [`Stats`](crate::Stats), too.
    pub fn handler_bytes(&self) -> Option<usize> {
        self.rules.handler_bytes()
    }

    /// Sets what runs when a spark has left this channel, after its handler, with the reason.
    pub fn on_disconnection<F, Fut>(&self, handler: F)
    where
        F: Fn(Spark, CloseReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.rules
            .hooks
            .set_disconnection(Arc::new(move |spark, reason| Box::pin(handler(spark, reason))));
    }

    /// Sets who may enter. What it returns is `spark.user::<T>()` in the channel; without this it is that of the
    /// root. Of the root itself [`Primus::authorize`](crate::Primus::authorize) decides.
    pub fn authorize<F, Fut, U>(&self, f: F)
    where
        F: Fn(ChannelRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, Rejection>> + Send + 'static,
        U: Send + Sync + 'static,
    {
        self.rules.set_entry(Arc::new(move |request| {
            let decision = f(request);
            Box::pin(async move {
                let user: crate::User = Arc::new(decision.await?);
                Ok(user)
            })
        }));
    }

    /// Sets which rooms a client may join by itself (`primus.subscribe` of the client, `?subscribe=`
    /// of an event stream). Without this none. `Spark::join` of the application is not asked about.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// use primus_core::{Rejection, handle::Spark};
    /// primus.root().authorize_join(async |_spark: Spark, room: String| {
    ///     match room.starts_with("prices.") {
    ///         true => Ok(()),
    ///         false => Err(Rejection::forbidden("there are only prices here")),
    ///     }
    /// });
    /// # }
    /// ```
    pub fn authorize_join<F, Fut>(&self, f: F)
    where
        F: Fn(Spark, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        self.rules.set_join(Arc::new(move |spark, room| Box::pin(f(spark, room))));
    }

    /// Sets which rooms a client may publish to by itself, in protocols that have a way to say so (`publish`
    /// of Bayeux). What it publishes then goes to all in the room. Without this to none: it is an event for
    /// the application, and nothing else.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// use primus_core::{Rejection, handle::Spark};
    /// primus.root().authorize_publish(async |spark: Spark, room: String| {
    ///     match spark.is_in(&room) {
    ///         true => Ok(()),
    ///         false => Err(Rejection::forbidden("subscribe first")),
    ///     }
    /// });
    /// # }
    /// ```
    pub fn authorize_publish<F, Fut>(&self, f: F)
    where
        F: Fn(Spark, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        self.rules.set_publish(Arc::new(move |spark, room| Box::pin(f(spark, room))));
    }

    /// Sets what is called when a spark has come into a room.
    pub fn on_join(&self, f: impl Fn(&Spark, &str) + Send + Sync + 'static) {
        self.rules.set_joined(Arc::new(f));
    }

    /// Sets what is called when a spark has left a room, or was in it when it ended.
    pub fn on_leave(&self, f: impl Fn(&Spark, &str) + Send + Sync + 'static) {
        self.rules.set_left(Arc::new(f));
    }

    /// Sets what is called when a member comes to a room or leaves it, given the room. Who is back
    /// within the grace (`detach_grace`, 5 s) did neither. See [`Spark::join_as`].
    pub fn on_presence(&self, f: impl Fn(&str, &PresenceChange) + Send + Sync + 'static) {
        self.rules.set_presence(Arc::new(f));
    }

    // ---- events ----

    /// Adds a listener of an event, for all sparks of this channel. A listener of the same event
    /// that a spark has itself goes before. See [`Spark::on`].
    ///
    /// # Errors
    /// When the name is none for an event, or reserved.
    pub fn on<M>(&self, name: &str, listener: impl Listener<M>) -> Result<(), NameError> {
        names::check_event(name)?;
        let listener = events::erase(listener);
        self.rules.listeners.edit(|listeners| listeners.add(name, listener));
        Ok(())
    }

    /// Takes the listeners of an event away; false if there were none.
    pub fn off(&self, name: &str) -> bool {
        self.rules.listeners.edit(|listeners| listeners.remove(name)).is_some()
    }

    /// Adds a listener of all events that come, before those of their names.
    pub fn on_any(&self, f: impl Fn(&Spark, &str, &Message) + Send + Sync + 'static) {
        self.rules.listeners.edit(|listeners| listeners.add_any(Arc::new(f)));
    }
}

impl std::fmt::Debug for ChannelRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelRules").finish_non_exhaustive()
    }
}
