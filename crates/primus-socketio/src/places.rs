//! The namespaces that a client is in, each of which is a channel of its session.
//!
//! ```text
//! CONNECT ─▶ opening ──reply──▶ open ──DISCONNECT, or the spark ended──▶ gone
//!                └──refusal──▶ gone              ▲
//! a session that came back ──▶ away ──CONNECT────┘ (open)
//! ```

use std::collections::VecDeque;

use bytestring::ByteString;
use primus_core::Outgoing;

/// A client's request has this number for the session: the slot of its namespace, then its own id and one. 0
/// asks whether the client may enter.
const ID_BITS: u32 = 40;
const LAST_SLOT: u64 = (1 << (52 - ID_BITS)) - 1;
/// The largest id of a client that can be answered.
pub(crate) const LARGEST_ID: u64 = (1 << ID_BITS) - 2;

/// The number of a client's request among those of its session, and back.
pub(crate) fn number(slot: u64, id: u64) -> u64 {
    slot << ID_BITS | (id + 1)
}

/// The number of the question whether a client may enter.
pub(crate) fn question(slot: u64) -> u64 {
    slot << ID_BITS
}

/// The slot, and the id; `None`: it was that question.
pub(crate) fn slot_and_id(number: u64) -> (u64, Option<u64>) {
    (number >> ID_BITS, (number & ((1 << ID_BITS) - 1)).checked_sub(1))
}

/// How far a client is with a namespace.
#[derive(Debug)]
pub(crate) enum State {
    /// It is being decided whether it may enter.
    Opening,
    Open,
    /// Its session has come back, and the client has not asked for this namespace yet: what is for it waits,
    /// with its numbers. `false`: something had to be dropped.
    Away(VecDeque<(u64, Outgoing)>, bool),
    /// It has left, or was sent away. What it said before it knew that is not a fault.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) namespace: ByteString,
    /// `None`: the root.
    pub(crate) channel: Option<Box<str>>,
    /// The root's is 0.
    pub(crate) slot: u64,
    pub(crate) state: State,
    /// Messages up to this number are known to the client.
    pub(crate) after: u64,
}

impl Place {
    pub(crate) fn is_taken(&self) -> bool {
        !matches!(self.state, State::Gone)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    places: Vec<Place>,
    last_slot: u64,
}

impl Places {
    /// Of a session whose slots up to this one may still be known to it.
    pub(crate) fn behind(last_slot: u64) -> Self {
        Self { places: Vec::new(), last_slot }
    }

    pub(crate) fn last_slot(&self) -> u64 {
        self.last_slot
    }

    pub(crate) fn clear(&mut self) {
        self.places = Vec::new();
    }

    /// Adds one; one of the same namespace that is gone is replaced.
    pub(crate) fn add(
        &mut self,
        namespace: ByteString,
        channel: Option<Box<str>>,
        state: State,
        after: u64,
    ) -> u64 {
        self.places.retain(|place| place.namespace != namespace);
        let slot = if channel.is_none() { 0 } else { self.free_slot() };
        self.places.push(Place { namespace, channel, slot, state, after });
        slot
    }

    /// In turn, so that one is not soon used again.
    fn free_slot(&mut self) -> u64 {
        loop {
            self.last_slot = self.last_slot % LAST_SLOT + 1;
            if !self.places.iter().any(|place| place.slot == self.last_slot) {
                return self.last_slot;
            }
        }
    }

    pub(crate) fn of_namespace(&mut self, namespace: &str) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| *place.namespace == *namespace)
    }

    pub(crate) fn of_channel(&mut self, channel: Option<&str>) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.channel.as_deref() == channel)
    }

    pub(crate) fn of_slot(&mut self, slot: u64) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.slot == slot)
    }

    /// Those that the client is in, or may be in.
    pub(crate) fn taken(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.is_taken())
    }

    /// Channels that the client is in or wants to be in, beside the root.
    pub(crate) fn channels(&self) -> usize {
        self.taken().filter(|place| place.channel.is_some()).count()
    }

    /// Forgets those that are gone, if they are more than this.
    pub(crate) fn tidy(&mut self, most: usize) {
        if self.places.len() > most {
            self.places.retain(Place::is_taken);
        }
    }
}
