//! What the application set for a channel, or for all channels of a pattern.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;

use crate::{
    authorize::{Rejection, User},
    close::CloseReason,
    events::{Erased, Listeners, OnAny},
    handle::Spark,
    hooks::{HandlerResult, Hooks},
    plugins::Installed,
    request::BoxFuture,
    rooms::PresenceChange,
};

type Decision<T> = BoxFuture<'static, Result<T, Rejection>>;
type Entry = Arc<dyn Fn(ChannelRequest) -> Decision<User> + Send + Sync>;
type Join = Arc<dyn Fn(Spark, String) -> Decision<()> + Send + Sync>;
type Moved = Arc<dyn Fn(&Spark, &str) + Send + Sync>;
type Presence = Arc<dyn Fn(&str, &PresenceChange) + Send + Sync>;

/// Who wants to enter which channel, and what the client says for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChannelRequest {
    /// The spark of the root.
    pub spark: Spark,
    /// The name of the channel.
    pub channel: String,
    /// What the client gave as the channel's `auth`; null if it gave none.
    pub auth: Value,
}

/// Set at any time; what is there is used when it is needed.
#[derive(Default)]
pub(crate) struct Rules {
    /// What holds where this says nothing: of a channel whose name fits a pattern, the pattern's.
    parent: Option<Arc<Self>>,
    pub(crate) hooks: Hooks,
    listeners: RwLock<Listeners>,
    entry: RwLock<Option<Entry>>,
    join: RwLock<Option<Join>>,
    publish: RwLock<Option<Join>>,
    joined: RwLock<Option<Moved>>,
    left: RwLock<Option<Moved>>,
    presence: RwLock<Option<Presence>>,
}

macro_rules! slots {
    ($($name:ident, $set:ident: $kind:ty;)*) => {$(
        pub(crate) fn $name(&self) -> Option<$kind> {
            let own = self.$name.read().unwrap_or_else(PoisonError::into_inner).clone();
            own.or_else(|| self.parent.as_ref()?.$name())
        }

        pub(crate) fn $set(&self, hook: $kind) {
            *self.$name.write().unwrap_or_else(PoisonError::into_inner) = Some(hook);
        }
    )*};
}

impl Rules {
    /// Of the root, whose sparks plugins see.
    pub(crate) fn of_root(plugins: Arc<Installed>) -> Self {
        Self { hooks: Hooks::new(plugins), ..Self::default() }
    }

    /// Of a channel whose name fits a pattern.
    pub(crate) fn of_pattern(parent: Arc<Self>) -> Self {
        Self { parent: Some(parent), ..Self::default() }
    }

    pub(crate) fn connect(&self, spark: Spark) -> BoxFuture<'static, HandlerResult> {
        match &self.parent {
            Some(parent) if !self.hooks.has_connection() => parent.connect(spark),
            _ => self.hooks.connect(spark),
        }
    }

    pub(crate) fn handler_bytes(&self) -> Option<usize> {
        let own = self.hooks.handler_bytes();
        own.or_else(|| self.parent.as_ref()?.handler_bytes())
    }

    pub(crate) async fn disconnect(&self, spark: Spark, reason: CloseReason) {
        match &self.parent {
            Some(parent) if !self.hooks.has_disconnection() => {
                parent.hooks.disconnect(spark, reason).await;
            }
            _ => self.hooks.disconnect(spark, reason).await,
        }
    }

    /// The listeners of an event: its own, else those of the pattern.
    pub(crate) fn listeners_of(&self, name: &str) -> Vec<Erased> {
        let own = self.listeners().of(name).to_vec();
        match &self.parent {
            Some(parent) if own.is_empty() => parent.listeners_of(name),
            _ => own,
        }
    }

    /// Those of all events: its own, and those of the pattern.
    pub(crate) fn any_listeners(&self) -> Vec<OnAny> {
        let mut any = self.listeners().any().to_vec();
        any.extend(self.parent.iter().flat_map(|parent| parent.any_listeners()));
        any
    }

    pub(crate) fn has_listeners(&self) -> bool {
        let inherited = || self.parent.as_ref().is_some_and(|parent| parent.has_listeners());
        !self.listeners().is_empty() || inherited()
    }

    fn listeners(&self) -> RwLockReadGuard<'_, Listeners> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listeners_mut(&self) -> RwLockWriteGuard<'_, Listeners> {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the listeners of an event away, to be dropped without a lock.
    pub(crate) fn take_listeners(&self, name: &str) -> Option<Vec<Erased>> {
        self.listeners_mut().remove(name)
    }

    slots! {
        entry, set_entry: Entry;
        join, set_join: Join;
        publish, set_publish: Join;
        joined, set_joined: Moved;
        left, set_left: Moved;
        presence, set_presence: Presence;
    }
}
