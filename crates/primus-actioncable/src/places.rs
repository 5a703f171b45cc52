//! The subscriptions of a client, by the channels that they are places in.
//!
//! ```text
//! subscribe ─▶ opening ──reply──▶ open ──last identifier unsubscribed, or the spark ended──▶ gone
//!                 └──refusal──▶ gone
//! ```
//!
//! Several identifiers, such as the same parameters in another order, may be one channel; they share its spark.

use std::collections::{BTreeMap, HashMap, HashSet};

use primus_core::{Envelope, Limits, Outgoing};

use crate::protocol::{Identifier, Who};

/// One identifier of the client.
#[derive(Debug)]
pub(crate) struct Id {
    pub(crate) text: String,
    /// It is the text that most clients have for this channel, so that its frames are shared.
    pub(crate) usual: bool,
}

/// It is being decided whether the client may enter.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Numbers the question.
    number: u64,
    /// What the client has said there meanwhile.
    early: Vec<Envelope>,
    /// As whom it wants to be seen there.
    pub(crate) presence: Option<Who>,
}

/// A channel that the client is in, or about to enter.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// None: it has left before it was decided.
    pub(crate) ids: Vec<Id>,
    pub(crate) opening: Option<Opening>,
    pub(crate) held: Held,
}

/// What is held back while the client catches up: it comes again, or has its place behind what was missed.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The client is back, and has not said yet what it has.
    pub(crate) all: bool,
    /// It has been pinged since, and has still not said it.
    pinged: bool,
    /// Rooms whose past is on its way.
    pub(crate) catching: HashSet<Box<str>>,
    rooms: HashMap<Box<str>, BTreeMap<u64, Outgoing>>,
    bytes: usize,
}

impl Held {
    /// Holds a message back, if it has to wait. More than `most` bytes do not wait: all of them come back.
    pub(crate) fn hold(
        &mut self,
        room: &str,
        offset: u64,
        outgoing: &Outgoing,
        most: usize,
    ) -> Hold {
        if !self.all && !self.catching.contains(room) {
            return Hold::No;
        }
        let kept = self.rooms.entry(room.into()).or_default();
        if kept.insert(offset, outgoing.clone()).is_none() {
            self.bytes += outgoing.envelope().len();
        }
        if self.bytes <= most {
            return Hold::Yes;
        }
        Hold::Enough(std::mem::take(self).into_messages())
    }

    fn into_messages(self) -> Vec<Outgoing> {
        self.rooms.into_values().flat_map(BTreeMap::into_values).collect()
    }

    /// What was held of a room, in order and each once.
    pub(crate) fn release(&mut self, room: &str) -> Vec<Outgoing> {
        self.catching.remove(room);
        let kept: Vec<_> =
            self.rooms.remove(room).into_iter().flat_map(BTreeMap::into_values).collect();
        let bytes: usize = kept.iter().map(|outgoing| outgoing.envelope().len()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        kept
    }
}

pub(crate) enum Hold {
    No,
    Yes,
    Enough(Vec<Outgoing>),
}

/// What comes of a subscription.
#[derive(Debug)]
pub(crate) enum Subscribed {
    /// It is there, and is confirmed, once more if it was before.
    Confirm,
    /// It is being decided.
    Wait,
    /// This question has to be asked.
    Ask(u64),
    /// There are too many.
    TooMany,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    places: HashMap<Box<str>, Place>,
    /// The channels of the identifiers.
    channels: HashMap<Box<str>, Box<str>>,
    last: u64,
    /// Messages and bytes that wait for decisions.
    early: (usize, usize),
}

/// What comes of a decision.
pub(crate) struct Decided {
    pub(crate) channel: Box<str>,
    pub(crate) ids: Vec<String>,
    /// What has waited for it.
    pub(crate) early: Vec<Envelope>,
    pub(crate) presence: Option<Who>,
}

impl Places {
    /// So much waits for decisions that nothing more should be read.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.early.0 >= limits.inbox_messages || self.early.1 >= limits.inbox_bytes
    }

    pub(crate) fn subscribe(
        &mut self,
        text: &str,
        identifier: &Identifier,
        presence: Option<Who>,
        most: usize,
    ) -> Subscribed {
        if let Some(place) = self.of_identifier(text) {
            return if place.opening.is_some() { Subscribed::Wait } else { Subscribed::Confirm };
        }
        // One that is left before it has been decided on still counts.
        if self.places.values().map(|place| place.ids.len().max(1)).sum::<usize>() >= most {
            return Subscribed::TooMany;
        }
        let channel = identifier.name();
        self.channels.insert(text.into(), channel.into());
        let new = !self.places.contains_key(channel);
        let place = self.places.entry(channel.into()).or_default();
        place.ids.push(Id { text: text.to_owned(), usual: identifier.is_usual() });
        if !new {
            return if place.opening.is_some() { Subscribed::Wait } else { Subscribed::Confirm };
        }
        self.last += 1;
        place.opening = Some(Opening { number: self.last, early: Vec::new(), presence });
        Subscribed::Ask(self.last)
    }

    /// A subscription that a client had before it was lost.
    pub(crate) fn restore(&mut self, text: String, identifier: &Identifier) {
        let place = self.places.entry(identifier.name().into()).or_default();
        self.channels.insert(text.as_str().into(), identifier.name().into());
        place.ids.push(Id { text, usual: identifier.is_usual() });
        place.held.all = true;
    }

    /// Questions up to this number were asked before.
    pub(crate) fn ask_behind(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The channel to be left, if nobody is there any more.
    pub(crate) fn unsubscribe(&mut self, text: &str) -> Option<Box<str>> {
        let channel = self.channels.remove(text)?;
        let place = self.places.get_mut(&channel)?;
        place.ids.retain(|id| id.text != text);
        if !place.ids.is_empty() || place.opening.is_some() {
            // There are others, or that nobody is left is seen once it is decided.
            return None;
        }
        self.places.remove(&channel);
        Some(channel)
    }

    /// A message for the channel of an identifier: it comes back, unless it has to wait for a decision.
    pub(crate) fn say(&mut self, channel: &str, message: Envelope) -> Option<Envelope> {
        let place = self.places.get_mut(channel)?;
        let Some(opening) = &mut place.opening else { return Some(message) };
        self.early.0 += 1;
        self.early.1 += message.len();
        opening.early.push(message);
        None
    }

    pub(crate) fn channel(&self, text: &str) -> Option<Box<str>> {
        self.channels.get(text).cloned()
    }

    fn of_identifier(&mut self, text: &str) -> Option<&mut Place> {
        let channel = self.channels.get(text)?;
        self.places.get_mut(channel)
    }

    /// The place of an identifier, if it is open.
    pub(crate) fn open_of(&mut self, text: &str) -> Option<&mut Place> {
        self.of_identifier(text).filter(|place| place.opening.is_none())
    }

    /// A channel that the client is in.
    pub(crate) fn open(&mut self, channel: &str) -> Option<&mut Place> {
        self.places.get_mut(channel).filter(|place| place.opening.is_none())
    }

    /// Whether the client may enter has been decided. Without identifiers it has left meanwhile.
    pub(crate) fn decided(&mut self, number: u64, may: bool) -> Option<Decided> {
        let asked = |place: &Place| place.opening.as_ref().is_some_and(|it| it.number == number);
        let channel = self.places.iter().find(|(_, place)| asked(place))?.0.clone();
        let place = self.places.get_mut(&channel)?;
        let Opening { early, presence, .. } = place.opening.take()?;
        self.early.0 -= early.len();
        self.early.1 -= early.iter().map(Envelope::len).sum::<usize>();
        let ids: Vec<_> = place.ids.iter().map(|id| id.text.clone()).collect();
        if !may || ids.is_empty() {
            self.remove(&channel);
        }
        Some(Decided { channel, ids, early: if may { early } else { Vec::new() }, presence })
    }

    /// The spark has ended. These were its identifiers.
    pub(crate) fn ended(&mut self, channel: &str) -> Vec<String> {
        if self.open(channel).is_none() {
            return Vec::new();
        }
        self.remove(channel)
    }

    fn remove(&mut self, channel: &str) -> Vec<String> {
        let ids = self.places.remove(channel).map(|place| place.ids).unwrap_or_default();
        let texts: Vec<_> = ids.into_iter().map(|id| id.text).collect();
        texts.iter().for_each(|text| drop(self.channels.remove(text.as_str())));
        texts
    }

    /// What has been held since the ping before this one for clients that have not said what they have: they will
    /// not, and what is new goes to them as it comes.
    pub(crate) fn release_unasked(&mut self) -> Vec<(Box<str>, Vec<Outgoing>)> {
        let mut released = Vec::new();
        for (channel, place) in &mut self.places {
            if !place.held.all {
                continue;
            }
            if std::mem::replace(&mut place.held.pinged, true) {
                released.push((channel.clone(), std::mem::take(&mut place.held).into_messages()));
            }
        }
        released
    }

    /// The identifiers of all that are open.
    pub(crate) fn identifiers(&self) -> Vec<String> {
        let open = self.places.values().filter(|place| place.opening.is_none());
        open.flat_map(|place| &place.ids).map(|id| id.text.clone()).collect()
    }
}
