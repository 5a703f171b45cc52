//! What each message of a client does, and how it is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use primus_core::{CloseReason, Envelope, Mount, Opening, Rejection, Session};
use primus_http::post;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    asker::Asker,
    events::{DIRECT, payload},
    line::Line,
    options::BayeuxOptions,
    protocol::{
        channel::{is_channel, is_meta, is_pattern, is_service},
        error::{Code, custom},
        message::{Message, shared},
        reply::{Advice, CONNECTION_TYPES, Offer, Reconnect, Reply},
    },
    transformer::NAME,
};

/// Who sends messages: one request, or one WebSocket.
pub(crate) struct Peer {
    pub(crate) asker: Asker,
    pub(crate) mount: Arc<Mount>,
    pub(crate) options: BayeuxOptions,
}

/// Marks a session as one of ours: a token of another transformer's is no client's id.
#[derive(Default)]
struct Ours {
    /// As which carrier an event stream has it, or had it.
    stream: AtomicU64,
}

/// The client of a session is there now, which is news where nothing carries it. False: something does.
fn renew(session: &Arc<Session>, generation: u64, patience: Duration) -> bool {
    let parked = session.unpark(generation);
    let is_parked = parked.is_some();
    if let Some(carrier) = parked {
        carrier.park(patience);
    }
    is_parked
}

/// Whether an event stream carries the session, whose client is there now.
pub(crate) fn is_streamed(session: &Arc<Session>, patience: Duration) -> bool {
    let generation = session.generation();
    let ours = session.extension::<Ours>();
    ours.is_some_and(|ours| ours.stream.load(Ordering::Relaxed) == generation)
        && !renew(session, generation, patience)
}

/// An event stream carries the session from now on.
pub(crate) fn streamed(session: &Session) {
    if let Some(ours) = session.extension::<Ours>() {
        ours.stream.store(session.generation(), Ordering::Relaxed);
    }
}

/// What messages are answered by.
#[derive(Default)]
pub(crate) struct Answered {
    pub(crate) replies: Vec<String>,
    /// A connect, which is answered when there is something to tell, or its time is over.
    pub(crate) connect: Option<Box<Connect>>,
}

pub(crate) struct Connect {
    pub(crate) session: Arc<Session>,
    pub(crate) reply: Reply,
    pub(crate) wait: Duration,
}

impl Connect {
    /// The answer, if nothing has happened but this.
    pub(crate) fn end(self, reason: Option<&CloseReason>) -> String {
        match reason {
            None => self.reply.to_json(),
            Some(reason) => ended(self.reply, reason).to_json(),
        }
    }
}

/// The session is over, and whether the client may begin anew is as for all clients. One that has said
/// goodbye itself has done nothing wrong.
fn ended(reply: Reply, reason: &CloseReason) -> Reply {
    let advice = if reason.reconnects() { Reconnect::Handshake } else { Reconnect::None };
    let mut reply = if *reason == CloseReason::NORMAL {
        reply
    } else {
        let error = Code::UnknownClient.about(reply.client_id.as_str().unwrap_or_default());
        reply.fail(error)
    };
    let after = millis(reason.retry_after());
    reply.advice = Some(Advice { interval: (after > 0).then_some(after), ..Advice::only(advice) });
    reply
}

/// What an event stream is told where its session ends.
pub(crate) fn end_of_stream(client: &str, reason: &CloseReason) -> String {
    let message =
        Message { channel: "/meta/connect".into(), client_id: client.into(), ..Message::default() };
    ended(Reply::to(&message), reason).to_json()
}

/// Milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The session of a client that has shaken hands.
pub(crate) fn find(mount: &Mount, client: &str) -> Option<Arc<Session>> {
    let (session, _) = mount.by_token(client)?;
    let ours = session.extension::<Ours>().is_some() && !session.is_ended();
    ours.then_some(session)
}

impl Peer {
    pub(crate) async fn process(&self, messages: Vec<Message>) -> Answered {
        let mut answered = Answered::default();
        // For all of them together, where the application is behind.
        let deadline = Instant::now() + self.mount.settings().limits.body_timeout;
        for message in messages {
            let reply = match Message::text(&message.channel) {
                Some("/meta/handshake") => self.handshake(&message).await,
                Some("/meta/connect") => match self.connect(&message) {
                    Err(reply) => *reply,
                    Ok(connect) => {
                        // The last one is held.
                        let older = answered.connect.replace(connect);
                        answered.replies.extend(older.map(|older| older.end(None)));
                        continue;
                    }
                },
                Some("/meta/subscribe") => self.subscribe(&message).await,
                Some("/meta/unsubscribe") => self.unsubscribe(&message),
                Some("/meta/disconnect") => self.disconnect(&message),
                Some(channel) => self.publish(&message, channel, deadline).await,
                None => Reply::to(&message).fail(Code::Missing.about("channel")),
            };
            answered.replies.push(reply.to_json());
        }
        answered
    }

    async fn handshake(&self, message: &Message) -> Reply {
        let mut reply = Reply::to(message);
        reply.client_id = Value::Null;
        reply.offer = Some(Offer::default());
        match self.open(message).await {
            Ok(client) => {
                reply.client_id = client.into();
                let timeout = millis(self.options.timeout);
                reply.advice = Some(Advice::retry(0, timeout));
                reply
            }
            Err(error) => {
                let (error, advice) = *error;
                let mut reply = reply.fail(error);
                reply.advice = Some(advice);
                reply
            }
        }
    }

    async fn open(&self, message: &Message) -> Result<String, Box<(String, Advice)>> {
        let again = |error| Box::new((error, Advice::only(Reconnect::Handshake)));
        let types = &message.supported_connection_types;
        if types.is_null() {
            return Err(again(Code::Missing.about("supportedConnectionTypes")));
        }
        let types: Vec<&str> = match types {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            Value::String(one) => vec![one],
            _ => Vec::new(),
        };
        if !types.iter().any(|one| CONNECTION_TYPES.contains(one)) {
            return Err(again(Code::ConnectionTypes.about(&types.join(","))));
        }
        if Message::text(&message.version).is_none() {
            return Err(again(Code::Missing.about("version")));
        }
        let opening = Opening { auth: message.ext.clone(), ..Opening::default() };
        let head = self.asker.head();
        let session = self.mount.open(NAME, &head, opening).await.map_err(|no| {
            // Who is refused is refused; who has come at a bad time may try again.
            let refused =
                no.status().is_client_error() && no.status() != StatusCode::TOO_MANY_REQUESTS;
            let advice = if refused { Reconnect::None } else { Reconnect::Handshake };
            Box::new((said(&no, ""), Advice::only(advice)))
        })?;
        session.set_extension(Ours::default());
        let client = self.mount.issue_token(&session).reveal();
        // What is written before the first connect waits for it.
        drop(Line::attach(&session, self.options.patience()));
        Ok(client)
    }

    /// The session of who sends this, or the answer that there is none.
    fn sender(&self, message: &Message, reply: &Reply) -> Result<Arc<Session>, Box<Reply>> {
        let error = match Message::text(&message.client_id) {
            None => Code::Missing.about("clientId"),
            Some(client) => match find(&self.mount, client) {
                Some(session) => {
                    session.seen();
                    return Ok(session);
                }
                None => Code::UnknownClient.about(client),
            },
        };
        let mut reply = reply.clone().fail(error);
        reply.client_id = Value::Null;
        Err(Box::new(reply))
    }

    fn connect(&self, message: &Message) -> Result<Box<Connect>, Box<Reply>> {
        let again = |mut reply: Reply| {
            reply.client_id = Value::Null;
            reply.advice = Some(Advice::only(Reconnect::Handshake));
            Box::new(reply)
        };
        let mut reply = Reply::to(message);
        let way = Message::text(&message.connection_type);
        let Some(way) = way else {
            return Err(again(reply.fail(Code::Missing.about("connectionType"))));
        };
        if !CONNECTION_TYPES.contains(&way) {
            return Err(again(reply.fail(Code::ConnectionTypes.about(way))));
        }
        let session = self.sender(message, &reply).map_err(|reply| again(*reply))?;
        let timeout = millis(self.options.timeout);
        if way == "eventsource" {
            // Events go by the stream. This only says that the client is there.
            renew(&session, session.generation(), self.options.patience());
            reply.advice = Some(Advice::retry(timeout, 0));
            return Err(Box::new(reply)); // which is not held
        }
        reply.advice = Some(Advice::retry(0, timeout));
        let wish = message.advice.get("timeout").and_then(Value::as_f64);
        let wish = wish.filter(|wish| (0.0..1e9).contains(wish)).map(|wish| wish as u64);
        let wait = wish.map_or(self.options.timeout, |wish| {
            Duration::from_millis(wish).min(self.options.timeout)
        });
        Ok(Box::new(Connect { session, reply, wait }))
    }

    /// The channels that a message is about: those before the first that is none, and what is wrong
    /// with that.
    fn subscriptions(message: &Message) -> (Vec<&str>, Option<String>) {
        let all = match &message.subscription {
            Value::Array(all) => all.iter().map(Message::text).collect(),
            one => vec![Message::text(one)],
        };
        if all.iter().all(Option::is_none) {
            return (Vec::new(), Some(Code::Missing.about("subscription")));
        }
        let mut good = Vec::new();
        for name in all {
            let name = name.unwrap_or_default();
            if !is_channel(name) && !is_pattern(name) {
                return (good, Some(Code::Invalid.about(name)));
            }
            if is_meta(name) || is_service(name) {
                return (good, Some(Code::Forbidden.about(name)));
            }
            good.push(name);
        }
        (good, None)
    }

    async fn subscribe(&self, message: &Message) -> Reply {
        let mut reply = Reply::to(message);
        reply.subscription = Some(echoed(&message.subscription));
        let session = match self.sender(message, &reply) {
            Ok(session) => session,
            Err(reply) => return *reply,
        };
        let (channels, error) = Self::subscriptions(message);
        for channel in channels {
            if channel == DIRECT {
                continue;
            }
            if let Err(no) = session.subscribe(channel).await {
                return reply.fail(said(&no, channel));
            }
        }
        match error {
            Some(error) => reply.fail(error),
            None => reply,
        }
    }

    fn unsubscribe(&self, message: &Message) -> Reply {
        let mut reply = Reply::to(message);
        reply.subscription = Some(echoed(&message.subscription));
        let session = match self.sender(message, &reply) {
            Ok(session) => session,
            Err(reply) => return *reply,
        };
        let (channels, error) = Self::subscriptions(message);
        for channel in channels {
            session.unsubscribe(channel);
        }
        match error {
            Some(error) => reply.fail(error),
            None => reply,
        }
    }

    fn disconnect(&self, message: &Message) -> Reply {
        let reply = Reply::to(message);
        match self.sender(message, &reply) {
            Err(reply) => *reply,
            Ok(session) => {
                session.left(session.generation());
                reply
            }
        }
    }

    async fn publish(&self, message: &Message, channel: &str, deadline: Instant) -> Reply {
        let reply = Reply::to(message);
        if is_meta(channel) && (is_channel(channel) || is_pattern(channel)) {
            return reply.fail(Code::Forbidden.about(channel));
        }
        let Some(data) = &message.data else {
            return reply.fail(Code::Missing.about("data"));
        };
        if !is_channel(channel) {
            return reply.fail(Code::Invalid.about(channel));
        }
        let session = match self.sender(message, &reply) {
            Ok(session) => session,
            Err(reply) => return *reply,
        };
        if data.get().len() > session.limits().max_message {
            return reply.fail(Code::TooLarge.about(channel));
        }
        let failed = || Code::PublishFailed.about(channel);
        let parser = &*self.mount.settings().parser;
        let Some(payload) = payload(&shared(data), parser) else { return reply.fail(failed()) };
        let envelope = if channel == DIRECT {
            Envelope::from(payload.clone())
        } else {
            match Envelope::event(None, channel, &payload) {
                Ok(envelope) => envelope,
                Err(_) => return reply.fail(Code::Invalid.about(channel)),
            }
        };
        let to_room = if is_service(channel) || channel == DIRECT {
            false
        } else {
            match session.may_publish(channel).await {
                Ok(to_room) => to_room,
                Err(no) => return reply.fail(said(&no, channel)),
            }
        };
        if post::deliver(&session, deadline, envelope).await.is_err() {
            return reply.fail(failed());
        }
        if to_room && session.publish(channel, &payload).is_err() {
            return reply.fail(failed());
        }
        reply
    }
}

/// A refusal as this protocol tells it.
fn said(no: &Rejection, about: &str) -> String {
    let text = match no.error() {
        Value::String(text) => text.clone(),
        error => error.to_string(),
    };
    custom(no.status().as_u16(), about, &text)
}

/// What was asked for is repeated; nothing as an empty list.
fn echoed(subscription: &Value) -> Value {
    if subscription.is_null() { Value::Array(Vec::new()) } else { subscription.clone() }
}
