//! Messages of one read, on their way to the inbox together: one lock for all of them.

use std::collections::VecDeque;

use super::mail;
use crate::envelope::Envelope;

/// So many go together, or so many bytes.
const FULL: (usize, usize) = (64, 64 << 10);

/// Messages from the client, in their order, for [`Carrier::deliver_all`](super::Carrier::deliver_all).
///
/// Empty, it holds no heap.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) messages: VecDeque<Envelope>,
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
        self.messages.push_back(message);
        self.messages.len() < FULL.0 && self.bytes < FULL.1
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes the first out.
    pub(super) fn pop(&mut self) -> Option<Envelope> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    /// Puts it back.
    pub(super) fn put_back(&mut self, message: Envelope) {
        self.bytes += message.len();
        self.messages.push_front(message);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.messages.clear();
        mail::give_back(std::mem::take(&mut self.messages));
    }
}
