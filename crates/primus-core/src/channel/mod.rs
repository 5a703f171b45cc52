//! Channels: named sub-applications that share the sessions of a server. The root is one of them.

mod pattern;
mod rules;
mod seat;

use std::{
    collections::HashMap,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::Serialize;

pub use self::rules::ChannelRequest;
pub(crate) use self::{pattern::Pattern, rules::Rules, seat::Seat};
use crate::{
    authorize::Rejection,
    broadcast::Audience,
    close::CloseReason,
    envelope::{Envelope, Head},
    events::{self, Listener},
    handle::Spark,
    hooks::HandlerResult,
    id::SparkId,
    message::{Message, Payload},
    names::{self, NameError},
    packet::{Delivery, Outgoing, Packet},
    parser::EncodeError,
    rooms::{Keep, Member, NotAvailable, Position, PresenceChange, Rooms},
    shared::Shared,
};

/// A sub-application with handlers, rooms and sparks of its own, over the sessions that are there. A
/// cheap clone. Made by [`Primus::channel`](crate::Primus::channel).
///
/// ```
/// # fn f(primus: &primus_core::Primus) -> Result<(), primus_core::NameError> {
/// use primus_core::{ChannelRequest, Rejection, handle::Spark};
/// let admin = primus.channel("/admin")?;
/// admin.authorize(async |request: ChannelRequest| match request.auth["secret"].as_str() {
///     Some("xyzzy") => Ok("root".to_owned()),
///     _ => Err(Rejection::forbidden("who are you?")),
/// });
/// admin.on("shutdown", async |spark: Spark, (): ()| {
///     println!("{:?} wants to go home", spark.user::<String>());
/// })?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    /// Empty: the root.
    name: Box<str>,
    /// Whether it is one of those that a pattern stands for.
    dynamic: bool,
    rules: ChannelRules,
    rooms: Rooms,
    /// Of every channel but the root, whose sparks the mounts know.
    sparks: RwLock<HashMap<SparkId, Spark>>,
    /// Sessions that are in it, or about to enter.
    visits: AtomicUsize,
    shared: Weak<Shared>,
}

/// Keeps a channel where it is, while a session is in it or about to enter.
pub(crate) struct Visit {
    channel: Channel,
}

impl Visit {
    /// To be called where no channel can be forgotten meanwhile.
    pub(crate) fn new(channel: &Channel) -> Self {
        channel.inner.visits.fetch_add(1, Ordering::AcqRel);
        Self { channel: channel.clone() }
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.channel.inner.visits.fetch_sub(1, Ordering::AcqRel);
        if let Some(shared) = self.channel.shared() {
            shared.forget_channel(&self.channel);
        }
    }
}

impl Channel {
    pub(crate) fn new(name: &str, dynamic: bool, rules: Arc<Rules>, shared: Weak<Shared>) -> Self {
        let inner = Inner {
            name: name.into(),
            dynamic,
            rules: ChannelRules::new(rules),
            rooms: Rooms::new(),
            sparks: RwLock::default(),
            visits: AtomicUsize::new(0),
            shared,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The name; empty of the root.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The name, as frames have it.
    pub(crate) fn on_wire(&self) -> Option<&str> {
        (!self.inner.name.is_empty()).then_some(&*self.inner.name)
    }

    pub(crate) fn is_root(&self) -> bool {
        self.inner.name.is_empty()
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules.rules
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.inner.rooms
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.inner.shared.upgrade()
    }

    // ---- sparks ----

    /// All its sparks, to write to.
    pub fn everyone(&self) -> Audience {
        Audience::of_channel(self)
    }

    /// All its sparks but one.
    pub fn except(&self, spark: &Spark) -> Audience {
        self.everyone().except(spark)
    }

    /// The sparks in a room of this channel. A room name is a room name: there are no wildcards.
    pub fn room(&self, name: &str) -> Audience {
        self.everyone().room(name)
    }

    /// Writes a value to all its sparks. Returns how many it was queued for.
    ///
    /// # Errors
    /// When a parser cannot encode the value.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize, EncodeError> {
        self.everyone().write(value)
    }

    /// Writes a payload as it is to all its sparks. Returns how many it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        self.everyone().write_message(payload)
    }

    /// Emits an event to all its sparks. Returns how many it was queued for.
    ///
    /// # Errors
    /// As [`Audience::emit`].
    pub fn emit<T: Serialize + ?Sized>(
        &self,
        name: &str,
        args: &T,
    ) -> Result<usize, crate::EmitError> {
        self.everyone().emit(name, args)
    }

    /// How many sparks there are.
    pub fn len(&self) -> usize {
        if self.is_root() {
            let mounts = self.shared().map(|shared| shared.mounts()).unwrap_or_default();
            return mounts.iter().map(|mount| mount.sessions()).sum();
        }
        self.sparks().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The spark with this id, if it is here.
    pub fn spark(&self, id: SparkId) -> Option<Spark> {
        if self.is_root() {
            return self.shared()?.mounts().iter().find_map(|mount| mount.spark(id));
        }
        self.sparks().get(&id).cloned()
    }

    fn sparks(&self) -> RwLockReadGuard<'_, HashMap<SparkId, Spark>> {
        self.inner.sparks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sparks_mut(&self) -> RwLockWriteGuard<'_, HashMap<SparkId, Spark>> {
        self.inner.sparks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is in it, nothing is kept in it, and a pattern makes it again.
    pub(crate) fn is_needless(&self) -> bool {
        self.inner.dynamic
            && self.inner.visits.load(Ordering::Acquire) == 0
            && self.sparks().is_empty()
            && self.inner.rooms.names().is_empty()
    }

    /// All sparks of a channel that is not the root.
    pub(crate) fn all(&self) -> Vec<Spark> {
        self.sparks().values().cloned().collect()
    }

    // ---- rooms ----

    /// The names of the rooms that have members, or keep their history.
    pub fn rooms_by_name(&self) -> Vec<Arc<str>> {
        self.inner.rooms.names()
    }

    /// Lets a room keep the last of what is said in it, from now on; `None`: not any more. A room
    /// that keeps is there also without members, so let it go when it is not needed.
    ///
    /// # Errors
    /// When the name is none for a room.
    pub fn keep(&self, room: &str, keep: impl Into<Option<Keep>>) -> Result<(), NameError> {
        names::check(room)?;
        self.inner.rooms.keep(room, keep.into());
        Ok(())
    }

    /// The last messages that a room has kept, oldest first, at most `most`.
    pub fn history(&self, room: &str, most: usize) -> Vec<Message> {
        let room = self.inner.rooms.get(room);
        room.and_then(|room| Some(room.history().as_mut()?.messages(most))).unwrap_or_default()
    }

    /// Where a room that keeps its history is.
    pub fn position(&self, room: &str) -> Option<Position> {
        Some(self.inner.rooms.get(room)?.history().as_ref()?.position())
    }

    /// What was said in a room behind `position`: all of it, oldest first.
    ///
    /// # Errors
    /// When something of it is not kept any more, or never was.
    pub fn since(&self, room: &str, position: &Position) -> Result<Vec<Message>, NotAvailable> {
        let room = self.inner.rooms.get(room).ok_or(NotAvailable)?;
        let mut history = room.history();
        history.as_mut().ok_or(NotAvailable)?.messages_since(position)
    }

    pub(crate) fn tell_joined(&self, spark: &Spark, room: &str) {
        if let Some(joined) = self.rules().joined() {
            quietly("on_join", || joined(spark, room));
        }
    }

    pub(crate) fn tell_left(&self, spark: &Spark, room: &str) {
        if let Some(left) = self.rules().left() {
            quietly("on_leave", || left(spark, room));
        }
    }

    pub(crate) fn tell_presence(&self, room: &str, change: &PresenceChange) {
        self.show_presence(room, change);
        if let Some(presence) = self.rules().presence() {
            quietly("on_presence", || presence(room, change));
        }
    }

    /// Tells those in the room whose clients want to know.
    fn show_presence(&self, room: &str, change: &PresenceChange) {
        let Some(shared) = self.shared().filter(|shared| shared.shows_presence()) else { return };
        let sparks = self.inner.rooms.get(room).map(|room| room.sparks()).unwrap_or_default();
        let (kind, member) = match change {
            PresenceChange::Joined(member) => ("join", member),
            PresenceChange::Left(member) => ("leave", member),
        };
        let mut packet = None;
        for spark in sparks.iter().filter(|spark| spark.session().hears_presence()) {
            let packet = packet.get_or_insert_with(|| {
                let said = serde_json::json!({ "room": room, "type": kind, "id": &*member.id, "info": &*member.info });
                let head = Head { channel: self.on_wire(), rooms: &[] }.event("primus.presence");
                shared.counters.count_encoded();
                let envelope = Envelope::join(&head, &said.to_string().into());
                Arc::new(Packet::new(envelope, Arc::clone(&shared.counters)))
            });
            // One that is over, or has no room for it, hears nothing any more.
            let outgoing = Outgoing::Shared(Arc::clone(packet));
            let _ = spark.session().push(outgoing, Delivery::Reliable);
        }
    }

    /// A member's spark that is over may be back within the grace.
    pub(crate) fn depart(&self, room: &str, member: &Member) {
        let (Some(shared), Some(room)) = (self.shared(), self.inner.rooms.get(room)) else {
            return;
        };
        shared.departures.begin(shared.settings.grace(), self, &room, &member.id);
    }
}

/// What an application sets for a channel, or for all channels of a pattern
/// ([`Primus::channels`](crate::Primus::channels)). A cheap clone.
#[derive(Clone)]
pub struct ChannelRules {
    rules: Arc<Rules>,
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
        self.rules.hooks.set_connection(Arc::new(move |spark| Box::pin(handler(spark))));
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
        self.rules.listeners_mut().add(name, events::erase(listener));
        Ok(())
    }

    /// Takes the listeners of an event away; false if there were none.
    pub fn off(&self, name: &str) -> bool {
        self.rules.take_listeners(name).is_some()
    }

    /// Adds a listener of all events that come, before those of their names.
    pub fn on_any(&self, f: impl Fn(&Spark, &str, &Message) + Send + Sync + 'static) {
        self.rules.listeners_mut().add_any(Arc::new(f));
    }
}

impl std::fmt::Debug for ChannelRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelRules").finish_non_exhaustive()
    }
}

/// Hooks and listeners.
impl Deref for Channel {
    type Target = ChannelRules;

    fn deref(&self) -> &ChannelRules {
        &self.inner.rules
    }
}

/// Calls a hook that is told of something: if it panics, what told it goes on.
fn quietly(hook: &str, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!(hook, "a hook panicked");
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Channel {}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Channel").field(&self.name()).finish()
    }
}
