//! The messages of a ring, where most rings have none, or one that many share: neither takes heap.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use super::ring::Entry;
use crate::packet::{Delivery, Outgoing, Packet};

thread_local! {
    /// The list of a ring that was here and is empty.
    static SPARE: Cell<Vec<Entry>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps no list for more messages than this.
const LARGEST: usize = 64;

/// Messages, the oldest first.
#[derive(Debug, Default)]
pub(super) enum Entries {
    #[default]
    None,
    /// One that is shared with others and delivered as usual. A broadcast leaves one with each receiver.
    Shared(Arc<Packet>),
    Many(VecDeque<Entry>),
}

impl Entries {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Shared(_) => 1,
            Self::Many(list) => list.len(),
        }
    }

    /// Bytes of the message at this place.
    pub(super) fn size_at(&self, index: usize) -> usize {
        match self {
            Self::Shared(packet) if index == 0 => packet.envelope().len(),
            Self::Many(list) => list.get(index).map_or(0, Entry::len),
            _ => 0,
        }
    }

    /// Those that are in a list.
    pub(super) fn listed(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        match self {
            Self::Many(list) => list.iter(),
            _ => Default::default(),
        }
    }

    /// All of them in a list.
    #[inline]
    pub(super) fn list(&mut self) -> &mut VecDeque<Entry> {
        if !matches!(self, Self::Many(_)) {
            self.make_list(VecDeque::new());
        }
        match self {
            Self::Many(list) => list,
            _ => unreachable!("it was made one"),
        }
    }

    /// For who will be empty again soon: what is pushed next goes into the thread's list.
    #[inline]
    pub(super) fn borrow(&mut self) {
        if !matches!(self, Self::Many(_)) {
            self.make_list(SPARE.try_with(Cell::take).unwrap_or_default().into());
        }
    }

    fn make_list(&mut self, mut list: VecDeque<Entry>) {
        if let Self::Shared(packet) = std::mem::take(self) {
            list.push_back(shared(packet));
        }
        *self = Self::Many(list);
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        match self {
            Self::Many(list) => list.push_back(entry),
            _ => self.push_first(entry),
        }
    }

    fn push_first(&mut self, entry: Entry) {
        match entry {
            Entry { outgoing: Outgoing::Shared(packet), delivery: Delivery::Reliable }
                if matches!(self, Self::None) =>
            {
                *self = Self::Shared(packet);
            }
            entry => self.list().push_back(entry),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        match self {
            Self::Many(list) => list.pop_front(),
            _ => match std::mem::take(self) {
                Self::Shared(packet) => Some(shared(packet)),
                _ => None,
            },
        }
    }

    /// Empty, it has no list: the thread keeps one.
    pub(super) fn shrink(&mut self) {
        if let Self::Many(list) = self
            && list.is_empty()
        {
            list.clear(); // so that it begins at its beginning, and is a `Vec` at once
            let Self::Many(list) = std::mem::take(self) else { return };
            if (1..=LARGEST).contains(&list.capacity()) {
                let _ = SPARE.try_with(|spare| spare.set(list.into()));
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Many(list) => list.clear(),
            _ => *self = Self::None,
        }
        self.shrink();
    }

    /// All of them, to keep.
    pub(super) fn into_all(self) -> VecDeque<Entry> {
        match self {
            Self::None => VecDeque::new(),
            Self::Shared(packet) => VecDeque::from([shared(packet)]),
            Self::Many(list) => list,
        }
    }
}

fn shared(packet: Arc<Packet>) -> Entry {
    Entry { outgoing: Outgoing::Shared(packet), delivery: Delivery::Reliable }
}
