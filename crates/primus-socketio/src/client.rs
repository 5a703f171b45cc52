//! One client: what is remembered of it, and what its packets are to its session.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytestring::ByteString;
use http::StatusCode;
use primus_core::{
    Envelope, Head, Mount, Parser, Pending, Rejection, Session, Subject, is_event_name,
    parser::Json,
};
use primus_engineio::Heard;

use crate::{
    opening::{self, Asking, Back, Came, Request, Slot, Slots, Start},
    options::Options,
    places::{LARGEST_ID, Places, State, number},
    protocol::{Arguments, Packet, PacketError, Reader, Said, UNNAMED, Version, Writing},
    speaker::offset,
};

/// Those of its requests that a client may make itself: it comes into a room, if `authorize_join` lets it.
const OPEN: [&str; 2] = ["primus.subscribe", "primus.unsubscribe"];
/// The largest number that a server gives to a request.
const LARGEST_NUMBER: u64 = 1 << 53;

/// One client.
pub(crate) struct Client {
    pub(crate) mount: Arc<Mount>,
    /// What opens a session; as long as there was none.
    pub(crate) head: Option<Box<Head>>,
    pub(crate) writing: Writing,
    pub(crate) recovery: bool,
    pub(crate) reader: Reader,
    pub(crate) places: Places,
    /// What came of opening a session.
    pub(crate) slot: Slot,
    /// By which it may come back.
    pub(crate) pid: Option<String>,
    /// The number of the next message that is written.
    pub(crate) next: u64,
    /// Messages up to this number have been written to it before.
    pub(crate) replayed: u64,
    pub(crate) ready: VecDeque<Envelope>,
    /// It is in no namespace any more, and is counted by this while it stays.
    pub(crate) stays: Option<Pending>,
    /// How long it may be in none.
    pub(crate) patience: Duration,
}

impl Client {
    pub(crate) fn new(
        mount: Arc<Mount>,
        head: Box<Head>,
        writing: Writing,
        options: &Options,
    ) -> Self {
        let limits = &mount.settings().limits;
        let longest = limits.max_message;
        let recovery =
            options.recovery && writing.version == Version::Five && !limits.resume_window.is_zero();
        Self {
            mount,
            head: Some(head),
            writing,
            recovery,
            reader: Reader::new(writing.version, longest),
            places: Places::default(),
            slot: Slot::default(),
            pid: None,
            next: 1,
            replayed: 0,
            ready: VecDeque::new(),
            stays: None,
            patience: options.connect_timeout,
        }
    }

    /// Of a client that is in the root without asking.
    pub(crate) fn enter_root(&mut self, asking: Asking) -> Option<Request> {
        self.request(ByteString::from_static("/"), None, asking)
    }

    fn request(
        &mut self,
        namespace: ByteString,
        channel: Option<Box<str>>,
        asking: Asking,
    ) -> Option<Request> {
        Some(Request {
            mount: Arc::clone(&self.mount),
            head: self.head.take()?,
            writing: self.writing,
            recovery: self.recovery,
            namespace,
            channel,
            asking,
            slot: Arc::clone(&self.slot),
        })
    }

    /// Takes note of what came of opening a session.
    pub(crate) fn settle(&mut self) {
        match self.slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => {}
            Some(Came::Refused(head)) => self.head = Some(head),
            Some(Came::Opened(start)) => {
                let Start { places, next, replayed, pid } = *start;
                (self.places, self.next, self.replayed, self.pid) = (places, next, replayed, pid);
            }
        }
    }
    pub(crate) fn hear(
        &mut self,
        packet: Packet,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, PacketError> {
        let Packet { namespace, query, said } = packet;
        if let Said::Connect(auth) = said {
            let mut asking = Asking::read(auth.as_deref(), self.recovery);
            if let Some(query) = query {
                asking.auth = pairs(&query);
            }
            return self.connect(namespace, asking, session);
        }
        let Some(session) = session else { return Err(PacketError("it is in no namespace")) };
        let place = self.places.of_namespace(&namespace);
        let place = place.ok_or(PacketError("it is not in that namespace"))?;
        let (channel, slot) = (place.channel.clone(), place.slot);
        let channel = channel.as_deref();
        match place.state {
            State::Open => {}
            // It does not know yet that it was sent away.
            State::Gone => return Ok(Heard::Nothing),
            _ => return Err(PacketError("it is not in that namespace yet")),
        }
        let parser = &*session.mount().settings().parser;
        match said {
            Said::Connect(_) => Ok(Heard::Nothing),
            Said::Disconnect => {
                place.state = State::Gone;
                Ok(self.leave(channel))
            }
            Said::Event { id, name, args } => {
                let id = id.filter(|id| *id <= LARGEST_ID);
                match envelope(channel, slot, id, &name, &args, parser) {
                    Ok(envelope) => Ok(Heard::Deliver(envelope)),
                    Err(error) => {
                        tracing::debug!(name, error, "an event of a client was dropped");
                        let rejection = Rejection::new(StatusCode::BAD_REQUEST, error);
                        let refused = Envelope::refuse(0, &rejection);
                        let ack =
                            id.and_then(|id| self.writing.ack(&namespace, id, &refused, parser));
                        Ok(ack.map_or(Heard::Nothing, Heard::Say))
                    }
                }
            }
            Said::Ack { id, args } => {
                let reply = id
                    .filter(|id| *id <= LARGEST_NUMBER)
                    .zip(args.encode(parser).ok())
                    .map(|(id, value)| Envelope::reply(id, &value));
                Ok(reply.map_or(Heard::Nothing, Heard::Deliver))
            }
        }
    }

    fn connect(
        &mut self,
        namespace: ByteString,
        asking: Asking,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, PacketError> {
        let channel = match &*namespace {
            "/" => None,
            name => match channel(&self.mount, name) {
                Some(channel) => Some(channel),
                None => return Ok(self.refuse(&namespace, "Invalid namespace")),
            },
        };
        let Some(session) = session else {
            self.stays = None;
            let request = self.request(namespace, channel, asking);
            // After a session there is not another one on the same connection.
            let request =
                request.ok_or(PacketError("it has left; another connection is needed"))?;
            return Ok(Heard::Open(Box::pin(opening::open(request))));
        };
        match self.places.of_namespace(&namespace).map(|place| &mut place.state) {
            None | Some(State::Gone) => {}
            Some(State::Away(..)) => return Ok(self.come_back(&namespace, asking, session)),
            Some(_) => return Err(PacketError("it is in that namespace already")),
        }
        let Some(name) = channel else {
            self.places.add(namespace.clone(), None, State::Open, 0);
            session.begin();
            let sid = session.id().to_string();
            return Ok(Heard::Say(self.writing.connected(&namespace, &sid, self.pid.as_deref())));
        };
        let most = session.limits().max_channels;
        if self.places.channels() >= most {
            return Ok(self.refuse(&namespace, "too many namespaces (max_channels)"));
        }
        self.places.tidy(most);
        let slot = self.places.add(namespace, Some(name.clone()), State::Opening, 0);
        if let Some(slots) = session.extension::<Slots>() {
            slots.0.store(slot, Ordering::Relaxed);
        }
        Ok(opening::enter(slot, &name, asking.auth).map_or(Heard::Nothing, Heard::Deliver))
    }

    fn refuse(&self, namespace: &str, message: &str) -> Heard {
        let error = opening::error_of(&message.into(), message);
        Heard::Say(self.writing.refused(namespace, &error))
    }

    /// The client asks for a namespace that its session is in since before it was lost.
    fn come_back(&mut self, namespace: &str, asking: Asking, session: &Arc<Session>) -> Heard {
        let Some(place) = self.places.of_namespace(namespace) else { return Heard::Nothing };
        let channel = place.channel.clone();
        let State::Away(held, complete) = std::mem::replace(&mut place.state, State::Open) else {
            return Heard::Nothing;
        };
        let same = |back: &Back| self.pid.as_deref() == Some(&*back.pid);
        let after = asking.back.as_ref().filter(|back| complete && same(back));
        let after = after.and_then(|back| opening::known(session, back.offset.as_deref()));
        let id = match &channel {
            None => Some(session.id()),
            Some(channel) => {
                session.channels().into_iter().find(|(name, _)| name == channel).map(|(_, id)| id)
            }
        };
        if let (Some(channel), true) = (&channel, after.is_none() || id.is_none()) {
            // It begins anew there: the spark that it had is over.
            let slot = self.places.add(
                namespace.to_owned().into(),
                Some(channel.clone()),
                State::Opening,
                self.next,
            );
            self.ready.extend(opening::enter(slot, channel, asking.auth));
            return leaving(channel).map_or(Heard::Nothing, Heard::Deliver);
        }
        place.after = after.unwrap_or(0);
        // Without its pid it does not take this for all that there was.
        let pid = after.and(self.pid.as_deref());
        let sid = id.unwrap_or(session.id()).to_string();
        let mut say = self.writing.connected(namespace, &sid, pid);
        let parser = Arc::clone(&session.mount().settings().parser);
        for (number, outgoing) in held {
            let asks = matches!(outgoing.envelope().heading().subject, Subject::Request(..));
            if number > place.after && !(asks && number <= self.replayed) {
                let offset = self.recovery.then(|| offset(&outgoing, number));
                let message =
                    self.writing.message(outgoing.envelope(), &*parser, offset.as_deref());
                say.extend(message.into_iter().flatten());
            }
        }
        Heard::Say(say)
    }

    /// The client has left a namespace. Without any its session is over.
    fn leave(&mut self, channel: Option<&str>) -> Heard {
        if self.places.taken().next().is_none() {
            self.stays = self.mount.pend().ok();
            return Heard::Leave;
        }
        // One session is in the root for as long as it is anywhere.
        channel.and_then(leaving).map_or(Heard::Nothing, Heard::Deliver)
    }
}

/// The channel of a namespace, with the slash in front or without.
fn channel(mount: &Mount, namespace: &str) -> Option<Box<str>> {
    let names = [Some(namespace), namespace.strip_prefix('/')];
    names.into_iter().flatten().find(|name| mount.has_channel(name)).map(Into::into)
}

fn leaving(channel: &str) -> Option<Envelope> {
    Envelope::event(Some(channel), "primus.end", &"null".into()).ok()
}

/// What a client's event is to its session. `Err`: it cannot have it, and this is why.
fn envelope(
    channel: Option<&str>,
    slot: u64,
    id: Option<u64>,
    name: &str,
    args: &Arguments,
    parser: &dyn Parser,
) -> Result<Envelope, String> {
    if let Some(id) = id
        && OPEN.contains(&name)
    {
        // The arguments of these are JSON, whatever the parser.
        let args = args.encode(&Json).map_err(|error| error.to_string())?;
        let asked = Envelope::request(channel, number(slot, id), name, &args);
        return asked.map_err(|error| error.to_string());
    }
    let args = args.encode(parser).map_err(|error| error.to_string())?;
    match id {
        None if name == UNNAMED => Ok(Envelope::data(channel, &args)),
        _ if !is_event_name(name) => {
            Err(format!("the event name {name:?} is reserved, or is none"))
        }
        None => Envelope::event(channel, name, &args).map_err(|error| error.to_string()),
        Some(id) => Envelope::request(channel, number(slot, id), name, &args)
            .map_err(|error| error.to_string()),
    }
}

/// What stands behind the namespace of a client of protocol 4, as its auth.
fn pairs(query: &str) -> serde_json::Value {
    let query = primus_core::Query::parse(query);
    let pairs = query.iter().map(|(name, value)| (name.to_owned(), value.into()));
    serde_json::Value::Object(pairs.collect())
}
