//! Who is present in a room.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Somebody who is present in a room: an id of the application's, and what others may know of them.
/// Several sparks (tabs, devices) may be one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The application's name for them, such as the id of a user.
    #[serde(serialize_with = "shared")]
    pub id: Arc<str>,
    /// What others may know.
    #[serde(serialize_with = "shared")]
    pub info: Arc<Value>,
}

fn shared<T: Serialize + ?Sized, S: Serializer>(it: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
    (**it).serialize(to)
}

impl Member {
    /// A member of whom nothing but the id is known.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), info: Arc::new(Value::Null) }
    }

    /// What others may know of them.
    #[must_use]
    pub fn info(mut self, info: impl Into<Value>) -> Self {
        self.info = Arc::new(info.into());
        self
    }
}

/// Members of a room, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Page {
    /// These are on this page.
    pub members: Vec<Member>,
    /// Give it to [`members`](crate::Audience::members) for the next page; `None`: this is the last.
    #[serde(serialize_with = "cursor")]
    pub next: Option<Arc<str>>,
}

fn cursor<S: Serializer>(next: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    next.as_deref().serialize(to)
}

/// Somebody came to a room, or left it for longer than a reconnect takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceChange {
    /// They were not there before.
    Joined(Member),
    /// None of their sparks is there any more.
    Left(Member),
}
