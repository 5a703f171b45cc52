//! What a thread has at hand in a turn.

use std::collections::VecDeque;

use super::super::{
    Batch,
    mail::{LARGEST, Mail, give_back},
    outbox::Outbox,
};
use crate::{envelope::Envelope, packet::Outgoing, settings::Limits};

/// So many messages are written at hand; the others go to the outbox one by one.
const MOST: usize = 256;

/// What is at hand.
#[derive(Default)]
pub(super) struct Hand {
    pub(super) claimed: VecDeque<Envelope>,
    pub(super) claimed_bytes: usize,
    /// The handler is being polled.
    pub(super) polls: bool,
    /// Since then something has been claimed.
    pub(super) claims: bool,
    /// What is claimed was never in the inbox.
    pub(super) brought: bool,
    /// The handler's own waker was left in the inbox when it was woken, and it has not waited for more since.
    pub(super) left_reader: bool,
    /// Places, of which the first `count` are taken. A message that is put into one is moved once; a list
    /// that may have to grow would have it moved three times.
    written: Vec<Option<Outgoing>>,
    pub(super) count: usize,
    pub(super) written_bytes: usize,
}

impl Hand {
    /// Makes places. A turn leaves nothing, unless its session was exchanged under it; and no large buffer is kept.
    #[inline]
    pub(super) fn prepare(&mut self) {
        if self.count > 0 || !self.claimed.is_empty() {
            *self = Self::default();
        }
        if self.claimed.capacity() > LARGEST {
            self.claimed = VecDeque::new();
        }
        if self.written.is_empty() {
            self.written.resize_with(MOST, || None);
        }
    }

    /// Whether what has come may be read behind what is here, which is never in the inbox.
    #[inline]
    pub(super) fn may_bring(&self, messages: usize, bytes: usize, limits: &Limits) -> bool {
        !self.claims
            && (self.brought || self.claimed.is_empty())
            && self.claimed.len() + messages <= limits.inbox_messages
            && self.claimed_bytes + bytes <= limits.inbox_bytes
    }

    #[inline]
    pub(super) fn bring_one(&mut self, message: Envelope) {
        self.claimed_bytes += message.len();
        self.claimed.push_back(message);
        (self.brought, self.left_reader) = (true, true);
    }

    #[inline]
    pub(super) fn bring(&mut self, batch: &mut Batch) {
        let bytes = batch.bytes;
        match batch.take() {
            Ok(one) => self.bring_one(one),
            Err(many) => self.bring_many(many, bytes),
        }
    }

    #[inline(never)]
    fn bring_many(&mut self, mut many: Vec<Envelope>, bytes: usize) {
        if self.claimed.is_empty() {
            give_back(std::mem::replace(&mut self.claimed, many.into()).into());
        } else {
            self.claimed.extend(many.drain(..));
            give_back(many);
        }
        self.claimed_bytes += bytes;
        (self.brought, self.left_reader) = (true, true);
    }

    /// Puts back what has not been read.
    pub(super) fn put_back(&mut self, mail: &mut Mail) {
        if self.brought || self.claims && mail.claimed {
            let claimed = std::mem::take(&mut self.claimed);
            let brought = std::mem::take(&mut self.brought);
            // Somebody else may have come to wait since the handler was polled.
            self.claims |= brought && self.polls;
            mail.put_back(claimed, std::mem::take(&mut self.claimed_bytes), brought);
        }
    }

    #[inline]
    pub(super) fn put(&mut self, envelope: Envelope) {
        let size = envelope.len();
        if let Some(place) = self.written.get_mut(self.count) {
            // Nothing is in it that would have to be dropped.
            std::mem::forget(place.replace(Outgoing::Own(envelope)));
            self.count += 1;
            self.written_bytes += size;
        }
    }

    /// Gives what has been written to `each`, if it is within the budget. Returns how many messages, and their bytes.
    #[inline]
    pub(super) fn drain(
        &mut self,
        budget: usize,
        each: impl FnMut(&Outgoing),
    ) -> Option<(u64, usize)> {
        if self.written_bytes + self.count > budget {
            return None;
        }
        let written = &mut self.written[..self.count];
        written.iter().flatten().for_each(each); // which may panic
        written.fill_with(|| None);
        let drained = (self.count as u64, self.written_bytes);
        (self.count, self.written_bytes) = (0, 0);
        Some(drained)
    }

    /// Whether one more message of this size may be written.
    #[inline]
    pub(super) fn has_place(&self, size: usize, most_bytes: usize) -> bool {
        self.count < self.written.len() && self.written_bytes + size <= most_bytes
    }

    /// Puts what has been written down in the outbox, in front of what is there.
    #[inline]
    pub(super) fn put_down(&mut self, outbox: &mut Outbox) {
        if self.count > 0 {
            outbox.prepend(self.written[..self.count].iter_mut().filter_map(Option::take));
            (self.count, self.written_bytes) = (0, 0);
        }
    }
}
