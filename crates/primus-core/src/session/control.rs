//! Requests of a client to the protocol itself: rooms and channels (docs/protocol.md §3).

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Session;
use crate::{
    authorize::Rejection,
    channel::{Channel, Seat},
    close::CloseReason,
    envelope::Envelope,
    events::reply,
    handle::Spark,
    mount::guarded,
    names,
    rooms::{How, Position, Since},
};

/// What begins the names of requests and events that are the protocol's own.
pub(super) const OWN: &str = "primus.";

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
    // serde would read an array as the members in their order.
    if args.first() != Some(&b'{') {
        return Err(bad("the arguments are a JSON object"));
    }
    serde_json::from_slice(args).map_err(|error| bad(error.to_string()))
}

impl Session {
    /// Answers a request to the protocol, in its own time.
    pub(super) fn control(
        self: &Arc<Self>,
        spark: Spark,
        id: u64,
        name: String,
        envelope: Envelope,
    ) {
        if !self.begin_decision() {
            let error = "too many requests of this client are being decided (max_requests)";
            reply(&spark, id, Err(Rejection::new(StatusCode::TOO_MANY_REQUESTS, error)));
            return;
        }
        let session = Arc::clone(self);
        self.mount.shared.runtime().spawn(async move {
            let decided = session.decide(&spark, &name, &envelope).await;
            session.end_decision();
            match decided {
                Err(rejection) => reply(&spark, id, Err(rejection)),
                Ok(Decided { answer, seat }) => {
                    // The answer first: what a handler writes comes behind it.
                    reply(&spark, id, Ok(answer.to_string().into()));
                    if let Some(seat) = seat {
                        seat.sit();
                    }
                }
            }
        });
    }

    async fn decide(
        self: &Arc<Self>,
        spark: &Spark,
        name: &str,
        envelope: &Envelope,
    ) -> Result<Decided, Rejection> {
        match name {
            "primus.subscribe" => {
                let Subscribe { room, since, last } = read(envelope)?;
                let since = match (since, last) {
                    (Some(position), _) => Since::Position(position),
                    (None, Some(count)) => Since::Last(count),
                    (None, None) => Since::Now,
                };
                subscribe(spark, &room, &since).await.map(Decided::from)
            }
            "primus.unsubscribe" => {
                let Unsubscribe { room } = read(envelope)?;
                spark.leave_as(&room, Some(How::Subscribed));
                Ok(json!({}).into())
            }
            "primus.open" if spark.channel().is_root() => self.open(spark, read(envelope)?).await,
            _ => {
                let error = format!("there is no request {name}");
                Err(Rejection::new(StatusCode::NOT_FOUND, error))
            }
        }
    }

    /// Enters a channel.
    async fn open(self: &Arc<Self>, spark: &Spark, open: Open) -> Result<Decided, Rejection> {
        let Open { channel: name, auth } = open;
        let unknown =
            || Rejection::new(StatusCode::NOT_FOUND, format!("there is no channel {name:?}"));
        let channel: Channel = self.mount.shared.channel(&name).ok_or_else(unknown)?;
        let user = match channel.rules().entry() {
            None => self.user().cloned(),
            Some(entry) => Some(guarded(entry(spark.clone(), auth)).await?),
        };
        let seat = Seat::new(self, &channel, user);
        let conflict = |error| Rejection::new(StatusCode::CONFLICT, error);
        self.keep_seat(&seat).map_err(conflict)?;
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
            Since::Now | Since::Last(_) => json!({}),
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
