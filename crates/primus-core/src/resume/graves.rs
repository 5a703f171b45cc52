//! What is remembered of sessions that ended while their clients were away, so that a client that
//! comes back is told why there is nothing to come back to.

use std::collections::{HashMap, VecDeque};

use crate::{
    close::CloseReason,
    id::{Secret, SparkId},
};

/// So many are remembered: a client that comes back later hears `expired`, which is as true.
const MOST: usize = 4096;

/// Why a session could not wait for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grave {
    /// The resume window passed, or its place was needed.
    Expired,
    /// More was sent than is kept.
    Overflow,
    /// It was ended for good.
    Ended(CloseReason),
}

/// The last sessions that ended so. Empty, it holds no heap.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    known: HashMap<SparkId, (Secret, Grave)>,
    order: VecDeque<SparkId>,
}

impl Graves {
    pub(crate) fn bury(&mut self, id: SparkId, key: Secret, grave: Grave) {
        if self.order.len() == MOST
            && !self.known.contains_key(&id)
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.insert(id, (key, grave)).is_none() {
            self.order.push_back(id);
        }
    }

    /// What became of a session. Only who knows its key is told.
    pub(crate) fn find(&self, id: SparkId, key: Secret) -> Option<Grave> {
        self.known.get(&id).filter(|(known, _)| *known == key).map(|(_, grave)| grave.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_for_who_knows_the_key() {
        let mut graves = Graves::default();
        let all: Vec<_> = (0..MOST + 2).map(|_| (SparkId::random(), Secret::random())).collect();
        for (id, key) in &all {
            graves.bury(*id, *key, Grave::Overflow);
        }
        assert_eq!((graves.known.len(), graves.order.len()), (MOST, MOST));
        assert_eq!(graves.find(all[1].0, all[1].1), None);
        assert_eq!(graves.find(all[2].0, all[2].1), Some(Grave::Overflow));
        assert_eq!(graves.find(all[2].0, all[3].1), None);
    }
}
