//! What a client says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use primus_core::{Envelope, Member, Payload, Position, is_event_name};
use primus_websocket::Incoming;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cable, leaving, presence, stream};
use crate::{
    places::Subscribed,
    protocol::{Frame, History, Identifier, Said, Who},
    transformer::Remembered,
};

/// The room of a channel in which clients are seen.
pub(super) const PRESENCE: &str = "presence";
/// Members that a client is told of at once.
const MOST_MEMBERS: usize = 1000;

impl Cable {
    pub(super) fn obey(&mut self, identifier: &str, said: Said) -> Incoming {
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

    pub(super) fn show(&mut self, channel: &str, who: Who) {
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
    pub(super) fn remember(&self) {
        if let Some(remembered) = self.session.extension::<Remembered>() {
            remembered.set(self.places.identifiers(), self.places.last());
        }
    }
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
