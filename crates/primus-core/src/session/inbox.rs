//! What was received and waits for the handler.

use super::{
    mail::{Lane, Mail, OVERHEAD},
    wakers::Wakers,
};
use crate::{resume::Intake, settings::Limits};

#[derive(Default)]
pub(super) struct Inbox {
    /// For the spark of the root.
    pub(super) mail: Mail,
    /// What waits for the sparks of other channels: messages, and their bytes.
    pub(super) elsewhere: Option<Box<(usize, usize)>>,
    /// Which message is the next, and who may bring it.
    pub(super) intake: Intake,
    /// Carriers and POSTs that wait for room.
    pub(super) room: Wakers,
}

impl Inbox {
    fn size(&self) -> (usize, usize) {
        let (messages, bytes) = self.mail.size();
        let (elsewhere, their_bytes) = self.elsewhere.as_deref().copied().unwrap_or_default();
        (messages + elsewhere, bytes + their_bytes)
    }

    /// Whether nothing waits, for whomever.
    pub(super) fn is_empty(&self) -> bool {
        self.size() == (0, 0) && !self.mail.has(Lane::Data)
    }

    /// At the mark above which the carrier stops reading. Below it any one message has room.
    #[inline]
    pub(super) fn is_above_mark(&self, limits: &Limits) -> bool {
        let (messages, bytes) = self.size();
        messages >= limits.inbox_messages || bytes >= limits.inbox_bytes
    }

    /// Whether none of so many messages of so many bytes comes above the mark.
    pub(super) fn has_room_for(&self, messages: usize, bytes: usize, limits: &Limits) -> bool {
        let (waiting, their_bytes) = self.size();
        waiting + messages <= limits.inbox_messages && their_bytes + bytes <= limits.inbox_bytes
    }

    /// Whether nothing more is taken: above the mark, or, where the spark `expects` something that is behind
    /// these messages, above a higher one.
    pub(super) fn is_full(&self, limits: &Limits, expects: impl FnOnce() -> bool) -> bool {
        let (messages, bytes) = self.size();
        self.is_above_mark(limits)
            && (!expects() || bytes + messages * OVERHEAD >= limits.max_inbox)
    }
}
