//! What the application set for a channel, or for all channels of a pattern.

use std::sync::{Arc, PoisonError, RwLock};

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
    snapshot::Snapshot,
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
    pub(super) listeners: Snapshot<Listeners>,
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
            let mut slot = self.$name.write().unwrap_or_else(PoisonError::into_inner);
            let before = slot.replace(hook);
            drop(slot);
            drop(before); // what it holds is the application's: not under the lock
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
        let own = self.listeners.look();
        let own = own.as_deref().map_or(&[][..], |own| own.of(name));
        match &self.parent {
            Some(parent) if own.is_empty() => parent.listeners_of(name),
            _ => own.to_vec(),
        }
    }

    /// Those of all events: its own, and those of the pattern.
    pub(crate) fn any_listeners(&self) -> Vec<OnAny> {
        let own = self.listeners.look();
        let mut any = own.as_deref().map_or_else(Vec::new, |own| own.any().to_vec());
        any.extend(self.parent.iter().flat_map(|parent| parent.any_listeners()));
        any
    }

    pub(crate) fn has_listeners(&self) -> bool {
        let inherited = || self.parent.as_ref().is_some_and(|parent| parent.has_listeners());
        self.listeners.look().as_deref().is_some_and(|own| !own.is_empty()) || inherited()
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Barrier, mpsc::channel},
        thread,
        time::Duration,
    };

    use super::*;
    use crate::events::erase;

    #[test]
    fn an_event_finds_its_listeners_while_somebody_has_their_lock() {
        let pattern = Arc::new(Rules::default());
        pattern.listeners.edit(|all| all.add("moved", erase(async |(): ()| ())));
        let rules = Rules::of_pattern(Arc::clone(&pattern));
        rules.listeners.edit(|own| own.add_any(Arc::new(|_, _, _| ())));
        let found = || {
            let named = ["moved", "other"].map(|name| rules.listeners_of(name).len());
            (named, rules.any_listeners().len(), rules.has_listeners())
        };
        let (turn, (sender, came)) = (Barrier::new(2), channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                found();
                turn.wait();
                turn.wait();
                sender.send(found()).unwrap();
            });
            turn.wait();
            let held = (pattern.listeners.hold(), rules.listeners.hold());
            turn.wait();
            let came = came.recv_timeout(Duration::from_secs(10));
            drop(held);
            assert_eq!(came, Ok(([1, 0], 1, true)));
        });
    }
}
