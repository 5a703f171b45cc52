//! The listeners of a spark, or of all sparks of a channel.

use std::{collections::HashMap, sync::Arc};

use super::Erased;
use crate::{handle::Spark, message::Message};

pub(crate) type OnAny = Arc<dyn Fn(&Spark, &str, &Message) + Send + Sync>;

/// By the names of the events.
#[derive(Default, Clone)]
pub(crate) struct Listeners {
    named: HashMap<Box<str>, Vec<Erased>>,
    any: Vec<OnAny>,
    any_outgoing: Vec<OnAny>,
}

impl Listeners {
    pub(crate) fn add(&mut self, name: &str, listener: Erased) {
        self.named.entry(name.into()).or_default().push(listener);
    }

    /// Takes all listeners of an event away. Who drops them does so without a lock.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Vec<Erased>> {
        self.named.remove(name)
    }

    pub(crate) fn add_any(&mut self, listener: OnAny) {
        self.any.push(listener);
    }

    pub(crate) fn add_any_outgoing(&mut self, listener: OnAny) {
        self.any_outgoing.push(listener);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.any.is_empty()
    }

    /// Those of one event, in the order in which they were added.
    pub(crate) fn of(&self, name: &str) -> &[Erased] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those of every event that comes.
    pub(crate) fn any(&self) -> &[OnAny] {
        &self.any
    }

    /// Those of every event that goes.
    pub(crate) fn any_outgoing(&self) -> &[OnAny] {
        &self.any_outgoing
    }
}
