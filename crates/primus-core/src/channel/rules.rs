//! What the application set for a channel, or for all channels of a pattern.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;

use crate::{
    authorize::{Rejection, User},
    events::Listeners,
    handle::Spark,
    hooks::Hooks,
    plugins::Installed,
    request::BoxFuture,
    rooms::PresenceChange,
};

type Decision<T> = BoxFuture<'static, Result<T, Rejection>>;
type Entry = Arc<dyn Fn(Spark, Value) -> Decision<User> + Send + Sync>;
type Join = Arc<dyn Fn(Spark, String) -> Decision<()> + Send + Sync>;
type Moved = Arc<dyn Fn(&Spark, &str) + Send + Sync>;
type Presence = Arc<dyn Fn(&str, &PresenceChange) + Send + Sync>;

/// Set at any time; what is there is used when it is needed.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) hooks: Hooks,
    listeners: RwLock<Listeners>,
    entry: RwLock<Option<Entry>>,
    join: RwLock<Option<Join>>,
    joined: RwLock<Option<Moved>>,
    left: RwLock<Option<Moved>>,
    presence: RwLock<Option<Presence>>,
}

macro_rules! slots {
    ($($name:ident, $set:ident: $kind:ty;)*) => {$(
        pub(crate) fn $name(&self) -> Option<$kind> {
            self.$name.read().unwrap_or_else(PoisonError::into_inner).clone()
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

    pub(crate) fn listeners(&self) -> RwLockReadGuard<'_, Listeners> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listeners_mut(&self) -> RwLockWriteGuard<'_, Listeners> {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner)
    }

    slots! {
        entry, set_entry: Entry;
        join, set_join: Join;
        joined, set_joined: Moved;
        left, set_left: Moved;
        presence, set_presence: Presence;
    }
}
