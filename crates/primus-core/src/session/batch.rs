//! Messages of one read, on their way to the inbox together: one lock for all of them.

use super::mail;
use crate::envelope::Envelope;

/// So many go together, or so many bytes.
const FULL: (usize, usize) = (64, 64 << 10);

/// Messages from the client, in their order, for [`Carrier::deliver_all`](super::Carrier::deliver_all).
///
/// ```
/// let mut batch = primus_core::Batch::default();
/// assert!(batch.push(primus_core::Payload::from("hi")), "there is room for more");
/// assert!(!batch.is_empty());
/// ```
///
/// Fresh, it holds no heap.
#[derive(Debug, Default)]
pub struct Batch {
    /// The only one, which needs no list.
    one: Option<Envelope>,
    /// Two or more.
    many: Vec<Envelope>,
    pub(super) bytes: usize,
    /// Some of them have heads.
    pub(super) headed: bool,
}

impl Batch {
    /// Adds a message. False: there are so many that they had better be delivered now.
    #[inline]
    pub fn push(&mut self, message: impl Into<Envelope>) -> bool {
        let message = message.into();
        self.bytes += message.len();
        self.headed |= !message.is_bare();
        if !self.many.is_empty() {
            self.many.push(message);
        } else if let Some(first) = self.one.take() {
            if self.many.capacity() == 0 {
                self.many = mail::borrow();
            }
            self.many.extend([first, message]);
        } else {
            self.one = Some(message);
        }
        self.many.len() < FULL.0 && self.bytes < FULL.1
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.one.is_none() && self.many.is_empty()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.one.is_some() { 1 } else { self.many.len() }
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Envelope> {
        self.one.iter().chain(&self.many)
    }

    /// Empties it: what it had, if that was one, or else the list.
    #[inline]
    pub(super) fn take(&mut self) -> Result<Envelope, Vec<Envelope>> {
        (self.bytes, self.headed) = (0, false);
        self.one.take().ok_or_else(|| std::mem::take(&mut self.many))
    }

    /// Gives each to `take`, in their order, until one comes back: that one and the rest are kept.
    pub(super) fn drain_while(&mut self, mut take: impl FnMut(Envelope) -> Option<Envelope>) {
        let (one, many) = (self.one.take(), std::mem::take(&mut self.many));
        (self.bytes, self.headed) = (0, false);
        let mut messages = one.into_iter().chain(many);
        while let Some(message) = messages.next() {
            if let Some(message) = take(message) {
                for message in std::iter::once(message).chain(messages) {
                    self.push(message);
                }
                return;
            }
        }
    }
}

impl From<Envelope> for Batch {
    fn from(message: Envelope) -> Self {
        let mut batch = Self::default();
        batch.push(message);
        batch
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.many.capacity() > 0 {
            mail::give_back(std::mem::take(&mut self.many));
        }
    }
}
