//! The dialect: commands are what a session reads, its messages are frames.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use primus_core::{
    Carrier, CloseReason, Envelope, Member, Outgoing, Parser, Payload, Position, Rejection,
    Session, Subject, is_event_name, native,
};
use primus_websocket::{Dialect, Form, Incoming, Out, form};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    options::ActionCableOptions,
    places::{Hold, Id, Places, Subscribed},
    protocol::{Command, Frame, History, Identifier, Said, Who, disconnect, message, ping},
    transformer::Remembered,
};

const MESSAGE: Form = form!("actioncable");
const IN_STREAM: Form = form!("actioncable.stream");

/// The room of a channel in which clients are seen.
const PRESENCE: &str = "presence";
/// Members that a client is told of at once.
const MOST_MEMBERS: usize = 1000;

/// One client.
pub(crate) struct Cable {
    session: Arc<Session>,
    extended: bool,
    options: ActionCableOptions,
    places: Places,
    /// What has waited, and may be delivered now.
    ready: VecDeque<Envelope>,
    /// Who is to be seen in which channel, now that it has been entered.
    seen: VecDeque<(Box<str>, Who)>,
    /// The number of the next message that is written.
    next: u64,
    /// Messages up to this number have been written to it before.
    written: u64,
}

impl Cable {
    pub(crate) fn new(session: Arc<Session>, extended: bool, options: ActionCableOptions) -> Self {
        let places = Places::default();
        let (ready, seen) = (VecDeque::new(), VecDeque::new());
        Self { session, extended, options, places, ready, seen, next: 1, written: 0 }
    }

    /// Of a client that is back.
    pub(crate) fn restored(self, places: Places, next: u64, written: u64) -> Self {
        Self { places, next, written, ..self }
    }

    // ---- from the client ----

    fn obey(&mut self, identifier: &str, said: Said) -> Incoming {
        match said {
            Said::Subscribe { history, presence } => self.subscribe(identifier, history, presence),
            Said::Unsubscribe => {
                let left = self.places.unsubscribe(identifier);
                self.remember();
                let leaving = left.and_then(|channel| leaving(&channel));
                leaving.map_or(Incoming::Nothing, Incoming::Message)
            }
            Said::Perform { action, data } => self.perform(identifier, action, &data),
            _ if !self.extended => Incoming::Nothing,
            Said::History(history) => {
                self.catch_up(identifier, history);
                Incoming::Nothing
            }
            Said::Whisper(data) => {
                self.whisper(identifier, &data);
                Incoming::Nothing
            }
            Said::Join(who) => {
                if let Some(channel) = self.open_channel(identifier) {
                    self.show(&channel, who);
                }
                Incoming::Nothing
            }
            Said::Leave => {
                if let Some(spark) =
                    self.open_channel(identifier).and_then(|it| self.session.spark_of(&it))
                    && self.options.presence
                {
                    spark.leave(PRESENCE);
                }
                Incoming::Nothing
            }
            Said::Presence => self.presence(identifier).map_or(Incoming::Nothing, Incoming::Answer),
        }
    }

    fn subscribe(
        &mut self,
        text: &str,
        history: Option<History>,
        presence: Option<Who>,
    ) -> Incoming {
        let reject = || Incoming::Answer(Frame::Reject.about(text).into());
        let Some(identifier) = Identifier::read(text) else {
            tracing::debug!(identifier = text, "the identifier of a subscription names no channel");
            return reject();
        };
        if !self.session.mount().has_channel(identifier.name()) {
            tracing::debug!(channel = identifier.name(), "there is no such channel");
            return reject();
        }
        let most = self.session.limits().max_channels;
        match self.places.subscribe(text, &identifier, presence, most) {
            Subscribed::Wait => Incoming::Nothing,
            Subscribed::Confirm => {
                self.remember();
                Incoming::Answer(Frame::Confirm.about(text).into())
            }
            Subscribed::TooMany => {
                tracing::debug!("a client subscribes to too many channels (max_channels)");
                reject()
            }
            Subscribed::Ask(number) => {
                if let Some(history) = history.filter(|_| self.extended) {
                    let (positions, since) = missed(identifier.name(), history);
                    self.session.catch_up(identifier.name(), positions, since);
                }
                let args = json!({ "channel": identifier.name(), "auth": identifier.params() });
                let open = Envelope::request(None, number, "primus.open", &args.to_string().into());
                open.map_or(Incoming::Nothing, Incoming::Message)
            }
        }
    }

    fn perform(&mut self, text: &str, action: Option<String>, data: &Value) -> Incoming {
        let Some(channel) = self.places.channel(text) else { return Incoming::Nothing };
        let parser = &*self.session.mount().settings().parser;
        let Ok(body) = parser.encode(data) else { return Incoming::Nothing };
        let message = match action {
            None => Envelope::data(Some(&channel), &body),
            Some(action) if is_event_name(&action) => {
                match Envelope::event(Some(&channel), &action, &body) {
                    Ok(event) => event,
                    Err(_) => return Incoming::Nothing,
                }
            }
            Some(action) => {
                tracing::debug!(
                    action,
                    "an action of a client has a name that is reserved, or none"
                );
                return Incoming::Nothing;
            }
        };
        self.places.say(&channel, message).map_or(Incoming::Nothing, Incoming::Message)
    }

    fn catch_up(&mut self, text: &str, history: History) {
        let Some(channel) = self.open_channel(text) else { return };
        let Some(spark) = self.session.spark_of(&channel) else { return };
        let (positions, since) = missed(&channel, history);
        let positions: Vec<_> = positions.collect();
        if let Some(place) = self.places.open_of(text) {
            // From here on until that is told, what comes of these rooms may come twice.
            place.held.all = false;
            place.held.catching = spark.rooms().iter().map(|room| (**room).into()).collect();
        }
        self.session.catch_up(&channel, positions, since);
    }

    fn whisper(&mut self, text: &str, data: &Value) {
        if let Some(channel) = self.open_channel(text)
            && self.options.whisper
            && let Some(spark) = self.session.spark_of(&channel)
        {
            let _ = spark.channel().except(&spark).write(data);
        }
    }

    fn show(&mut self, channel: &str, who: Who) {
        if !self.options.presence {
            return;
        }
        // All others are told, and who asks is told of many at once.
        let most = self.session.limits().max_attach;
        if who.id.len() + who.info.to_string().len() > most {
            return tracing::debug!(
                most,
                "who a client says it is has too many bytes (max_attach)"
            );
        }
        if let Some(spark) = self.session.spark_of(channel)
            && let Err(error) = spark.join_as(PRESENCE, Member::new(who.id).info(who.info))
        {
            tracing::debug!(%error, "a client cannot be seen");
        }
    }

    /// Who is there. Who asks is told from now on who comes and leaves.
    fn presence(&mut self, text: &str) -> Option<Payload> {
        let said = |said: Value| Some(presence(text, &said));
        let channel = self.open_channel(text)?;
        let spark = self.session.spark_of(&channel).filter(|_| self.options.presence);
        let Some(spark) = spark.filter(|spark| spark.join(PRESENCE).is_ok()) else {
            return said(json!({ "type": "error" }));
        };
        let page = spark.channel().room(PRESENCE).members(None, MOST_MEMBERS);
        said(json!({ "type": "info", "total": page.members.len(), "records": page.members }))
    }

    fn open_channel(&mut self, text: &str) -> Option<Box<str>> {
        self.places.open_of(text)?;
        self.places.channel(text)
    }

    /// For when it comes back.
    fn remember(&self) {
        if let Some(remembered) = self.session.extension::<Remembered>() {
            remembered.set(self.places.identifiers(), self.places.last());
        }
    }

    // ---- to the client ----

    fn decided(&mut self, number: u64, may: bool, out: &mut Out) {
        let Some(decided) = self.places.decided(number, may) else { return };
        let frame = if may { Frame::Confirm } else { Frame::Reject };
        decided.ids.iter().for_each(|id| out.push_message(&frame.about(id).into()));
        self.ready.extend(decided.early);
        if may && decided.ids.is_empty() {
            self.ready.extend(leaving(&decided.channel));
        } else if may && let Some(who) = decided.presence {
            self.seen.push_back((decided.channel, who));
        }
        self.remember();
    }

    /// Something of the protocol's own.
    fn told(
        &mut self,
        channel: &str,
        name: &str,
        args: &Payload,
        parser: &dyn Parser,
        out: &mut Out,
    ) {
        match name {
            "primus.end" => {
                for id in self.places.ended(channel) {
                    out.push_message(&Frame::Reject.about(&id).into());
                }
                self.remember();
            }
            "primus.history" => {
                let Ok(Caught { room, recovered }) = serde_json::from_slice(args.as_bytes()) else {
                    return;
                };
                let Some(place) = self.places.open(channel) else { return };
                let held = place.held.release(&room);
                held.iter().for_each(|held| self.said(channel, held, parser, out));
                let Some(recovered) = recovered else { return };
                let frame = if recovered { Frame::ConfirmHistory } else { Frame::RejectHistory };
                self.about(channel, out, |id| frame.about(id).into());
            }
            "primus.presence" => {
                let Ok(mut said) = serde_json::from_slice::<Value>(args.as_bytes()) else { return };
                let room = said.as_object_mut().and_then(|said| said.remove("room"));
                if room.as_ref().and_then(Value::as_str) == Some(PRESENCE) {
                    self.about(channel, out, |id| presence(id, &said));
                }
            }
            _ => {}
        }
    }

    fn about(&mut self, channel: &str, out: &mut Out, frame: impl Fn(&str) -> Payload) {
        if let Some(place) = self.places.open(channel) {
            place.ids.iter().for_each(|id| out.push_message(&frame(&id.text)));
        }
    }

    /// A message of a channel, to each of its identifiers.
    fn said(&mut self, channel: &str, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        let Some(place) = self.places.open(channel) else { return };
        let epoch = match outgoing {
            Outgoing::Shared(packet) if self.extended => packet.epoch(),
            _ => None,
        };
        let form = if epoch.is_some() { &IN_STREAM } else { &MESSAGE };
        for Id { text, usual } in &place.ids {
            let make = |envelope: &Envelope| framed(text, channel, envelope, epoch, parser);
            if *usual {
                out.put(outgoing, form, make);
            } else {
                make(outgoing.envelope()).iter().for_each(|own| out.push_message(own));
            }
        }
    }
}

impl Dialect for Cable {
    fn read(&mut self, message: Payload, carrier: &mut Carrier) -> Result<Incoming, CloseReason> {
        let invalid = |error: String| CloseReason::BAD_CONTROL.with_text(error);
        let Payload::Text(text) = message else {
            return Err(invalid("commands are text".to_owned()));
        };
        match Command::read(&text).map_err(|error| invalid(error.0))? {
            Command::About(identifier, said) => Ok(self.obey(&identifier, said)),
            Command::Pong => {
                carrier.session().ponged();
                Ok(Incoming::Nothing)
            }
            Command::Ping => Ok(Incoming::Answer("{\"type\":\"pong\"}".into())),
        }
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        while let Some((channel, who)) = self.seen.pop_front() {
            self.show(&channel, who);
        }
        self.ready.pop_front()
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.seen.is_empty()
    }

    fn is_full(&self, session: &Session) -> bool {
        self.places.is_full(session.limits())
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        self.next += 1;
        if self.next - 1 <= self.written {
            return; // it has been written before; what a stream keeps comes again when the client asks
        }
        let envelope = outgoing.envelope();
        let heading = envelope.heading();
        let Some(channel) = heading.channel.as_deref() else {
            match heading.subject {
                Subject::Reply(number) => self.decided(number, true, out),
                Subject::Refuse(number) => self.decided(number, false, out),
                // Outside of a subscription there is nothing that it could be to a client.
                Subject::Request(number, _) => self.ready.push_back(unanswerable(number)),
                _ => {}
            }
            return;
        };
        match &heading.subject {
            Subject::Event(name) if name.starts_with("primus.") => {
                self.told(channel, name, &envelope.body(), parser, out);
            }
            Subject::Request(number, _) => self.ready.push_back(unanswerable(*number)),
            Subject::Data | Subject::Event(_) => {
                let offset =
                    heading.rooms.iter().find_map(|(room, offset)| Some((room, (*offset)?)));
                let most = self.session.limits().max_queued;
                if let (Some((room, offset)), Some(place)) = (offset, self.places.open(channel)) {
                    match place.held.hold(room, offset, outgoing, most) {
                        Hold::No => {}
                        Hold::Yes => return,
                        Hold::Enough(all) => {
                            all.iter().for_each(|held| self.said(channel, held, parser, out));
                            return;
                        }
                    }
                }
                self.said(channel, outgoing, parser, out);
            }
            _ => {}
        }
    }

    fn write_ping(&mut self, carrier: &mut Carrier, out: &mut Out) {
        let parser = Arc::clone(&carrier.session().mount().settings().parser);
        for (channel, held) in self.places.release_unasked() {
            held.iter().for_each(|held| self.said(&channel, held, &*parser, out));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        out.push_message(&ping(now.as_secs()).into());
        // Stock clients do not answer that one; this one their WebSocket answers.
        out.push_ping();
    }

    fn write_end(&mut self, reason: &CloseReason, _: &mut Carrier, out: &mut Out) {
        out.push_message(&disconnect(reason).into());
    }
}

#[derive(Deserialize)]
struct Caught {
    room: String,
    recovered: Option<bool>,
}

/// The id of a stream: a room of a channel.
fn stream(channel: &str, room: &str) -> String {
    format!("{channel}#{room}")
}

/// What a client says it has, by the rooms of a channel.
fn missed(
    channel: &str,
    history: History,
) -> (impl Iterator<Item = (Box<str>, Position)> + use<>, Option<Instant>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = |since: u64| now.saturating_sub(Duration::from_secs(since));
    let since = history.since.and_then(|since| Instant::now().checked_sub(ago(since)));
    let prefix = stream(channel, "");
    let positions = history.streams.into_iter().filter_map(move |(id, place)| {
        let room = id.strip_prefix(&prefix)?;
        Some((room.into(), Position { epoch: place.epoch, offset: place.offset }))
    });
    (positions, since)
}

/// A message as a frame. `None`: it is nothing to such a client.
fn framed(
    identifier: &str,
    channel: &str,
    envelope: &Envelope,
    epoch: Option<&str>,
    parser: &dyn Parser,
) -> Option<Payload> {
    let plain = native::plain(envelope, parser)?;
    let json = match plain {
        Payload::Text(text) if parser.name() == "json" => text.to_string(),
        Payload::Text(text) => Value::from(&*text).to_string(),
        Payload::Binary(_) => json_of(&plain, parser)?,
    };
    let heading = envelope.heading();
    let kept = heading.rooms.iter().find_map(|(room, offset)| Some((room, (*offset)?)));
    let stream = kept.map(|(room, offset)| (stream(channel, room), offset));
    let stream = stream.as_ref().zip(epoch).map(|((id, offset), epoch)| (&**id, epoch, *offset));
    Some(message(identifier, &json, stream).into())
}

/// What another parser has encoded, as JSON.
fn json_of(payload: &Payload, parser: &dyn Parser) -> Option<String> {
    let mut json = None;
    let read = parser.decode(payload, &mut |deserializer| {
        json = Some(erased_serde::deserialize::<Value>(deserializer)?);
        Ok(())
    });
    read.ok()?;
    json.map(|json| json.to_string())
}

fn presence(identifier: &str, said: &Value) -> Payload {
    let identifier = Value::from(identifier);
    format!("{{\"type\":\"presence\",\"identifier\":{identifier},\"message\":{said}}}").into()
}

fn leaving(channel: &str) -> Option<Envelope> {
    Envelope::event(Some(channel), "primus.end", &"null".into()).ok()
}

fn unanswerable(number: u64) -> Envelope {
    let error = "ActionCable clients cannot answer requests";
    Envelope::refuse(number, &Rejection::new(StatusCode::NOT_IMPLEMENTED, error))
}
