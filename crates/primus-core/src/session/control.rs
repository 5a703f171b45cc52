//! Requests of a client to the protocol itself: rooms and channels (docs/protocol.md §3).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Session;
use crate::{
    authorize::Rejection,
    channel::{ChannelRequest, Seat},
    close::CloseReason,
    envelope::Envelope,
    events::reply,
    handle::Spark,
    message::{Message, Payload},
    mount::{Mount, guarded},
    names,
    parser::{DecodeError, EncodeError},
    rooms::{How, Position, Since},
};

/// What begins the names of requests and events that are the protocol's own.
pub(super) const OWN: &str = "primus.";

/// Bytes of the arguments of such a request.
const LONGEST: usize = 8 << 10;

#[derive(Deserialize)]
struct Subscribe {
    room: String,
    since: Option<Position>,
    last: Option<usize>,
}

#[derive(Deserialize)]
struct Unsubscribe {
    room: String,
}

#[derive(Deserialize)]
struct Open {
    channel: String,
    #[serde(default)]
    auth: Value,
}

enum Command {
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Open(Open),
}

/// A request that is to be decided.
struct Asked {
    spark: Spark,
    id: u64,
    command: Command,
}

/// Requests that are being decided. What is about the same room or channel is decided one after the
/// other, in the order in which it was asked.
#[derive(Default)]
pub(super) struct Decisions {
    /// By what it is about; behind the one that is under way, those that wait for it.
    about: HashMap<String, VecDeque<Asked>>,
    count: usize,
}

/// What was decided: the answer, and who may begin once it has been sent.
struct Decided {
    answer: Value,
    seat: Option<Arc<Seat>>,
}

impl From<Value> for Decided {
    fn from(answer: Value) -> Self {
        Self { answer, seat: None }
    }
}

fn bad(error: impl Into<String>) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, error.into())
}

/// Arguments, which are JSON whatever the parser.
fn read<T: DeserializeOwned>(envelope: &Envelope) -> Result<T, Rejection> {
    let args = envelope.body_bytes();
    if args.len() > LONGEST {
        return Err(bad(format!("the arguments are over {LONGEST} bytes")));
    }
    // serde would read an array as the members in their order.
    if !args.trim_ascii_start().starts_with(b"{") {
        return Err(bad("the arguments are a JSON object"));
    }
    serde_json::from_slice(args).map_err(|error| bad(error.to_string()))
}

impl Command {
    fn read(spark: &Spark, name: &str, args: &Envelope) -> Result<Self, Rejection> {
        match name {
            "primus.subscribe" => read(args).map(Self::Subscribe),
            "primus.unsubscribe" => read(args).map(Self::Unsubscribe),
            "primus.open" if spark.channel().is_root() => read(args).map(Self::Open),
            _ => {
                let error = format!("there is no request {name}");
                Err(Rejection::new(StatusCode::NOT_FOUND, error))
            }
        }
    }

    /// What has to be decided in order.
    fn about(&self, spark: &Spark) -> String {
        match self {
            Self::Subscribe(Subscribe { room, .. }) | Self::Unsubscribe(Unsubscribe { room }) => {
                format!("{}\n{room}", spark.channel().name())
            }
            Self::Open(Open { channel, .. }) => channel.clone(),
        }
    }
}

/// What a client published could not be written to a room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It is no output of the mount's parser.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A parser has no form for it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Session {
    /// Answers a request to the protocol, in its own time.
    pub(super) fn control(self: &Arc<Self>, spark: Spark, id: u64, name: &str, args: &Envelope) {
        let command = match Command::read(&spark, name, args) {
            Ok(command) => command,
            Err(rejection) => return reply(&spark, id, Err(rejection)),
        };
        let about = command.about(&spark);
        let asked = Asked { spark, id, command };
        let first = {
            let mut decisions = self.decisions();
            if decisions.count >= self.limits().most_decisions() {
                drop(decisions);
                let error = "too many requests of this client are being decided (max_requests)";
                let rejection = Rejection::new(StatusCode::TOO_MANY_REQUESTS, error);
                return reply(&asked.spark, id, Err(rejection));
            }
            decisions.count += 1;
            match decisions.about.get_mut(&about) {
                Some(waiting) => return waiting.push_back(asked),
                None => decisions.about.insert(about.clone(), VecDeque::new()),
            };
            asked
        };
        let session = Arc::clone(self);
        self.mount.shared.runtime().spawn(async move {
            let mut next = Some(first);
            while let Some(asked) = next {
                let deciding = Arc::clone(&session);
                // A task of its own, so that what waits behind a panic goes on.
                if tokio::spawn(async move { deciding.decide(asked).await }).await.is_err() {
                    tracing::error!(spark = %session.id(), "a request to the protocol panicked");
                }
                next = session.next_decision(&about);
            }
        });
    }

    fn next_decision(&self, about: &str) -> Option<Asked> {
        let ended = self.is_ended();
        let mut decisions = self.decisions();
        decisions.count -= 1;
        if ended {
            // Nobody is there for what waits.
            let waiting = decisions.about.remove(about).map_or(0, |waiting| waiting.len());
            decisions.count -= waiting;
            return None;
        }
        let next = decisions.about.get_mut(about).and_then(VecDeque::pop_front);
        if next.is_none() {
            decisions.about.remove(about);
        }
        next
    }

    async fn decide(self: &Arc<Self>, Asked { spark, id, command }: Asked) {
        let decided = match command {
            Command::Subscribe(Subscribe { room, since, last }) => {
                let since = match (since, last) {
                    (Some(position), _) => Since::Position(position),
                    (None, Some(count)) => Since::Last(count),
                    (None, None) => Since::Now,
                };
                subscribe(&spark, &room, &since).await.map(Decided::from)
            }
            Command::Unsubscribe(Unsubscribe { room }) => {
                spark.leave_as(&room, Some(How::Subscribed));
                Ok(json!({}).into())
            }
            Command::Open(open) => self.open(&spark, open).await,
        };
        match decided {
            Err(rejection) => reply(&spark, id, Err(rejection)),
            Ok(Decided { answer, seat }) => {
                // The answer first: what a handler writes comes behind it.
                let _ = spark.push_own(Envelope::reply(id, &answer.to_string().into()));
                if let Some(seat) = seat {
                    seat.sit();
                }
            }
        }
    }

    /// Enters a channel.
    async fn open(self: &Arc<Self>, spark: &Spark, open: Open) -> Result<Decided, Rejection> {
        let Open { channel: name, auth } = open;
        let unknown =
            || Rejection::new(StatusCode::NOT_FOUND, format!("there is no channel {name:?}"));
        let missed = self.take_missed(&name);
        let visit = self.mount.shared.visit(&name).ok_or_else(unknown)?;
        let user = match visit.channel().rules().entry() {
            None => self.user().cloned(),
            Some(entry) => Some({
                let request = ChannelRequest { spark: spark.clone(), channel: name.clone(), auth };
                guarded(entry(request)).await?
            }),
        };
        let seat = Seat::new(self, visit, user);
        let conflict = |error| Rejection::new(StatusCode::CONFLICT, error);
        self.keep_seat(&seat).map_err(conflict)?;
        missed.into_iter().for_each(|missed| seat.belongings().rooms().miss(missed));
        let answer = json!({ "id": seat.id().to_string() });
        Ok(Decided { answer, seat: Some(seat) })
    }

    /// Joins a room at the wish of a client, if `authorize_join` allows it.
    ///
    /// # Errors
    /// When it does not, or the room has no valid name, or the client is in too many.
    pub async fn subscribe(self: &Arc<Self>, room: &str) -> Result<(), Rejection> {
        subscribe(&Spark::from_session(self), room, &Since::Now).await.map(drop)
    }

    /// Takes the client out of a room that it joined by itself; false if it was not there.
    pub fn unsubscribe(self: &Arc<Self>, room: &str) -> bool {
        Spark::from_session(self).leave_as(room, Some(How::Subscribed))
    }

    /// Whether the client may publish to a room by itself: if `authorize_publish` is set, and allows it.
    /// False: it is not set, so nobody may, and what is published is for the application alone.
    ///
    /// # Errors
    /// When it does not allow it.
    pub async fn may_publish(self: &Arc<Self>, room: &str) -> Result<bool, Rejection> {
        let spark = Spark::from_session(self);
        let Some(publish) = spark.channel().rules().publish() else { return Ok(false) };
        guarded(publish(spark, room.to_owned())).await?;
        Ok(true)
    }

    /// Writes to a room what the client published, an output of its mount's parser.
    ///
    /// # Errors
    /// When it is none after all, or another parser in use has no form for it.
    pub fn publish(self: &Arc<Self>, room: &str, payload: &Payload) -> Result<usize, PublishError> {
        let (shared, parser) = (&self.mount.shared, &self.mount.settings().parser);
        let audience = shared.root().room(room);
        let same = |mount: &Arc<Mount>| Arc::ptr_eq(&mount.settings().parser, parser);
        if shared.mounts().iter().all(same) {
            return Ok(audience.write_message(payload.clone()));
        }
        let message = Message::new(payload.clone(), Arc::clone(parser));
        Ok(audience.write(&message.decode::<Value>()?)?)
    }

    /// A client has left a channel.
    pub(super) fn left_channel(&self, channel: &str) {
        if let Some(seat) = self.seat(channel) {
            seat.leave(CloseReason::NORMAL, false);
        }
    }
}

async fn subscribe(spark: &Spark, room: &str, since: &Since) -> Result<Value, Rejection> {
    names::check(room).map_err(|error| bad(error.to_string()))?;
    let Some(join) = spark.channel().rules().join() else {
        let error = "no room is open to clients here; the application sets authorize_join";
        return Err(Rejection::forbidden(error));
    };
    guarded(join(spark.clone(), room.to_owned())).await?;
    let caught = spark.subscribe(room, since)?;
    Ok(caught.map_or_else(
        || match since {
            Since::Now | Since::Last(_) | Since::Time(_) => json!({}),
            // It kept one, and does not any more.
            Since::Position(_) => json!({ "recovered": false }),
        },
        |caught| {
            let mut answer = json!(caught.position);
            if let Some(recovered) = caught.recovered {
                answer["recovered"] = recovered.into();
            }
            answer
        },
    ))
}
