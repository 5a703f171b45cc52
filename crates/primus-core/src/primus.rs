//! The server handle.

use std::{
    future::Future,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use async_trait::async_trait;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::{Mutex, watch};

use crate::{
    authorize::{AuthorizeRequest, Authorizer, Rejection, User},
    broadcast::{Audience, EmitError},
    channel::{Channel, ChannelRules},
    close::CloseReason,
    events::Listener,
    handle::Spark,
    hooks::HandlerResult,
    id::SparkId,
    message::Payload,
    middleware::Middlewares,
    mount::Mount,
    names::NameError,
    packet::FrameCounters,
    parser::EncodeError,
    plugins::Plugins,
    settings::{MountSettings, Settings},
    shared::{Phase, Shared},
    transform::Transforms,
    transformer::Transformer,
};

/// The server: a cheap clone. Handlers, broadcast, the end. It has one or more [`Mount`]s.
///
/// Applications use `primus::Primus` of the facade, which adds configuration and listening and
/// derefs to this.
#[derive(Clone)]
pub struct Primus {
    pub(crate) shared: Arc<Shared>,
    mounts: Arc<[Arc<Mount>]>,
    pub(crate) listeners: Arc<watch::Sender<usize>>,
    pub(crate) ending: Arc<Mutex<()>>,
}

/// A listener that lives; the end waits until it is dropped.
pub struct ListenerGuard {
    primus: Primus,
}

impl ListenerGuard {
    /// Resolves with the phase once listeners are to close.
    pub async fn closing(&self) -> Phase {
        let mut phase = self.primus.shared.phase.subscribe();
        phase
            .wait_for(|phase| phase.closing)
            .await
            .map_or_else(|_| Phase::default(), |phase| *phase)
    }

    /// Counts connections that the listener cut.
    pub fn cut(&self, connections: usize) {
        self.primus.shared.tally.connections_cut.fetch_add(connections, Ordering::Relaxed);
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        self.primus.listeners.send_modify(|count| *count -= 1);
    }
}

impl Primus {
    /// Puts a server together from parts that are valid already; the facade's builder checks them.
    pub fn new(
        settings: Settings,
        transforms: Transforms,
        mounts: impl IntoIterator<Item = (MountSettings, Vec<Arc<dyn Transformer>>)>,
    ) -> Self {
        let shared = Shared::new(settings, transforms);
        let mounts: Arc<[_]> = mounts
            .into_iter()
            .map(|(settings, transformers)| Mount::new(settings, transformers, Arc::clone(&shared)))
            .collect();
        shared.set_mounts(&mounts);
        Self { shared, mounts, listeners: Arc::new(watch::Sender::new(0)), ending: Arc::default() }
    }

    // ---- hooks ----

    /// Sets the handler of new sparks. When it returns, its spark ends, unless it set `on_data`.
    ///
    /// An error ends the spark with [`CloseReason::HANDLER_FAILED`], or with the reason itself if
    /// the error is a [`CloseReason`]. A panic does the same and touches nothing else.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// primus.on_connection(async |mut spark| {
    ///     while let Some(message) = spark.next().await {
    ///         spark.write_message(message)?;
    ///     }
    ///     Ok(())
    /// });
    /// # }
    /// ```
    pub fn on_connection<F, Fut>(&self, handler: F)
    where
        F: Fn(Spark) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        self.shared.hooks().set_connection(handler);
    }

    /// Sets what runs when a spark is over, after its handler, with the reason.
    pub fn on_disconnection<F, Fut>(&self, handler: F)
    where
        F: Fn(Spark, CloseReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.shared
            .hooks()
            .set_disconnection(Arc::new(move |spark, reason| Box::pin(handler(spark, reason))));
    }

    /// Sets what runs when a spark has lost its carrier and waits for its client, with the reason.
    /// `on_resume` or `on_disconnection` follows.
    pub fn on_detach<F, Fut>(&self, handler: F)
    where
        F: Fn(Spark, CloseReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.shared
            .hooks()
            .set_detach(Arc::new(move |spark, reason| Box::pin(handler(spark, reason))));
    }

    /// Sets what runs when the client of a detached spark is back. Its handler went on all the
    /// time, and nothing was lost.
    pub fn on_resume<F, Fut>(&self, handler: F)
    where
        F: Fn(Spark) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.shared.hooks().set_resume(Arc::new(move |spark| Box::pin(handler(spark))));
    }

    /// Sets who may come back to a session that he had: asked with the user that
    /// [`authorize`](Self::authorize) returned, and the request of now. `authorize` does not run
    /// again. Who is refused is told so; the session goes on waiting.
    ///
    /// Without this, who knows the session's key may come back, as long as
    /// [`expires`](Self::expires) lies ahead.
    ///
    /// ```
    /// # fn banned(name: &str) -> bool { false }
    /// # fn f(primus: &primus_core::Primus) {
    /// use std::sync::Arc;
    /// use primus_core::{AuthorizeRequest, Rejection};
    /// primus.reauthorize(async |name: Arc<String>, request: AuthorizeRequest| match banned(&name) {
    ///     false => Ok(()),
    ///     true => Err(Rejection::forbidden("you have been banned")),
    /// });
    /// # }
    /// ```
    pub fn reauthorize<F, Fut, U>(&self, f: F)
    where
        F: Fn(Arc<U>, AuthorizeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Rejection>> + Send + 'static,
        U: Send + Sync + 'static,
    {
        self.shared.hooks().set_reauthorize(Arc::new(move |user, request| {
            match user.map(|user| user.downcast::<U>()) {
                Some(Ok(user)) => Box::pin(f(user, request)),
                _ => Box::pin(async {
                    tracing::error!("reauthorize takes another type than authorize returns");
                    Err(StatusCode::INTERNAL_SERVER_ERROR.into())
                }),
            }
        }));
    }

    /// Sets until when a user may come back to a session; `None`: as long as the session waits.
    /// After that the session is gone for its client, and `authorize` decides on a new one.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// use std::time::SystemTime;
    /// struct User { token_ends: SystemTime }
    /// primus.expires(|user: &User| Some(user.token_ends));
    /// # }
    /// ```
    pub fn expires<F, U>(&self, f: F)
    where
        F: Fn(&U) -> Option<SystemTime> + Send + Sync + 'static,
        U: 'static,
    {
        self.shared.hooks().set_expiry(Arc::new(move |user| f(user.downcast_ref::<U>()?)));
    }

    /// Sets who may open a session. What it returns is `spark.user::<T>()`.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// use primus_core::{AuthorizeRequest, Rejection};
    /// primus.authorize(async |request: AuthorizeRequest| match request.query("token") {
    ///     Some(token) => Ok(token),
    ///     None => Err(Rejection::unauthorized("no token")),
    /// });
    /// # }
    /// ```
    pub fn authorize<F, Fut, U>(&self, f: F)
    where
        F: Fn(AuthorizeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, Rejection>> + Send + 'static,
        U: Send + Sync + 'static,
    {
        struct FromFn<F>(F);

        #[async_trait]
        impl<F, Fut, U> Authorizer for FromFn<F>
        where
            F: Fn(AuthorizeRequest) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<U, Rejection>> + Send + 'static,
            U: Send + Sync + 'static,
        {
            async fn authorize(&self, request: AuthorizeRequest) -> Result<User, Rejection> {
                let user = (self.0)(request).await?;
                Ok(Arc::new(user))
            }
        }

        self.authorize_with(FromFn(f));
    }

    /// As [`authorize`](Self::authorize), by a type of one's own.
    pub fn authorize_with(&self, authorizer: impl Authorizer) {
        self.shared.hooks().set_authorizer(Arc::new(authorizer));
    }

    /// Adds a listener of an event, for all sparks of the root. See [`Spark::on`].
    ///
    /// # Errors
    /// When the name is none for an event, or reserved.
    pub fn on<M>(&self, name: &str, listener: impl Listener<M>) -> Result<(), NameError> {
        self.root().on(name, listener)
    }

    /// Takes the listeners of an event away that were added by [`on`](Self::on).
    pub fn off(&self, name: &str) -> bool {
        self.root().off(name)
    }

    // ---- channels ----

    /// The root channel: what everybody is in. Its rooms have the hooks
    /// [`authorize_join`](crate::channel::ChannelRules::authorize_join), [`on_join`](crate::channel::ChannelRules::on_join),
    /// [`on_leave`](crate::channel::ChannelRules::on_leave) and [`on_presence`](crate::channel::ChannelRules::on_presence).
    pub fn root(&self) -> &Channel {
        self.shared.root()
    }

    /// The channel of this name. A client may enter it once this has been called.
    ///
    /// # Errors
    /// When the name is none for a channel.
    pub fn channel(&self, name: &str) -> Result<Channel, NameError> {
        self.shared.make_channel(name)
    }

    /// What all channels have in common whose names fit a pattern, in which each `*` stands for one
    /// character or more: its hooks and listeners. Such a channel is there as soon as a client asks
    /// for it, and goes with its last spark; what [`channel`](Self::channel) sets for one of them goes
    /// before what the pattern has.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) -> Result<(), primus_core::NameError> {
    /// let documents = primus.channels("/doc/*")?;
    /// documents.on_connection(async |spark| {
    ///     spark.on_data(|spark, message| drop(spark.channel().write_message(message)));
    ///     Ok(println!("{} is in {}", spark.id(), spark.channel().name()))
    /// });
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the pattern could not stand for a name.
    pub fn channels(&self, pattern: &str) -> Result<ChannelRules, NameError> {
        self.shared.make_pattern(pattern)
    }

    // ---- the rest ----

    /// The HTTP middleware, which can be changed at any time.
    pub fn middleware(&self) -> &Middlewares {
        &self.shared.middlewares
    }

    /// The plugins, which can be changed at any time.
    pub fn plugins(&self) -> Plugins<'_> {
        Plugins::of(self)
    }

    // ---- sparks ----

    /// The mounts.
    pub fn mounts(&self) -> &[Arc<Mount>] {
        &self.mounts
    }

    /// The mount at exactly this path.
    pub fn mount(&self, path: &str) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| &*mount.settings().path == path)
    }

    /// How many sessions have a carrier, or had one a moment ago (`detach_grace`, 5 s).
    pub fn connected(&self) -> usize {
        self.shared.connected_count()
    }

    /// How many sessions there are, with a carrier or without.
    pub fn sessions(&self) -> usize {
        self.mounts.iter().map(|mount| mount.sessions()).sum()
    }

    /// Bytes that are kept for clients: written and not acknowledged, or waiting. What is shared
    /// by several is counted once.
    pub fn kept(&self) -> usize {
        let mut bytes = self.shared.counters.shared_bytes();
        for mount in self.mounts.iter() {
            bytes += mount.kept();
        }
        bytes
    }

    /// The spark with this id, if it lives.
    pub fn spark(&self, id: SparkId) -> Option<Spark> {
        self.mounts.iter().find_map(|mount| mount.spark(id))
    }

    /// Visits every spark until `visit` breaks; what it broke with is returned. Sparks that come
    /// or go meanwhile may or may not be visited.
    pub fn for_each<B>(&self, mut visit: impl FnMut(Spark) -> ControlFlow<B>) -> Option<B> {
        for mount in self.mounts.iter() {
            let mut broke = None;
            mount.registry.visit(|session| match visit(Spark::from_session(session)) {
                ControlFlow::Continue(()) => true,
                ControlFlow::Break(value) => {
                    broke = Some(value);
                    false
                }
            });
            if broke.is_some() {
                return broke;
            }
        }
        None
    }

    /// As [`for_each`](Self::for_each), one after the other, awaiting each. Sparks that end before
    /// their turn are skipped; sparks that come after the call are not visited.
    pub async fn for_each_async<B, Fut>(&self, mut visit: impl FnMut(Spark) -> Fut) -> Option<B>
    where
        Fut: Future<Output = ControlFlow<B>>,
    {
        let mut ids = Vec::new();
        let _: Option<()> = self.for_each(|spark| {
            ids.push(spark.id());
            ControlFlow::Continue(())
        });
        for id in ids {
            if let Some(spark) = self.spark(id)
                && let ControlFlow::Break(value) = visit(spark).await
            {
                return Some(value);
            }
        }
        None
    }

    /// All sparks of all mounts, to write to.
    pub fn everyone(&self) -> Audience {
        Audience::of_mounts(self.shared.root(), self.mounts.to_vec())
    }

    /// The sparks in a room. A room name is a room name: there are no wildcards.
    pub fn room(&self, name: &str) -> Audience {
        self.everyone().room(name)
    }

    /// All sparks but one.
    pub fn except(&self, spark: &Spark) -> Audience {
        self.everyone().except(spark)
    }

    /// Writes a value to every spark: encoded once for each parser, framed once for each wire
    /// form. Returns how many it was queued for.
    ///
    /// # Errors
    /// When a parser cannot encode the value.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize, EncodeError> {
        self.everyone().write(value)
    }

    /// Writes a payload as it is to every spark. Returns how many it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        self.everyone().write_message(payload)
    }

    /// Emits an event to every spark. Returns how many it was queued for.
    ///
    /// # Errors
    /// As [`Audience::emit`].
    pub fn emit<T: Serialize + ?Sized>(&self, name: &str, args: &T) -> Result<usize, EmitError> {
        self.everyone().emit(name, args)
    }

    /// How often broadcasts were encoded and framed.
    pub fn frame_counters(&self) -> &FrameCounters {
        &self.shared.counters
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    // ---- listeners ----

    /// Registers a listener, so that the end closes it and waits for it.
    pub fn listener(&self) -> ListenerGuard {
        self.listeners.send_modify(|count| *count += 1);
        ListenerGuard { primus: self.clone() }
    }

    /// Whether the server is ending.
    pub fn phase(&self) -> Phase {
        *self.shared.phase.borrow()
    }
}

impl std::fmt::Debug for Primus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Primus").field("mounts", &self.mounts).finish_non_exhaustive()
    }
}
