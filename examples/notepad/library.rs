//! The documents, and who is in them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use axum::http::StatusCode;
use primus::{Channel, Member, Rejection, Spark};
use serde::{Deserialize, Serialize};

use crate::text::{Edit, Id, Run, Text};

/// The most documents.
const MOST: usize = 1000;

/// They are kept for as long as the program runs.
#[derive(Default)]
pub(crate) struct Library(Mutex<HashMap<String, Document>>);

#[derive(Default)]
struct Document {
    text: Text,
    /// How often edits have come.
    version: u64,
    /// Who is here, by the number with which they write.
    people: BTreeMap<u32, Person>,
}

/// Somebody who writes, and the letters behind which the selection begins and ends.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Person {
    by: u32,
    name: String,
    from: Id,
    to: Id,
}

/// A document at one moment, for who opens it.
#[derive(Serialize)]
pub(crate) struct View {
    version: u64,
    runs: Vec<Run>,
    people: Vec<Person>,
}

#[derive(Serialize)]
struct Edited {
    version: u64,
    edits: Vec<Edit>,
}

/// All of these tell while they hold the lock, so that everybody hears things in the same order. That
/// is safe: to emit is to queue, and never waits for a client.
impl Library {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Document>> {
        self.0.lock().unwrap()
    }

    /// A request: what there is. Edits that are emitted from now on have later versions.
    pub(crate) fn enter(&self, spark: &Spark, mut me: Person) -> Result<View, Rejection> {
        let channel = spark.channel();
        // The room has the name of the channel, by which `on_presence` knows which one that is.
        let _ = spark.join_as(channel.name(), Member::new(me.by.to_string()));
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(channel.name()) {
            return Err(Rejection::new(StatusCode::INSUFFICIENT_STORAGE, "no more documents"));
        }
        me.name = me.name.chars().take(24).collect();
        let _ = channel.except(spark).emit("cursor", &me);
        let document = all.entry(channel.name().to_owned()).or_default();
        document.people.insert(me.by, me);
        let people = document.people.values().cloned().collect();
        Ok(View { version: document.version, runs: document.text.runs(), people })
    }

    pub(crate) fn edit(&self, spark: &Spark, mut edits: Vec<Edit>) {
        if let Some(document) = self.lock().get_mut(spark.channel().name()) {
            edits.iter_mut().for_each(|edit| document.text.apply(edit));
            document.version += 1;
            // To everyone: the author's own copy tells that it has been made, and behind which others.
            let _ = spark.channel().emit("edit", &Edited { version: document.version, edits });
        }
    }

    /// A cursor that waits makes room for where it is now.
    pub(crate) fn point(&self, spark: &Spark, mut me: Person) {
        if let Some(document) = self.lock().get_mut(spark.channel().name()) {
            me.name = me.name.chars().take(24).collect();
            let others = spark.channel().except(spark).conflate(format!("cursor {}", me.by));
            let _ = others.emit("cursor", &me);
            document.people.insert(me.by, me);
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<String, StatusCode> {
        let all = self.lock();
        let document = all.get(&format!("/doc/{name}")).ok_or(StatusCode::NOT_FOUND)?;
        Ok(document.text.read())
    }

    /// Nobody with this number is in the document any more.
    pub(crate) fn leave(&self, channel: &Channel, by: u32) {
        if let Some(document) = self.lock().get_mut(channel.name()) {
            document.people.remove(&by);
            let _ = channel.emit("left", &by);
        }
    }
}
