//! The sending half: one deque with a cursor.

use super::{
    defects::{Defect, is},
    entries::Entries,
};
use crate::packet::{Delivery, Outgoing};

/// What one entry costs beside its payload.
const OVERHEAD: usize = 64;

/// How much is kept for a peer that may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// One message on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) outgoing: Outgoing,
    pub(crate) delivery: Delivery,
}

impl Entry {
    pub(super) fn len(&self) -> usize {
        self.outgoing.envelope().len()
    }
}

/// The peer acknowledges more than was ever sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beyond;

/// A position that cannot be gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// What comes next there has made room.
    Overflow,
    /// The peer has acknowledged what comes next there: it speaks from the past.
    Acknowledged,
    /// Nothing was ever sent up to there.
    Beyond,
}

/// Messages to one peer.
///
/// ```text
///         floor                    next()                   sent()
///           │ written by this        │ written by an older    │ without a number
///  gone     │ carrier                │ carrier                │ as yet
///  ─────────┴────────────────────────┴────────────────────────┴─────────────────▶
/// ```
///
/// Empty, it holds no heap.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    entries: Entries,
    /// The number before the first entry's: acknowledged, or gone.
    floor: u64,
    /// The highest number that the peer has acknowledged.
    acked: u64,
    /// The highest number that was ever given. Entries up to it are neither changed nor dropped.
    sent: u64,
    /// How many entries this carrier has written.
    written: usize,
    bytes: usize,
    /// Those of them that are not shared with other receivers.
    own_bytes: usize,
    written_bytes: usize,
}

impl Ring {
    /// The number of the next message that [`take`](Self::take) gives.
    pub(crate) fn next(&self) -> u64 {
        self.floor + self.written as u64 + 1
    }

    /// The highest number that was ever given to a message.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The number before the first entry's.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The number of what many were sent under this serial.
    pub(crate) fn number_of(&self, serial: u64) -> Option<u64> {
        let of = |entry: &Entry| entry.outgoing.serial() == Some(serial);
        let index = self.entries.listed().take(self.numbered()).rposition(of)?;
        Some(self.floor + index as u64 + 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all payloads.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that this carrier has not written.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.bytes - self.written_bytes
    }

    /// Nothing is left for this carrier to write.
    pub(crate) fn is_drained(&self) -> bool {
        self.written == self.entries.len()
    }

    /// What it costs to keep: shared bodies are counted by who shares them.
    pub(crate) fn cost(&self) -> usize {
        self.entries.len() * OVERHEAD + self.own_bytes
    }

    /// The bytes behind the cursor, without the entry that is written next.
    pub(crate) fn waiting_behind(&self) -> usize {
        self.waiting_bytes() - self.entries.size_at(self.written)
    }

    /// Appends a message; it has no number yet. Returns what it costs to keep.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) -> usize {
        let cost = cost(&entry);
        self.bytes += entry.len();
        self.own_bytes += cost - OVERHEAD;
        self.entries.push(entry);
        cost
    }

    /// Puts messages in front of all that wait, where nothing is kept that was written.
    pub(crate) fn prepend(&mut self, earlier: impl DoubleEndedIterator<Item = Entry>) {
        debug_assert_eq!(self.written, 0);
        if self.entries.len() == 0 {
            for entry in earlier {
                self.push(entry);
            }
            return;
        }
        for entry in earlier.rev() {
            self.bytes += entry.len();
            self.own_bytes += cost(&entry) - OVERHEAD;
            self.entries.list().push_front(entry);
        }
    }

    /// Shows `write` the next message to write. With `keep` it stays until it is acknowledged, and the
    /// oldest written ones make room for it beyond the caps; without, it is forgotten.
    pub(crate) fn take<R>(
        &mut self,
        keep: Option<Caps>,
        write: impl FnOnce(&Outgoing) -> R,
    ) -> Option<R> {
        let Some(caps) = keep else {
            return self.take_away().map(|outgoing| write(&outgoing));
        };
        if self.is_drained() {
            return None;
        }
        let entry = self.entries.list().get(self.written)?;
        let (written, size) = (write(&entry.outgoing), entry.len());
        self.written += 1;
        self.written_bytes += size;
        self.sent = self.sent.max(self.floor + self.written as u64);
        // Always room for one message, however large: the last one does not count for the bytes.
        while self.written > caps.messages.max(1) || self.written_bytes - size > caps.bytes {
            self.forget_first();
        }
        // What the peer has by an older carrier.
        self.forget_up_to(self.acked.min(self.floor + self.written as u64));
        if is(Defect::TrimmedTooEarly) && self.written > 3 {
            self.swallow_first();
        }
        Some(written)
    }

    fn take_away(&mut self) -> Option<Outgoing> {
        let entry = self.entries.pop()?;
        self.uncount(&entry);
        self.floor += 1;
        self.sent = self.sent.max(self.floor);
        self.entries.shrink();
        Some(entry.outgoing)
    }

    /// Shows `write` everything that waits, and forgets it. Returns how many messages, and their bytes.
    pub(crate) fn drain(&mut self, mut write: impl FnMut(&Outgoing)) -> (u64, usize) {
        let (count, bytes) = (self.len() as u64, self.bytes);
        if matches!(self.entries, Entries::Shared(_))
            && let Some(outgoing) = self.take_away()
        {
            write(&outgoing);
            return (1, bytes);
        }
        self.entries.listed().for_each(|entry| write(&entry.outgoing)); // which may panic
        self.pass(count);
        (self.bytes, self.own_bytes) = (0, 0);
        self.entries.clear();
        (count, bytes)
    }

    /// So many messages were written that are not kept.
    pub(crate) fn pass(&mut self, count: u64) {
        self.floor += count;
        self.sent = self.sent.max(self.floor);
    }

    /// The peer has everything up to `number`. Returns how many messages that frees.
    ///
    /// It may have some of them by an older carrier. Those are written by this one all the same,
    /// because what it writes is counted, and are freed then.
    pub(crate) fn ack(&mut self, number: u64) -> Result<usize, Beyond> {
        if number > self.sent {
            return Err(Beyond);
        }
        let stale = number < self.floor;
        self.acked = self.acked.max(number);
        let written = self.floor + self.written as u64;
        let freed = self.forget_up_to(self.acked.min(written));
        if is(Defect::AckOffByOne) && number > 0 && self.floor < written {
            self.forget_first();
        }
        if is(Defect::StaleAckCounts) && stale {
            self.floor = number;
        }
        Ok(freed)
    }

    fn forget_up_to(&mut self, number: u64) -> usize {
        let mut freed = 0;
        while self.floor < number && self.forget_first() {
            freed += 1;
        }
        freed
    }

    /// Begins anew behind `recv`, for a carrier whose peer has everything up to it. Returns how
    /// many messages will be written again.
    pub(crate) fn rewind(&mut self, recv: u64) -> Result<u64, Gone> {
        self.can_rewind(recv)?;
        self.acked = recv;
        self.forget_up_to(recv);
        if !is(Defect::NoRewind) {
            (self.written, self.written_bytes) = (0, 0);
        }
        Ok(self.sent - self.floor)
    }

    /// Whether [`rewind`](Self::rewind) would do it.
    pub(crate) fn can_rewind(&self, recv: u64) -> Result<(), Gone> {
        match recv {
            recv if recv < self.acked => Err(Gone::Acknowledged),
            recv if recv < self.floor => Err(Gone::Overflow),
            recv if recv > self.sent => Err(Gone::Beyond),
            _ => Ok(()),
        }
    }

    /// Drops the oldest message that has no number; false if there is none.
    pub(crate) fn drop_waiting(&mut self) -> bool {
        let unnumbered = self.numbered();
        unnumbered < self.len() && self.remove(unnumbered)
    }

    /// Forgets the oldest message, if it has been written. Returns what it cost to keep.
    pub(crate) fn forget_written(&mut self) -> Option<usize> {
        if self.numbered() == 0 {
            return None;
        }
        let cost = self.entries.list().front().map(cost)?;
        self.forget_first();
        Some(cost)
    }

    /// Drops the volatile messages that have no number: their peer is away. Returns how many.
    pub(crate) fn drop_volatile(&mut self) -> usize {
        self.drop_where(|delivery| matches!(delivery, Delivery::Volatile)).0
    }

    /// Drops what waits under the same key as a message that is about to be pushed. Returns what
    /// it cost to keep.
    pub(crate) fn conflate(&mut self, key: &str) -> usize {
        self.drop_where(|delivery| matches!(delivery, Delivery::Latest(other) if **other == *key)).1
    }

    /// Returns how many, and what they cost to keep.
    fn drop_where(&mut self, unwanted: impl Fn(&Delivery) -> bool) -> (usize, usize) {
        let (mut count, mut freed) = (0, 0);
        let mut index = self.numbered();
        while index < self.len()
            && let Some(entry) = self.entries.list().get(index)
        {
            if unwanted(&entry.delivery) {
                count += 1;
                freed += cost(entry);
                self.remove(index);
            } else {
                index += 1;
            }
        }
        (count, freed)
    }

    /// How many entries have numbers.
    pub(crate) fn numbered(&self) -> usize {
        usize::try_from(self.sent.saturating_sub(self.floor)).unwrap_or(usize::MAX)
    }

    fn remove(&mut self, index: usize) -> bool {
        let removed = self.entries.list().remove(index);
        if let Some(entry) = &removed {
            self.uncount(entry);
        }
        if is(Defect::NumberedAtPush) {
            self.floor += 1; // it had a number, which nobody has now
            self.sent += 1;
        }
        self.entries.shrink();
        removed.is_some()
    }

    fn forget_first(&mut self) -> bool {
        let gone = self.swallow_first();
        self.floor += u64::from(gone);
        gone
    }

    fn swallow_first(&mut self) -> bool {
        let Some(entry) = self.entries.pop() else { return false };
        self.uncount(&entry);
        if self.written > 0 {
            self.written -= 1;
            self.written_bytes -= entry.len();
        }
        self.entries.shrink();
        true
    }

    fn uncount(&mut self, entry: &Entry) {
        self.bytes -= entry.len();
        self.own_bytes -= cost(entry) - OVERHEAD;
    }

    /// For who will be empty again soon: what is pushed next goes into the thread's list.
    #[inline]
    pub(crate) fn borrow(&mut self) {
        self.entries.borrow();
    }

    /// Forgets everything. What was in it comes back, oldest first.
    pub(crate) fn clear(&mut self) -> impl ExactSizeIterator<Item = Outgoing> + use<> {
        self.floor += self.entries.len() as u64;
        self.sent = self.sent.max(self.floor);
        (self.written, self.written_bytes) = (0, 0);
        (self.bytes, self.own_bytes) = (0, 0);
        std::mem::take(&mut self.entries).into_all().into_iter().map(|entry| entry.outgoing)
    }
}

fn cost(entry: &Entry) -> usize {
    OVERHEAD
        + match &entry.outgoing {
            Outgoing::Own(envelope) => envelope.len(),
            Outgoing::Shared(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{message::Payload, packet::Packet};

    const LARGEST: usize = 40;

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize, Delivery),
        Take,
        Ack(u64),
        Rewind(u64),
        DropWaiting,
        DropVolatile,
    }

    fn delivery() -> impl Strategy<Value = Delivery> {
        prop_oneof![
            3 => Just(Delivery::Reliable),
            1 => Just(Delivery::Volatile),
            1 => "[ab]".prop_map(|key| Delivery::Latest(key.into())),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..LARGEST, delivery()).prop_map(|(size, delivery)| Step::Push(size, delivery)),
            6 => Just(Step::Take),
            2 => (0u64..80).prop_map(Step::Ack),
            2 => (0u64..80).prop_map(Step::Rewind),
            1 => Just(Step::DropWaiting),
            1 => Just(Step::DropVolatile),
        ]
    }

    /// What a ring has to be, said as simply as possible: everything that was ever pushed.
    #[derive(Default)]
    struct Model {
        /// What got a number, from 1: which push it was, and its size.
        numbered: Vec<(u32, usize)>,
        waiting: Vec<(u32, usize, Delivery)>,
        acked: u64,
        floor: u64,
        /// The number that was written last by this carrier.
        cursor: u64,
    }

    impl Model {
        fn sent(&self) -> u64 {
            self.numbered.len() as u64
        }

        fn bytes_between(&self, from: u64, to: u64) -> usize {
            self.numbered[from as usize..to as usize].iter().map(|(_, size)| size).sum()
        }

        fn push(&mut self, push: u32, size: usize, delivery: Delivery) {
            if let Delivery::Latest(_) = delivery {
                self.waiting.retain(|(.., other)| *other != delivery);
            }
            self.waiting.push((push, size, delivery));
        }

        fn take(&mut self, caps: Caps) -> Option<u32> {
            if self.cursor == self.sent() {
                if self.waiting.is_empty() {
                    return None;
                }
                let (push, size, _) = self.waiting.remove(0);
                self.numbered.push((push, size));
            }
            self.cursor += 1;
            while self.cursor - self.floor > caps.messages as u64
                || self.bytes_between(self.floor, self.cursor - 1) > caps.bytes
            {
                self.floor += 1;
            }
            self.ack(self.acked);
            Some(self.numbered[self.cursor as usize - 1].0)
        }

        fn ack(&mut self, number: u64) {
            self.acked = self.acked.max(number);
            self.floor = self.floor.max(self.acked.min(self.cursor));
        }

        fn rewind(&mut self, recv: u64) {
            (self.acked, self.floor, self.cursor) = (recv, recv, recv);
        }

        fn can_rewind(&self, recv: u64) -> Result<(), Gone> {
            match recv {
                recv if recv < self.acked => Err(Gone::Acknowledged),
                recv if recv < self.floor => Err(Gone::Overflow),
                recv if recv > self.sent() => Err(Gone::Beyond),
                _ => Ok(()),
            }
        }
    }

    fn payload(push: u32, size: usize) -> Payload {
        let mut bytes = push.to_be_bytes().to_vec();
        bytes.resize(4 + size, 0);
        bytes.into()
    }

    /// Every third is shared with others.
    fn outgoing(push: u32, size: usize) -> Outgoing {
        let envelope = payload(push, size).into();
        if push.is_multiple_of(3) {
            Outgoing::Shared(Arc::new(Packet::new(envelope, Arc::default())))
        } else {
            Outgoing::Own(envelope)
        }
    }

    fn which(outgoing: &Outgoing) -> u32 {
        let bytes = outgoing.envelope().body_bytes();
        u32::from_be_bytes(bytes[..4].try_into().unwrap())
    }

    proptest! {
        #[test]
        fn to_drain_is_to_take_all_for_good(
            rounds in proptest::collection::vec(
                proptest::collection::vec((0..LARGEST, delivery()), 0..20),
                0..5,
            ),
        ) {
            let (mut drained, mut taken) = (Ring::default(), Ring::default());
            for round in rounds {
                let entries = (0..).zip(round).map(|(push, (size, delivery))| {
                    Entry { outgoing: outgoing(push, size), delivery }
                });
                let entries: Vec<Entry> = entries.collect();
                for entry in &entries {
                    drained.push(entry.clone());
                }
                // The first of them come last, and go in front.
                let (earlier, later) = entries.split_at(entries.len() / 2);
                for entry in later {
                    taken.push(entry.clone());
                }
                taken.prepend(earlier.iter().cloned());
                prop_assert_eq!((drained.bytes(), drained.cost()), (taken.bytes(), taken.cost()));
                let (mut all, mut each) = (Vec::new(), Vec::new());
                let bytes = drained.bytes();
                let (count, size) = drained.drain(|outgoing| all.push(which(outgoing)));
                while let Some(one) = taken.take(None, which) {
                    each.push(one);
                }
                prop_assert_eq!((count as usize, size), (each.len(), bytes));
                prop_assert_eq!(all, each);
                for ring in [&drained, &taken] {
                    prop_assert!(ring.is_drained());
                    prop_assert_eq!((ring.len(), ring.bytes(), ring.cost()), (0, 0, 0));
                }
                prop_assert_eq!((drained.next(), drained.sent()), (taken.next(), taken.sent()));
            }
        }

        #[test]
        fn a_ring_is_its_model(
            (messages, bytes) in (1usize..12, 0usize..200),
            steps in proptest::collection::vec(step(), 0..150),
        ) {
            let caps = Caps { messages, bytes };
            let (mut ring, mut model) = (Ring::default(), Model::default());
            for (push, step) in (0..).zip(steps) {
                match step {
                    Step::Push(size, delivery) => {
                        if let Delivery::Latest(key) = &delivery {
                            ring.conflate(key);
                        }
                        let delivered = delivery.clone();
                        ring.push(Entry { outgoing: outgoing(push, size), delivery: delivered });
                        model.push(push, 4 + size, delivery);
                    }
                    Step::Take => {
                        let number = ring.next();
                        prop_assert_eq!(number, model.cursor + 1);
                        let taken = ring.take(Some(caps), Outgoing::clone);
                        prop_assert_eq!(taken.as_ref().map(which), model.take(caps));
                    }
                    Step::Ack(number) => {
                        let beyond = number > model.sent();
                        let floor = model.floor;
                        if !beyond {
                            model.ack(number);
                        }
                        let freed = (model.floor - floor) as usize;
                        prop_assert_eq!(ring.ack(number), if beyond { Err(Beyond) } else { Ok(freed) });
                    }
                    Step::Rewind(recv) => {
                        let can = model.can_rewind(recv);
                        prop_assert_eq!(ring.can_rewind(recv), can);
                        if can.is_ok() {
                            model.rewind(recv);
                        }
                        let again = model.sent() - model.floor;
                        prop_assert_eq!(ring.rewind(recv), can.map(|()| again));
                    }
                    Step::DropWaiting => {
                        prop_assert_eq!(ring.drop_waiting(), !model.waiting.is_empty());
                        if !model.waiting.is_empty() {
                            model.waiting.remove(0);
                        }
                    }
                    Step::DropVolatile => {
                        let before = model.waiting.len();
                        model.waiting.retain(|(.., delivery)| *delivery != Delivery::Volatile);
                        prop_assert_eq!(ring.drop_volatile(), before - model.waiting.len());
                    }
                }
                let sent = model.sent();
                let waiting: usize = model.waiting.iter().map(|(_, size, _)| size).sum();
                prop_assert_eq!(ring.sent(), sent);
                prop_assert_eq!(ring.len() as u64, sent - model.floor + model.waiting.len() as u64);
                prop_assert_eq!(ring.bytes(), model.bytes_between(model.floor, sent) + waiting);
                let unwritten = model.bytes_between(model.cursor, sent) + waiting;
                prop_assert_eq!(ring.waiting_bytes(), unwritten);
                prop_assert_eq!(ring.is_drained(), model.cursor == sent && model.waiting.is_empty());
                let cost = match ring.entries {
                    Entries::Shared(_) => OVERHEAD,
                    _ => ring.entries.listed().map(cost).sum(),
                };
                prop_assert_eq!(ring.cost(), cost);
                prop_assert!(ring.numbered() <= messages);
                prop_assert!(ring.bytes() - ring.waiting_bytes() <= bytes + LARGEST + 4);
                prop_assert!(ring.len() > 0 || matches!(ring.entries, Entries::None));
            }
            let left: Vec<_> = ring.clear().map(|outgoing| which(&outgoing)).collect();
            let numbered = model.numbered[model.floor as usize..].iter().map(|(push, _)| *push);
            let expected: Vec<_> =
                numbered.chain(model.waiting.iter().map(|(push, ..)| *push)).collect();
            prop_assert_eq!(left, expected);
            prop_assert_eq!((ring.bytes(), ring.waiting_bytes(), ring.len()), (0, 0, 0));
        }
    }
}
