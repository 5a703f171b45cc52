//! What was said in a room, for who comes later.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{id::Secret, message::Message, packet::Packet, parser::Parser};

/// How much a room keeps of what is said in it: the oldest message goes as soon as one of these is
/// passed.
///
/// ```
/// use std::time::Duration;
/// use primus_core::Keep;
/// let keep = Keep::messages(100).age(Duration::from_secs(600));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    messages: usize,
    age: Duration,
    bytes: usize,
}

impl Keep {
    /// The last so many messages.
    pub fn messages(messages: usize) -> Self {
        Self { messages, age: Duration::MAX, bytes: 1 << 20 }
    }

    /// None older than this.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// No more bytes than this. Default 1 MiB.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

/// A place in the history of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Names the history: after a restart of the server it is another one.
    pub epoch: String,
    /// The number of a message in it; 0: before the first.
    pub offset: u64,
}

/// What was missed cannot be had: it is older than what is kept, of another epoch, or the room keeps
/// no history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room does not keep what was said since then")]
pub struct NotAvailable;

/// One message as it was sent, for each parser that was in use.
pub(crate) type Copies = Vec<(Arc<dyn Parser>, Arc<Packet>)>;

struct Kept {
    at: Instant,
    bytes: usize,
    copies: Copies,
}

/// The last messages of a room. The last of them has number `offset`.
pub(crate) struct History {
    keep: Keep,
    epoch: Arc<str>,
    offset: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl History {
    pub(super) fn new(keep: Keep) -> Self {
        let epoch = Secret::random().reveal().into();
        Self { keep, epoch, offset: 0, kept: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn set(&mut self, keep: Keep) {
        self.keep = keep;
        self.trim();
    }

    /// The number of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.offset + 1
    }

    pub(crate) fn epoch(&self) -> Arc<str> {
        Arc::clone(&self.epoch)
    }

    pub(crate) fn append(&mut self, copies: Copies) {
        self.offset += 1;
        let bytes = copies.iter().map(|(_, packet)| packet.envelope().len()).sum();
        self.bytes += bytes;
        self.kept.push_back(Kept { at: Instant::now(), bytes, copies });
        self.trim();
    }

    fn trim(&mut self) {
        while let Some(first) = self.kept.front() {
            let old = first.at.elapsed() > self.keep.age;
            if !old && self.kept.len() <= self.keep.messages && self.bytes <= self.keep.bytes {
                return;
            }
            self.bytes -= first.bytes;
            self.kept.pop_front();
        }
        self.kept = VecDeque::new();
    }

    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch.to_string(), offset: self.offset }
    }

    /// How many messages were said behind `position`, if all of them are kept.
    fn missed(&mut self, position: &Position) -> Result<usize, NotAvailable> {
        self.trim();
        let missed = self.offset.checked_sub(position.offset).ok_or(NotAvailable)?;
        match usize::try_from(missed) {
            Ok(missed) if *position.epoch == *self.epoch && missed <= self.kept.len() => Ok(missed),
            _ => Err(NotAvailable),
        }
    }

    /// What was said behind `position`, all of it.
    pub(crate) fn since(
        &mut self,
        position: &Position,
        parser: &Arc<dyn Parser>,
    ) -> Result<Vec<Arc<Packet>>, NotAvailable> {
        let missed = self.missed(position)?;
        Ok(self.copies(missed, parser))
    }

    /// The same, as the application reads it.
    pub(crate) fn messages_since(
        &mut self,
        position: &Position,
    ) -> Result<Vec<Message>, NotAvailable> {
        let missed = self.missed(position)?;
        Ok(self.messages(missed))
    }

    /// The last messages, as many as there are.
    pub(crate) fn last(&mut self, count: usize, parser: &Arc<dyn Parser>) -> Vec<Arc<Packet>> {
        self.trim();
        self.copies(count.min(self.kept.len()), parser)
    }

    /// What is kept of what was said in the last `age`.
    pub(crate) fn recent(&mut self, age: Duration, parser: &Arc<dyn Parser>) -> Vec<Arc<Packet>> {
        self.trim();
        let recent = self.kept.iter().rev().take_while(|kept| kept.at.elapsed() <= age).count();
        self.copies(recent, parser)
    }

    fn copies(&self, count: usize, parser: &Arc<dyn Parser>) -> Vec<Arc<Packet>> {
        let kept = self.kept.range(self.kept.len() - count..);
        let copy = |kept: &Kept| {
            let same = kept.copies.iter().find(|(other, _)| Arc::ptr_eq(other, parser));
            same.map(|(_, packet)| Arc::clone(packet))
        };
        kept.filter_map(copy).collect()
    }

    /// As the application reads them: in the first parser that each was sent in.
    pub(crate) fn messages(&mut self, count: usize) -> Vec<Message> {
        self.trim();
        let kept = self.kept.range(self.kept.len() - count.min(self.kept.len())..);
        let open = |kept: &Kept| {
            let (parser, packet) = kept.copies.first()?;
            Some(Message::open(packet.envelope(), parser))
        };
        kept.filter_map(open).collect()
    }
}
