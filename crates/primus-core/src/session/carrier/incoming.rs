//! What a carrier brings from the client: messages, and what is acknowledged of either side's.

use super::Carrier;
use crate::{
    close::CloseReason,
    envelope::Envelope,
    metrics,
    session::{Batch, DeliverError},
};

/// Acknowledgements go alone after so many messages, or so many bytes of them: half of what a peer
/// keeps by default.
const ACK_AFTER: (u16, u32) = (128, 32 << 10);
/// They ride on messages from so many on.
const RIDE_AFTER: u16 = 16;

impl Carrier {
    /// Drops what comes until [`acked`](Self::acked) says where the client goes on: it has begun
    /// with messages for a session that it does not have any more.
    pub(crate) fn await_position(&mut self) {
        self.expected = 0;
    }

    /// Hands the next message from the client to the handler's inbox. One that has been received
    /// before is dropped.
    ///
    /// # Errors
    /// When the inbox is at its mark (offer it again later), the session is over, or another
    /// carrier has it.
    #[inline]
    pub fn deliver(&mut self, message: impl Into<Envelope>) -> Result<(), DeliverError> {
        if self.expected == 0 {
            return Ok(());
        }
        let message = message.into();
        let size = message.len();
        match self.session.bring_one(self.generation, message) {
            Ok(()) => {
                self.meters.received(size);
                Ok(())
            }
            Err(message) => self.deliver_one_to_inbox(message),
        }
    }

    #[inline(never)]
    fn deliver_one_to_inbox(&mut self, message: Envelope) -> Result<(), DeliverError> {
        let size = message.len();
        if self.session.take_in(self.generation, self.expected, message)? {
            self.meters.received(size);
        }
        self.took(1, size);
        Ok(())
    }

    /// Delivers messages that came together, in their order. Where the session is over or goes on
    /// elsewhere, which taking tells, they are dropped.
    ///
    /// False: the inbox is at its mark, and the rest is left in `batch`. Offer it again later.
    #[inline]
    pub fn deliver_all(&mut self, batch: &mut Batch) -> bool {
        batch.is_empty()
            || self.expected != 0 && self.session.bring(self.generation, batch, &self.meters)
            || self.deliver_to_inbox(batch)
    }

    /// The same, where the inbox is needed for it.
    fn deliver_to_inbox(&mut self, batch: &mut Batch) -> bool {
        if self.expected == 0 {
            *batch = Batch::default();
            return true;
        }
        if let Some((count, bytes)) =
            self.session.take_in_all(self.generation, self.expected, batch, &self.meters)
        {
            self.took(count, bytes);
            return true;
        }
        batch.drain_while(|message| match self.deliver(message) {
            Err(DeliverError::Full(message)) => Some(message),
            _ => None,
        });
        batch.is_empty()
    }

    #[inline]
    fn took(&mut self, messages: u32, bytes: usize) {
        self.expected += u64::from(messages);
        self.untold = self.untold.saturating_add(u16::try_from(messages).unwrap_or(u16::MAX));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.untold_bytes = self.untold_bytes.saturating_add(bytes);
    }

    /// The client has everything up to `recv`; with `next`, its next message has that number.
    ///
    /// # Errors
    /// When it acknowledges more than it was sent, or leaves something out.
    pub fn acked(&mut self, recv: u64, next: Option<u64>) -> Result<(), CloseReason> {
        if let Some(next) = next {
            let gap = next == 0 || next > self.session.recv() + 1;
            // What it has sent to a carrier that was replaced, or to a session that is ending, has
            // been dropped.
            if gap && self.is_heard() {
                return Err(CloseReason::BAD_CONTROL.with_text("it leaves messages out"));
            }
            self.expected = next;
        }
        self.session.acked_by(self.generation, recv)
    }

    /// Whether what the client sends by this carrier is taken in.
    fn is_heard(&self) -> bool {
        let outbox = self.session.outbox();
        outbox.claim.generation == self.generation && outbox.is_open()
    }

    /// The client's next answer begins behind `recv`: what it does not have is written again.
    /// False: that is not possible, the client has to attach anew and will be told why.
    pub fn rewind(&mut self, recv: u64) -> bool {
        let mut outbox = self.session.outbox();
        if !outbox.is_carried_by(self.generation) {
            return true; // which the next take tells
        }
        let Ok(replayed) = outbox.ring.rewind(recv) else { return false };
        let eased = !outbox.is_pressured(self.session.resume, self.session.limits());
        let waiting = outbox.waiting.take_if(eased);
        drop(outbox);
        metrics::replayed(replayed);
        waiting.wake();
        true
    }

    /// The number to acknowledge, if it is time: alone after half of what the client keeps, and
    /// earlier where it rides on messages.
    pub fn ack(&mut self, riding: bool) -> Option<u64> {
        let due = self.untold >= ACK_AFTER.0
            || self.untold_bytes >= ACK_AFTER.1
            || riding && self.untold >= RIDE_AFTER;
        due.then(|| self.ack_now())
    }

    /// The number to acknowledge, where a frame has room for it anyway.
    pub fn ack_now(&mut self) -> u64 {
        (self.untold, self.untold_bytes) = (0, 0);
        self.session.recv()
    }
}
