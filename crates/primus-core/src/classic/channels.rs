//! The channels that a client of `primus-multiplex` is in.
//!
//! It waits for no answer to a subscription, so what it says in a channel is kept until it is decided
//! whether it may enter. It may subscribe to one channel more than once, each time by an id of its
//! own; here all of them share one spark.
//!
//! ```text
//! subscribe ─▶ opening ──reply──▶ open ──last id gone, or the spark ended──▶ gone
//!                 └──refusal──▶ gone
//! ```

use std::collections::{HashMap, VecDeque};

use crate::{Envelope, Limits, Payload};
use bytestring::ByteString;
use serde_json::json;

use super::Incoming;
use super::{
    emitter::{self, ID_BITS, LARGEST_ID, Said},
    multiplex::{Kind, Packet, write},
};

/// A client's request has this number for the session: the slot of its place, then its own id. Slot
/// 0 is the root; id 0 is the question whether the client may enter.
const LAST_SLOT: u64 = (1 << (52 - ID_BITS)) - 1;
/// However many channels are allowed, there are slots for all.
const MOST: usize = 1024;

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

    pub(super) fn first_ready(&self) -> Option<&Envelope> {
        self.ready.front()
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
        let Some((channel, place)) = self
            .places
            .iter_mut()
            .find(|(_, place)| place.opening.as_ref().is_some_and(|opening| opening.slot == slot))
        else {
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

#[cfg(test)]
mod tests {
    use crate::Subject;
    use proptest::prelude::*;

    use super::{super::multiplex::read, *};

    /// A client's texts, and what comes of them.
    #[derive(Default)]
    struct Client {
        channels: Channels,
        limits: Limits,
    }

    impl Client {
        fn says(&mut self, text: &str) -> Incoming {
            self.channels.read(read(&text.into()).expect("a packet"), &self.limits)
        }

        /// The number of the question that this subscription asks.
        fn asks(&mut self, text: &str) -> u64 {
            match self.says(text) {
                Incoming::Message(open) => match open.heading().subject {
                    Subject::Request(number, name) if name == "primus.open" => number,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }

        fn decided(&mut self, number: u64, may: bool) -> Vec<String> {
            let (slot, id) = slot_and_id(number);
            assert_eq!(id, 0);
            texts(|out| self.channels.decided(slot, may, out))
        }

        fn enters(&mut self, text: &str) {
            let number = self.asks(text);
            assert!(self.decided(number, true).is_empty());
        }

        fn hears(&self, channel: &str, payload: &str) -> Vec<String> {
            texts(|out| self.channels.said(channel, payload, out))
        }

        fn ready(&mut self) -> Vec<Envelope> {
            std::iter::from_fn(|| self.channels.pop_ready()).collect()
        }
    }

    fn texts(say: impl FnOnce(&mut dyn FnMut(Payload))) -> Vec<String> {
        let mut said = Vec::new();
        say(&mut |payload| said.push(String::from_utf8_lossy(payload.as_bytes()).into_owned()));
        said
    }

    fn data(channel: &str, body: &str) -> Envelope {
        Envelope::data(Some(channel), &body.into())
    }

    fn end(channel: &str) -> Envelope {
        leaving(channel).unwrap()
    }

    #[test]
    fn a_client_enters_hears_says_and_leaves() {
        let mut client = Client::default();
        client.enters(r#"[1,"a","news"]"#);
        assert_eq!(client.hears("news", "1"), [r#"[0,"a","news",1]"#]);
        assert_eq!(client.hears("other", "1"), [""; 0]);
        let said = client.says(r#"[0,"a","news","hi"]"#);
        assert_eq!(said, Incoming::Message(data("news", "\"hi\"")));
        assert_eq!(client.says(r#"[0,"a","news"]"#), Incoming::Message(data("news", "null")));
        for stranger in [r#"[0,"b","news",1]"#, r#"[2,"b","news"]"#, r#"[0,"a","other",1]"#] {
            assert_eq!(client.says(stranger), Incoming::Nothing, "{stranger}");
        }
        assert_eq!(client.says(r#"[1,"a","news"]"#), Incoming::Nothing, "it is there already");
        assert_eq!(client.says(r#"[2,"a","news"]"#), Incoming::Message(end("news")));
        assert_eq!(client.hears("news", "1"), [""; 0]);
    }

    #[test]
    fn what_is_said_before_the_decision_waits_for_it() {
        let mut client = Client::default();
        let number = client.asks(r#"[1,"a","news"]"#);
        assert_eq!(client.says(r#"[0,"a","news",1]"#), Incoming::Nothing);
        assert_eq!(client.hears("news", "0"), [""; 0], "that is for who was here before");
        assert!(client.decided(number, true).is_empty());
        assert!(client.channels.first_ready().is_some());
        assert_eq!(client.ready(), [data("news", "1")]);

        let number = client.asks(r#"[1,"b","sport"]"#);
        client.says(r#"[0,"b","sport",1]"#);
        client.says(r#"[2,"b","sport"]"#);
        assert!(client.decided(number, true).is_empty());
        assert_eq!(client.ready(), [data("sport", "1"), end("sport")], "it left meanwhile");
        assert_eq!(client.hears("sport", "1"), [""; 0]);
    }

    #[test]
    fn a_refusal_ends_the_subscription() {
        let mut client = Client::default();
        let number = client.asks(r#"[1,"a","news"]"#);
        client.says(r#"[0,"a","news",1]"#);
        client.says(r#"[1,"b","news"]"#);
        assert_eq!(client.decided(number, false), [r#"[2,"a","news"]"#, r#"[2,"b","news"]"#]);
        assert!(client.ready().is_empty());
        assert_eq!(client.channels.early, (0, 0));
        assert!(client.decided(number, true).is_empty(), "once is enough");
        client.enters(r#"[1,"a","news"]"#);
    }

    #[test]
    fn several_ids_share_a_place_and_the_last_that_goes_leaves_it() {
        let mut client = Client::default();
        client.enters(r#"[1,"a","news"]"#);
        assert_eq!(client.says(r#"[1,"b","news"]"#), Incoming::Nothing);
        assert_eq!(client.hears("news", "1"), [r#"[0,"a","news",1]"#, r#"[0,"b","news",1]"#]);
        assert_eq!(client.says(r#"[2,"a","news"]"#), Incoming::Nothing);
        assert_eq!(client.hears("news", "1"), [r#"[0,"b","news",1]"#]);
        assert_eq!(client.says(r#"[2,"b","news"]"#), Incoming::Message(end("news")));
    }

    #[test]
    fn the_end_of_the_spark_ends_every_id() {
        let mut client = Client::default();
        client.enters(r#"[1,"a","news"]"#);
        client.says(r#"[1,"b","news"]"#);
        let told = texts(|out| client.channels.ended("news", out));
        assert_eq!(told, [r#"[2,"a","news"]"#, r#"[2,"b","news"]"#]);
        assert_eq!(client.says(r#"[0,"a","news",1]"#), Incoming::Nothing);
        client.asks(r#"[1,"a","news"]"#);
        let told = texts(|out| client.channels.ended("news", out));
        assert_eq!(told, [""; 0], "that was the spark before");
    }

    #[test]
    fn requests_are_answered_to_the_id_that_asked() {
        let mut client = Client::default();
        client.enters(r#"[1,"a","news"]"#);
        client.says(r#"[1,"b","news"]"#);
        let mut number = |id: &str| {
            let text = format!(r#"[0,"{id}","news",{{"type":0,"data":["x",1],"id":7}}]"#);
            match client.says(&text) {
                Incoming::Message(request) => match request.heading().subject {
                    Subject::Request(number, _) => number,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        let (a, b) = (slot_and_id(number("a")), slot_and_id(number("b")));
        assert_eq!((a.1, b.1), (7, 7));
        let answered = |slot| client.channels.answered(slot, "1");
        assert_eq!(answered(a.0), Some(r#"[0,"a","news",1]"#.into()));
        assert_eq!(answered(b.0), Some(r#"[0,"b","news",1]"#.into()));
        assert_eq!(answered(4000), None);
    }

    #[test]
    fn subscriptions_are_bounded() {
        let mut client = Client::default();
        client.limits.max_channels = 3;
        client.enters(r#"[1,"a","one"]"#);
        client.says(r#"[1,"b","one"]"#);
        client.asks(r#"[1,"a","two"]"#);
        client.says(r#"[2,"a","two"]"#);
        let refused = client.says(r#"[1,"a","three"]"#);
        assert_eq!(refused, Incoming::Answer(r#"[2,"a","three"]"#.into()));
        client.says(r#"[2,"b","one"]"#);
        client.asks(r#"[1,"a","three"]"#);
    }

    #[test]
    fn what_waits_for_decisions_is_bounded() {
        let mut client = Client::default();
        client.limits.inbox_messages = 2;
        let number = client.asks(r#"[1,"a","news"]"#);
        client.says(r#"[0,"a","news",1]"#);
        assert!(!client.channels.is_full(&client.limits));
        client.says(r#"[0,"a","news",2]"#);
        assert!(client.channels.is_full(&client.limits));
        client.decided(number, true);
        assert!(!client.channels.is_full(&client.limits));
    }

    #[test]
    fn a_slot_is_not_soon_used_again() {
        let mut client = Client::default();
        let mut slots = std::collections::HashSet::new();
        for _ in 0..LAST_SLOT {
            let number = client.asks(r#"[1,"a","news"]"#);
            assert!(slots.insert(number) && number < 1 << 52);
            client.decided(number, true);
            client.says(r#"[2,"a","news"]"#);
        }
        client.enters(r#"[1,"a","news"]"#);
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_it_is_in_what_it_subscribed_to(
            said in prop::collection::vec((0..3u8, 0..3u8, 0..3u8, any::<bool>()), 0..60),
        ) {
            let mut client = Client::default();
            client.limits.max_channels = 4;
            let mut questions = Vec::new();
            for (kind, id, channel, decide) in said {
                match client.says(&format!(r#"[{kind},"{id}","{channel}",{{}}]"#)) {
                    Incoming::Message(message) => {
                        if let Subject::Request(number, _) = message.heading().subject {
                            questions.push(number);
                        }
                    }
                    Incoming::Answer(_) => prop_assert_eq!(kind, 1),
                    other => prop_assert_eq!(other, Incoming::Nothing),
                }
                if decide && !questions.is_empty() {
                    client.decided(questions.swap_remove(0), id != 0);
                    client.ready();
                }
                prop_assert!(client.channels.places.len() <= 4);
                let early: usize = client.channels.places.values()
                    .flat_map(|place| &place.opening).map(|opening| opening.early.len()).sum();
                prop_assert_eq!(client.channels.early.0, early);
                let opening = client.channels.places.values().filter(|place| place.opening.is_some());
                prop_assert_eq!(opening.count(), questions.len());
            }
        }
    }
}
