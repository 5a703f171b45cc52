//! How a draft reaches its receivers.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard},
};

use super::{
    Audience, Scope,
    draft::{Body, Draft},
};
use crate::{
    envelope::{Envelope, Head},
    handle::Spark,
    message::Message,
    metrics,
    mount::Mount,
    packet::{Delivery, Outgoing, Packet},
    parser::Parser,
    rooms::{Copies, History, Room},
    session::{Offered, Session, Wires},
    shared::Shared,
    transform::Flow,
};

/// What all receivers with one parser share of a broadcast.
struct Prepared {
    parser: Arc<dyn Parser>,
    /// Nothing: a transform dropped it.
    packet: Option<Arc<Packet>>,
}

/// What is prepared as it is needed.
struct Press<'a, B> {
    draft: &'a Draft<'a, B>,
    head: Head<'a>,
    compress: bool,
    shared: &'a Shared,
    prepared: Vec<Prepared>,
}

impl<B: Body> Press<'_, B> {
    /// The message for who has this parser.
    fn packet(&mut self, parser: &Arc<dyn Parser>) -> Result<Option<Arc<Packet>>, B::Error> {
        let known = self.prepared.iter().find(|known| Arc::ptr_eq(&known.parser, parser));
        if let Some(known) = known {
            return Ok(known.packet.clone());
        }
        let head = self.draft.what.head(&self.head);
        let envelope = self.draft.body.encode(head, &**parser)?;
        if self.draft.body.is_value() {
            self.shared.counters.count_encoded();
        }
        let envelope = self.transformed(envelope, parser);
        let packet = envelope.map(|envelope| {
            let envelope = envelope.compress(self.compress);
            Arc::new(Packet::new(envelope, Arc::clone(&self.shared.counters)))
        });
        self.prepared.push(Prepared { parser: Arc::clone(parser), packet: packet.clone() });
        Ok(packet)
    }

    /// Runs the shared transforms; nothing is left if one of them drops the message.
    fn transformed(&self, envelope: Envelope, parser: &Arc<dyn Parser>) -> Option<Envelope> {
        let transforms = &self.shared.transforms;
        if transforms.lets_out() {
            return Some(envelope);
        }
        let mut message = Message::open(&envelope, parser);
        (transforms.run_shared(&mut message) == Flow::Pass).then(|| message.close())
    }
}

impl Audience {
    pub(super) fn publish<B: Body>(&self, draft: &Draft<'_, B>) -> Result<usize, B::Error> {
        match self.widened() {
            Some(wide) => wide.publish_named(draft, &self.rooms),
            None => self.publish_named(draft, &[]),
        }
    }

    /// With the rooms that mounts add to these, if any does. Of the members of those, the ones on such a mount
    /// count.
    fn widened(&self) -> Option<Self> {
        let Scope::Mounts(mounts) = &self.scope else { return None };
        let mut wide: Vec<(Arc<Mount>, Vec<String>)> = Vec::new();
        for mount in mounts {
            let rooms: Vec<_> =
                self.rooms.iter().flat_map(|room| mount.wider_rooms(room)).collect();
            if !rooms.is_empty() {
                wide.push((Arc::clone(mount), rooms));
            }
        }
        if wide.is_empty() {
            return None;
        }
        let named = self.rooms.clone();
        let mut audience = self.clone();
        let rooms = wide.iter().flat_map(|(_, rooms)| rooms).map(|room| Arc::from(&**room));
        audience.rooms.extend(rooms);
        Some(audience.filter(move |spark| {
            wide.iter().any(|(mount, _)| Arc::ptr_eq(mount, spark.session().mount()))
                || named.iter().any(|room| spark.is_in(room))
        }))
    }

    /// Publishes; `named` are rooms that are always told.
    fn publish_named<B: Body>(
        &self,
        draft: &Draft<'_, B>,
        named: &[Arc<str>],
    ) -> Result<usize, B::Error> {
        let Some(shared) = self.channel.shared() else { return Ok(0) };
        if self.rooms.is_empty() {
            return match &self.scope {
                Scope::Mounts(mounts) => self.publish_to_mounts(draft, &shared, mounts),
                Scope::Channel => self.publish_to(draft, self.sparks()),
            };
        }
        let mut names: Vec<&Arc<str>> = self.rooms.iter().collect();
        // In one order, whoever publishes: several of them may be locked.
        names.sort();
        names.dedup();
        let rooms: Vec<Arc<Room>> =
            names.iter().filter_map(|name| self.channel.rooms().get(name)).collect();
        // What is worthless a moment later is not kept for those who come then.
        let kept = self.delivery != Delivery::Volatile;
        if kept && rooms.iter().any(|room| room.keeps_history()) {
            return self.publish_and_keep(draft, &shared, (&rooms, named));
        }
        // First who gets it: who subscribes after that does not, and who did before is told of the room.
        let sparks = self.sparks();
        let mut labels: Vec<(&str, _)> = named.iter().map(|room| (&**room, None)).collect();
        labels.extend(labelled(&rooms).map(|room| (&**room.name(), None)));
        dedup(&mut labels);
        self.send(draft, &shared, &labels, &sparks)
    }

    /// Sends to these, and nobody else.
    pub(super) fn publish_to<B: Body>(
        &self,
        draft: &Draft<'_, B>,
        sparks: Vec<Spark>,
    ) -> Result<usize, B::Error> {
        let Some(shared) = self.channel.shared() else { return Ok(0) };
        self.send(draft, &shared, &[], &sparks)
    }

    fn press<'a, B>(
        &self,
        draft: &'a Draft<'a, B>,
        shared: &'a Shared,
        head: Head<'a>,
    ) -> Press<'a, B> {
        Press { draft, head, compress: self.compress, shared, prepared: Vec::new() }
    }

    fn send<B: Body>(
        &self,
        draft: &Draft<'_, B>,
        shared: &Shared,
        labels: &[(&str, Option<u64>)],
        sparks: &[Spark],
    ) -> Result<usize, B::Error> {
        let head = Head { channel: self.channel.on_wire(), rooms: labels };
        let mut press = self.press(draft, shared, head);
        let (mut reached, mut wires) = (0, Wires::new(shared));
        for spark in sparks {
            if let Some(packet) = press.packet(&spark.mount().settings().parser)? {
                reached += usize::from(self.push(spark, &packet, &mut wires));
            }
        }
        drop(wires);
        self.count(shared, reached);
        Ok(reached)
    }

    /// As [`send`](Self::send), to all sessions of mounts, which are not listed for it.
    fn publish_to_mounts<B: Body>(
        &self,
        draft: &Draft<'_, B>,
        shared: &Shared,
        mounts: &[Arc<Mount>],
    ) -> Result<usize, B::Error> {
        let mut press = self.press(draft, shared, Head::default());
        let plain = self.except.is_empty() && self.filter.is_none() && !per_spark(shared);
        let (mut reached, mut wires) = (0, Wires::new(shared));
        for mount in mounts {
            if mount.sessions() == 0 {
                continue;
            }
            let Some(packet) = press.packet(&mount.settings().parser)? else { continue };
            mount.registry.visit(|session| {
                let heard = session.belongings_if_any().is_some_and(|own| own.hears_outgoing());
                let queued = if plain && !heard {
                    self.push_shared(session, &packet, &mut wires)
                } else {
                    let spark = Spark::from_session(session);
                    self.selects(&spark) && self.push(&spark, &packet, &mut wires)
                };
                reached += usize::from(queued);
                true
            });
        }
        drop(wires);
        self.count(shared, reached);
        Ok(reached)
    }

    /// To rooms of which at least one keeps its history: offset, history and receivers under the
    /// publish locks of these rooms.
    fn publish_and_keep<B: Body>(
        &self,
        draft: &Draft<'_, B>,
        shared: &Arc<Shared>,
        (rooms, named): (&[Arc<Room>], &[Arc<str>]),
    ) -> Result<usize, B::Error> {
        // What user code does, it does before anything is locked.
        let channel = self.channel.on_wire();
        let mut press = self.press(draft, shared, Head { channel, rooms: &[] });
        let mut bodies = Vec::new();
        for mount in shared.mounts() {
            let parser = &mount.settings().parser;
            if bodies.iter().any(|(other, _)| Arc::ptr_eq(other, parser)) {
                continue;
            }
            match press.packet(parser) {
                Ok(Some(packet)) => bodies.push((Arc::clone(parser), packet)),
                Ok(None) => {}
                // What a parser has no form for is an error only where somebody would get it.
                Err(error) if self.has_receivers_with(rooms, parser) => return Err(error),
                Err(_) => {}
            }
        }
        if bodies.is_empty() {
            return Ok(0);
        }
        let mut histories: Vec<(&Room, MutexGuard<'_, Option<History>>)> =
            rooms.iter().map(|room| (&**room, room.history())).collect();
        let mut labels: Vec<_> = histories
            .iter()
            .filter(|(room, history)| history.is_some() || room.is_labelled())
            .map(|(room, history)| (&**room.name(), history.as_ref().map(History::next)))
            .collect();
        labels.extend(named.iter().map(|room| (&**room, None)));
        dedup(&mut labels);
        let head = draft.what.head(&Head { channel, rooms: &labels });
        let epoch = histories.iter().find_map(|(_, history)| Some(history.as_ref()?.epoch()));
        let copies: Copies = bodies
            .into_iter()
            .map(|(parser, packet)| {
                let envelope = Envelope::join(&head, &packet.envelope().body());
                let envelope = envelope.compress(self.compress);
                let packet = Packet::new(envelope, Arc::clone(&shared.counters));
                (parser, Arc::new(packet.kept_in(epoch.clone())))
            })
            .collect();
        for (_, history) in &mut histories {
            if let Some(history) = &mut **history {
                history.append(copies.clone());
            }
        }
        // Who comes after this finds it in the history.
        let (mut reached, mut slow, mut wires) = (0, Vec::new(), Wires::new(shared));
        for spark in self.sparks_in(rooms) {
            let parser = &spark.mount().settings().parser;
            let copy = copies.iter().find(|(other, _)| Arc::ptr_eq(other, parser));
            let Some((_, packet)) = copy else { continue };
            match send_shared(&spark, packet, &self.delivery, Some(&mut wires)) {
                Offered::Queued | Offered::Pressured => reached += 1,
                Offered::Overflowed(_) => slow.push(spark),
                Offered::Dropped | Offered::Ended(_) => {}
            }
        }
        drop(histories);
        drop(wires);
        // What ends now may have hooks that publish to these very rooms.
        slow.iter().for_each(|spark| spark.session().overflowed());
        shared.relieve();
        self.count(shared, reached);
        Ok(reached)
    }

    /// Gives a message to one receiver, in its own form where a transform looks at the spark.
    fn push(&self, spark: &Spark, packet: &Arc<Packet>, wires: &mut Wires<'_>) -> bool {
        let offered = send_shared(spark, packet, &self.delivery, Some(wires));
        reached(spark.session(), &offered)
    }

    fn push_shared(
        &self,
        session: &Arc<Session>,
        packet: &Arc<Packet>,
        wires: &mut Wires<'_>,
    ) -> bool {
        let outgoing = Outgoing::Shared(Arc::clone(packet));
        let offered = session.offer(outgoing, self.delivery.clone(), Some(wires));
        reached(session, &offered)
    }

    fn has_receivers_with(&self, rooms: &[Arc<Room>], parser: &Arc<dyn Parser>) -> bool {
        let same = |spark: &Spark| Arc::ptr_eq(&spark.mount().settings().parser, parser);
        self.sparks_in(rooms).iter().any(same)
    }

    fn count(&self, shared: &Shared, reached: usize) {
        metrics::broadcast(reached);
        if per_spark(shared) {
            metrics::per_spark(reached);
        }
    }
}

/// Offers a shared message to one receiver: behind the transforms that look at the spark, in its own
/// form, else in the shared one. Overflows, and the budget of all, are left to the caller, and so are the
/// `wires`, where there are some.
pub(crate) fn send_shared(
    spark: &Spark,
    packet: &Arc<Packet>,
    delivery: &Delivery,
    wires: Option<&mut Wires<'_>>,
) -> Offered {
    show_outgoing(spark, packet.envelope());
    let session = spark.session();
    let shared = &session.mount().shared;
    if !per_spark(shared) {
        return session.offer(Outgoing::Shared(Arc::clone(packet)), delivery.clone(), wires);
    }
    let mut own = Message::open(packet.envelope(), &spark.mount().settings().parser);
    let transforms = &shared.transforms;
    if transforms.run_for(transforms.shared_prefix(), spark, &mut own) == Flow::Drop {
        return Offered::Dropped;
    }
    let compress = packet.envelope().is_compressible();
    session.offer(Outgoing::Own(own.close().compress(compress)), delivery.clone(), wires)
}

/// Shows an event to who listens to all that this spark is sent.
#[inline]
pub(crate) fn show_outgoing(spark: &Spark, envelope: &Envelope) {
    if !envelope.is_bare()
        && let Some(belongings) = spark.belongings_if_any()
        && belongings.hears_outgoing()
        && let Some(name) = envelope.heading().name()
    {
        let parser = &spark.mount().settings().parser;
        belongings.announce_outgoing(spark, name, &Message::open(envelope, parser));
    }
}

/// Each room once, as it is first.
fn dedup(labels: &mut Vec<(&str, Option<u64>)>) {
    if labels.len() < 2 {
        return;
    }
    let mut seen = HashSet::new();
    labels.retain(|(room, _)| seen.insert(*room));
}

/// The rooms that a message to all of these names.
fn labelled(rooms: &[Arc<Room>]) -> impl Iterator<Item = &Arc<Room>> {
    rooms.iter().filter(|room| room.is_labelled())
}

fn per_spark(shared: &Shared) -> bool {
    shared.transforms.shared_prefix() < shared.transforms.outgoing.len()
}

/// Whether a session has the message; what comes of it is seen to.
fn reached(session: &Arc<Session>, offered: &Offered) -> bool {
    session.settle();
    match offered {
        Offered::Queued | Offered::Pressured => true,
        Offered::Overflowed(_) => {
            session.overflowed();
            false
        }
        Offered::Dropped | Offered::Ended(_) => false,
    }
}
