//! The packets of `primus-multiplex` 3, and the channels that a client is in by them.
//!
//! Its client waits for no answer to a subscription, so what it says in a channel is kept until it
//! is decided whether it may enter. It may subscribe to one channel more than once, each time by an
//! id of its own; here all of them share one spark.
//!
//! ```text
//! subscribe ─▶ opening ──reply──▶ open ──last id gone, or the spark ended──▶ gone
//!                 └──refusal──▶ gone
//! ```

use std::collections::{HashMap, VecDeque};

use bytestring::ByteString;
use primus_core::{Envelope, Limits, Payload};
use serde_json::{Value, json};

use super::{
    emitter::{self, ID_BITS, LARGEST_ID, Said},
    walk::Walk,
};
use crate::dialect::Incoming;

/// The longest id of a subscription, in bytes.
const LONGEST_ID: usize = 64;
/// A client's request has this number for the session: the slot of its place, then its own id. Slot
/// 0 is the root; id 0 is the question whether the client may enter.
const LAST_SLOT: u64 = (1 << (52 - ID_BITS)) - 1;
/// However many channels are allowed, there are slots for all.
const MOST: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Subscribe,
    Unsubscribe,
}

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    kind: Kind,
    id: String,
    pub(super) channel: String,
    payload: Option<ByteString>,
}

/// What a client said. `None`: it is no packet, but data.
pub(super) fn read(text: &ByteString) -> Option<Packet> {
    let mut walk = Walk::new(text);
    walk.eat('[')?;
    let kind = [('0', Kind::Message), ('1', Kind::Subscribe), ('2', Kind::Unsubscribe)]
        .into_iter()
        .find_map(|(digit, kind)| walk.eat(digit).map(|()| kind))?;
    walk.eat(',')?;
    let id = walk.string().filter(|id| (1..=LONGEST_ID).contains(&id.len()))?;
    walk.eat(',')?;
    let channel = walk.string()?;
    let payload = match walk.eat(',') {
        Some(()) => Some(text.slice_ref(walk.value()?)),
        None => None,
    };
    walk.eat(']')?;
    walk.end()?;
    Some(Packet { kind, id, channel, payload })
}

fn write(kind: u8, id: &str, channel: &str, payload: Option<&str>) -> Payload {
    let (id, channel) = (Value::from(id), Value::from(channel));
    match payload {
        None => format!("[{kind},{id},{channel}]").into(),
        Some(payload) => format!("[{kind},{id},{channel},{payload}]").into(),
    }
}

/// The number of a client's request among those of its session, and back.
pub(super) fn number(slot: u64, id: u64) -> u64 {
    (slot << ID_BITS) | id
}

pub(super) fn slot_and_id(number: u64) -> (u64, u64) {
    (number >> ID_BITS, number & LARGEST_ID)
}

/// What an emitter packet is to the session.
pub(super) fn envelope(channel: Option<&str>, slot: u64, said: Said) -> Option<Envelope> {
    match said {
        Said::Event { name, args } => Envelope::event(channel, &name, &args).ok(),
        Said::Request { id, name, args } => {
            Envelope::request(channel, number(slot, id), &name, &args).ok()
        }
        Said::Ack { id, value } => Some(Envelope::reply(id, &value)),
    }
}

/// One id by which the client is in a channel.
struct Id {
    slot: u64,
    id: Box<str>,
}

/// A channel that the client is in, or about to enter.
#[derive(Default)]
struct Place {
    ids: Vec<Id>,
    opening: Option<Opening>,
}

/// It is being decided whether the client may enter.
struct Opening {
    /// Numbers the question.
    slot: u64,
    /// What the client has said there meanwhile.
    early: Vec<Envelope>,
}

/// All channels of one client.
#[derive(Default)]
pub(super) struct Channels {
    places: HashMap<Box<str>, Place>,
    last_slot: u64,
    /// Messages and bytes that wait for decisions.
    early: (usize, usize),
    /// What does not wait for one any more.
    ready: VecDeque<Envelope>,
}

impl Channels {
    /// So much waits for decisions that nothing more should be read.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.early.0 >= limits.inbox_messages || self.early.1 >= limits.inbox_bytes
    }

    /// What has waited for a decision, and may be delivered now.
    pub(super) fn pop_ready(&mut self) -> Option<Envelope> {
        self.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A packet of a channel that there is.
    pub(super) fn read(&mut self, packet: Packet, limits: &Limits) -> Incoming {
        let Packet { kind, id, channel, payload } = packet;
        match kind {
            Kind::Subscribe => self.subscribe(&id, &channel, limits),
            Kind::Unsubscribe => self.unsubscribe(&id, &channel),
            Kind::Message => self.message(&id, &channel, payload),
        }
    }

    fn subscribe(&mut self, id: &str, channel: &str, limits: &Limits) -> Incoming {
        let known = self.places.get(channel);
        if known.is_some_and(|place| place.ids.iter().any(|known| *known.id == *id)) {
            return Incoming::Nothing;
        }
        // One that is left before it has been decided on still counts.
        let ids: usize = self.places.values().map(|place| place.ids.len().max(1)).sum();
        if ids >= limits.max_channels.min(MOST) {
            tracing::debug!(channel, "a client subscribes to too many channels (max_channels)");
            return Incoming::Answer(write(2, id, channel, None));
        }
        let new = known.is_none();
        let slot = self.free_slot();
        let place = self.places.entry(channel.into()).or_default();
        place.ids.push(Id { slot, id: id.into() });
        if !new {
            return Incoming::Nothing;
        }
        place.opening = Some(Opening { slot, early: Vec::new() });
        let args = json!({ "channel": channel }).to_string();
        match Envelope::request(None, number(slot, 0), "primus.open", &args.into()) {
            Ok(open) => Incoming::Message(open),
            Err(_) => Incoming::Nothing,
        }
    }

    /// In turn, so that one is not soon used again.
    fn free_slot(&mut self) -> u64 {
        loop {
            self.last_slot = self.last_slot % LAST_SLOT + 1;
            let taken = |place: &Place| {
                place.ids.iter().any(|id| id.slot == self.last_slot)
                    || place.opening.as_ref().is_some_and(|opening| opening.slot == self.last_slot)
            };
            if !self.places.values().any(taken) {
                return self.last_slot;
            }
        }
    }

    fn unsubscribe(&mut self, id: &str, channel: &str) -> Incoming {
        let Some(place) = self.places.get_mut(channel) else { return Incoming::Nothing };
        let before = place.ids.len();
        place.ids.retain(|known| *known.id != *id);
        if place.ids.len() == before || !place.ids.is_empty() || place.opening.is_some() {
            // Unknown; or there are others; or that nobody is left is seen once it is decided.
            return Incoming::Nothing;
        }
        self.places.remove(channel);
        leaving(channel).map_or(Incoming::Nothing, Incoming::Message)
    }

    fn message(&mut self, id: &str, channel: &str, payload: Option<ByteString>) -> Incoming {
        let Some(place) = self.places.get_mut(channel) else { return Incoming::Nothing };
        let Some(known) = place.ids.iter().find(|known| *known.id == *id) else {
            return Incoming::Nothing;
        };
        let payload = payload.unwrap_or_else(|| ByteString::from_static("null"));
        let message = match emitter::read(&payload) {
            Some(said) => envelope(Some(channel), known.slot, said),
            None => Some(Envelope::data(Some(channel), &Payload::Text(payload))),
        };
        let Some(message) = message else { return Incoming::Nothing };
        let Some(opening) = &mut place.opening else { return Incoming::Message(message) };
        self.early.0 += 1;
        self.early.1 += message.len();
        opening.early.push(message);
        Incoming::Nothing
    }

    /// Whether the client may enter has been decided.
    pub(super) fn decided(&mut self, slot: u64, may: bool, write_out: impl FnMut(Payload)) {
        let Some((channel, place)) = self.places.iter_mut().find(|(_, place)| {
            place.opening.as_ref().is_some_and(|opening| opening.slot == slot)
        }) else {
            return;
        };
        let channel = channel.clone();
        let early = place.opening.take().map(|opening| opening.early).unwrap_or_default();
        self.early.0 -= early.len();
        self.early.1 -= early.iter().map(Envelope::len).sum::<usize>();
        if !may {
            self.ended(&channel, write_out);
            return;
        }
        self.ready.extend(early);
        if place.ids.is_empty() {
            self.places.remove(&channel);
            self.ready.extend(leaving(&channel));
        }
    }

    /// The spark has ended.
    pub(super) fn ended(&mut self, channel: &str, mut write_out: impl FnMut(Payload)) {
        if self.places.get(channel).is_some_and(|place| place.opening.is_none())
            && let Some(place) = self.places.remove(channel)
        {
            place.ids.iter().for_each(|id| write_out(write(2, &id.id, channel, None)));
        }
    }

    /// Something is said in a channel. Who has left it, or has not come yet, does not hear it.
    pub(super) fn said(&self, channel: &str, payload: &str, mut write_out: impl FnMut(Payload)) {
        if let Some(Place { ids, opening: None }) = self.places.get(channel) {
            ids.iter().for_each(|id| write_out(write(0, &id.id, channel, Some(payload))));
        }
    }

    /// An answer to the request of one place.
    pub(super) fn answered(&self, slot: u64, payload: &str) -> Option<Payload> {
        self.places.iter().find_map(|(channel, place)| {
            let id = place.ids.iter().find(|id| id.slot == slot)?;
            Some(write(0, &id.id, channel, Some(payload)))
        })
    }
}

fn leaving(channel: &str) -> Option<Envelope> {
    Envelope::event(Some(channel), "primus.end", &"null".into()).ok()
}
