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
    pub(super) messages: Vec<Envelope>,
    pub(super) bytes: usize,
    /// Some of them have heads.
    pub(super) headed: bool,
}

impl Batch {
    /// Adds a message. False: there are so many that they had better be delivered now.
    #[inline]
    pub fn push(&mut self, message: impl Into<Envelope>) -> bool {
        let message = message.into();
        if self.messages.capacity() == 0 {
            self.messages = mail::borrow();
        }
        self.bytes += message.len();
        self.headed |= !message.is_bare();
        self.messages.push(message);
        self.messages.len() < FULL.0 && self.bytes < FULL.1
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Gives each to `take`, in their order, until one comes back: that one and the rest are kept.
    pub(super) fn drain_while(&mut self, mut take: impl FnMut(Envelope) -> Option<Envelope>) {
        let mut messages = std::mem::take(&mut self.messages).into_iter();
        (self.bytes, self.headed) = (0, false);
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

impl Drop for Batch {
    fn drop(&mut self) {
        mail::give_back(std::mem::take(&mut self.messages));
    }
}
