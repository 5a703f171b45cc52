//! The arrays that a client has not acknowledged, by their numbers, and which messages of ours they are.

use std::collections::VecDeque;

use bytes::Bytes;

/// What was said and is not acknowledged.
///
/// ```text
///           first              cursor              end
///  gone       │ said by the newest │ to be said again │
///  ───────────┴────────────────────┴──────────────────┴────▶
/// ```
///
/// A message of the session and an array are not the same: what the protocol says itself has a number, too,
/// and a message may be nothing to a client.
#[derive(Debug, Default)]
pub struct Arrays {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    /// How many of them the newest back channel has been given.
    cursor: usize,
    bytes: usize,
    /// How many messages of the session are acknowledged.
    acked: u64,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    /// With it so many messages of the session are complete.
    messages: u64,
}

/// The client acknowledges what it was never given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Bad AID: the last array that was sent is {0}")]
pub struct Beyond(pub u64);

impl Arrays {
    /// Appends one that is said now.
    pub fn say(&mut self, value: Bytes) {
        debug_assert_eq!(self.cursor, self.entries.len());
        self.bytes += value.len();
        self.entries.push_back(Entry { value, messages: 0 });
        self.cursor = self.entries.len();
    }

    /// A message of the session has been said, by the last array or by none.
    pub fn said_message(&mut self) {
        match self.entries.back_mut() {
            Some(last) => last.messages += 1,
            None => self.acked += 1,
        }
    }

    /// The client has everything up to `id`. What it acknowledged before is no news.
    ///
    /// # Errors
    /// When it was not given that.
    pub fn ack(&mut self, id: u64) -> Result<(), Beyond> {
        let end = self.first + self.entries.len() as u64;
        if id >= end {
            return Err(Beyond(end.saturating_sub(1)));
        }
        while self.first <= id
            && let Some(entry) = self.entries.pop_front()
        {
            self.first += 1;
            self.cursor = self.cursor.saturating_sub(1);
            self.bytes -= entry.value.len();
            self.acked += entry.messages;
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new(); // who waits holds no heap
        }
        Ok(())
    }

    /// A new back channel is given everything again that is not acknowledged.
    pub fn rewind(&mut self) {
        self.cursor = 0;
    }

    /// What is to be said again, at most `budget` bytes, but one at least: the number of the first, and all of them.
    pub fn again(&mut self, budget: usize) -> Option<(u64, Vec<Bytes>)> {
        let first = self.first + self.cursor as u64;
        let (mut values, mut bytes) = (Vec::new(), 0);
        while bytes < budget
            && let Some(entry) = self.entries.get(self.cursor)
        {
            bytes += entry.value.len().max(1);
            values.push(entry.value.clone());
            self.cursor += 1;
        }
        (!values.is_empty()).then_some((first, values))
    }

    /// Whether the newest back channel has been given everything.
    pub fn is_said(&self) -> bool {
        self.cursor == self.entries.len()
    }

    /// The number of the next array.
    pub fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// How many are not acknowledged.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all are acknowledged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of what is not acknowledged.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages of the session are acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_acknowledged_is_said_again() {
        let mut arrays = Arrays::default();
        arrays.say("c".into());
        for value in ["1", "22", "333"] {
            arrays.say(value.into());
            arrays.said_message();
        }
        assert_eq!((arrays.next(), arrays.len(), arrays.bytes()), (4, 4, 7));
        assert_eq!(arrays.again(100), None);
        arrays.ack(1).unwrap();
        arrays.ack(0).unwrap();
        assert_eq!(arrays.acked(), 1);
        arrays.rewind();
        assert_eq!(arrays.again(1), Some((2, vec!["22".into()])));
        assert_eq!(arrays.ack(4), Err(Beyond(3)));
        arrays.ack(3).unwrap();
        assert_eq!(arrays.again(100), None);
        assert_eq!((arrays.acked(), arrays.bytes(), arrays.next()), (3, 0, 4));
        arrays.said_message();
        assert_eq!(arrays.acked(), 4, "nothing to this client, so nothing to acknowledge");
    }

    proptest! {
        /// A client that loses answers and asks anew has each array once and in order.
        #[test]
        fn a_client_has_each_array_once(steps in proptest::collection::vec((0u8..4, any::<bool>()), 0..200)) {
            let (mut arrays, mut said, mut has) = (Arrays::default(), 0u64, Vec::new());
            let take = |first: u64, values: Vec<Bytes>, has: &mut Vec<u64>| {
                for (id, value) in (first..).zip(values) {
                    assert_eq!(value, id.to_string());
                    if id == has.len() as u64 {
                        has.push(id);
                    }
                    assert!(id < has.len() as u64, "a gap");
                }
            };
            for (step, lost) in steps {
                match step {
                    0 => {
                        if let Some(last) = has.last() {
                            arrays.ack(*last).unwrap();
                        }
                        arrays.rewind();
                    }
                    1 => {
                        if let Some((first, values)) = arrays.again(3) && !lost {
                            take(first, values, &mut has);
                        } else {
                            arrays.rewind();
                        }
                    }
                    _ => if arrays.again(1000).is_none() {
                        arrays.say(said.to_string().into());
                        arrays.said_message();
                        said += 1;
                    } else {
                        arrays.rewind();
                    }
                }
            }
            arrays.rewind();
            while let Some((first, values)) = arrays.again(3) {
                take(first, values, &mut has);
            }
            prop_assert_eq!(has.len() as u64, said);
        }
    }
}
