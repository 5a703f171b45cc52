//! A client's first namespace opens its session, or brings back the one that it had.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytestring::ByteString;
use primus_core::{Carriage, Envelope, Head, Mount, Opening, Payload, Rejection, Resume, Session};
use primus_engineio::Opened;
use serde::Deserialize as _;

use crate::{
    language::NAME,
    places::{Places, State, question},
    protocol::{Value, Writing},
};

/// What a client says of itself when it enters a namespace.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    pub(crate) auth: serde_json::Value,
    pub(crate) back: Option<Back>,
}

/// It was here before.
#[derive(Debug)]
pub(crate) struct Back {
    pub(crate) pid: String,
    /// What it has of that namespace. `None`: no event.
    pub(crate) offset: Option<String>,
}

impl Asking {
    /// Reads what a CONNECT carries. With `recovery` it may have been here before.
    pub(crate) fn read(auth: Option<&str>, recovery: bool) -> Self {
        let mut auth = auth.and_then(|auth| serde_json::from_str(auth).ok()).unwrap_or_default();
        let serde_json::Value::Object(members) = &mut auth else {
            return Self { auth, back: None };
        };
        if !recovery {
            return Self { auth, back: None };
        }
        let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
        let offset = members.remove("offset").and_then(text);
        let pid = members.remove("pid").and_then(text);
        if members.is_empty() {
            auth = serde_json::Value::Null;
        }
        Self { auth, back: pid.map(|pid| Back { pid, offset }) }
    }
}

/// Where a client finds what came of it.
pub(crate) type Slot = Arc<Mutex<Option<Came>>>;

/// What came of opening a session.
#[derive(Debug)]
pub(crate) enum Came {
    Opened(Box<Start>),
    /// What may open one yet.
    Refused(Box<Head>),
}

/// How a client begins in its session.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) places: Places,
    /// The number of the next message that is written.
    pub(crate) next: u64,
    /// Messages up to this number have been written to it before.
    pub(crate) replayed: u64,
    /// By which it may come back.
    pub(crate) pid: Option<String>,
}

/// A client that has no session and wants a namespace.
pub(crate) struct Request {
    pub(crate) mount: Arc<Mount>,
    /// It holds the buffer that its headers were read into, and goes with the first session.
    pub(crate) head: Box<Head>,
    pub(crate) writing: Writing,
    pub(crate) recovery: bool,
    pub(crate) namespace: ByteString,
    /// `None`: the root.
    pub(crate) channel: Option<Box<str>>,
    pub(crate) asking: Asking,
    pub(crate) slot: Slot,
}

/// Kept with a session whose client may come back: slots up to this one may be known to it.
pub(crate) struct Slots(pub(crate) AtomicU64);

pub(crate) async fn open(request: Request) -> Opened {
    if let Some(back) = &request.asking.back {
        match recover(&request, back).await {
            Ok(Some(opened)) => return opened,
            Ok(None) => {}
            Err(rejection) => return refuse(request, &rejection),
        }
    }
    let opening = Opening {
        auth: request.asking.auth.clone(),
        resume: if request.recovery { Resume::Feed } else { Resume::Never },
        answers: true,
        held: request.channel.is_some(),
        ..Opening::default()
    };
    match request.mount.open(NAME, &request.head, opening).await {
        Ok(session) => begin(request, &session),
        Err(rejection) => refuse(request, &rejection),
    }
}

fn begin(request: Request, session: &Arc<Session>) -> Opened {
    let Request { mount, writing, recovery, namespace, channel, asking, slot, .. } = request;
    let mut pid = None;
    if recovery {
        session.set_extension(Slots(AtomicU64::new(0)));
        pid = Some(mount.issue_token(session).reveal());
    }
    let mut places = Places::default();
    let mut opened =
        Opened { carrier: Some(session.attach(Carriage::SILENT)), ..Opened::default() };
    match channel {
        None => {
            opened.say = writing.connected(&namespace, &session.id().to_string(), pid.as_deref());
            places.add(namespace, None, State::Open, 0);
        }
        Some(channel) => {
            let name = channel.to_string();
            let number = places.add(namespace, Some(channel), State::Opening, 0);
            opened.deliver = enter(number, &name, asking.auth).into_iter().collect();
        }
    }
    came(&slot, Came::Opened(Start { places, next: 1, replayed: 0, pid }.into()));
    opened
}

fn refuse(request: Request, rejection: &Rejection) -> Opened {
    let Request { head, writing, namespace, slot, .. } = request;
    came(&slot, Came::Refused(head));
    let error = refusal(rejection.error(), rejection);
    Opened { say: writing.refused(&namespace, &error), ..Opened::default() }
}

fn came(slot: &Slot, came: Came) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(came);
}

/// The question whether a client may enter a channel.
pub(crate) fn enter(slot: u64, channel: &str, auth: serde_json::Value) -> Option<Envelope> {
    let args = serde_json::json!({ "channel": channel, "auth": auth }).to_string();
    Envelope::request(None, question(slot), "primus.open", &Payload::from(args)).ok()
}

/// The session that a client had. `None`: it cannot have that, and gets a new one.
async fn recover(request: &Request, back: &Back) -> Result<Option<Opened>, Rejection> {
    let Request { mount, head, writing, namespace, channel, asking, slot, .. } = request;
    let Some((session, _)) = mount.by_token(&back.pid) else { return Ok(None) };
    let Some(slots) = session.extension::<Slots>() else { return Ok(None) };
    let channels = session.channels();
    let sid = match channel {
        None if session.has_begun() => Some(session.id()),
        None => None,
        Some(channel) => channels.iter().find(|(name, _)| name == channel).map(|(_, id)| *id),
    };
    let Some(sid) = sid else { return Ok(None) };
    let Some(after) = known(&session, back.offset.as_deref()) else {
        // It is the same client, which begins anew: nobody comes back for that one.
        session.left(session.generation());
        return Ok(None);
    };
    let replayed = session.sent();
    let recovered = mount.recover(NAME, head, &asking.auth, &session, Carriage::SILENT).await?;
    let Ok(carrier) = recovered else { return Ok(None) };
    let mut places = Places::behind(slots.0.load(Ordering::Relaxed));
    places.add(namespace.clone(), channel.clone(), State::Open, after);
    let away = || State::Away(Default::default(), true);
    if channel.is_some() && session.has_begun() {
        places.add(ByteString::from_static("/"), None, away(), 0);
    }
    for (name, _) in channels {
        if Some(&name) != channel.as_ref() {
            let namespace = crate::protocol::namespace(&name);
            places.add(namespace.into(), Some(name), away(), 0);
        }
    }
    slots.0.store(places.last_slot(), Ordering::Relaxed);
    let pid = Some(back.pid.clone());
    let say = writing.connected(namespace, &sid.to_string(), pid.as_deref());
    came(slot, Came::Opened(Start { places, next: session.next(), replayed, pid }.into()));
    Ok(Some(Opened { carrier: Some(carrier), say, deliver: Vec::new() }))
}

/// The number of the last message that a client has, if everything behind it is kept.
pub(crate) fn known(session: &Session, offset: Option<&str>) -> Option<u64> {
    let number = match offset {
        None => 0,
        Some(offset) => {
            let digits = offset.get(1..)?.parse().ok()?;
            match offset.as_bytes()[0] {
                b'n' => digits,
                b's' => session.number_of(digits)?,
                _ => return None,
            }
        }
    };
    (session.floor()..=session.sent()).contains(&number).then_some(number)
}

/// What a refusal says to a client: an error with a message, and data if there is more to say.
pub(crate) fn refusal(error: &serde_json::Value, rejection: &Rejection) -> Value {
    let reason = rejection.status().canonical_reason().unwrap_or("refused");
    error_of(error, reason)
}

pub(crate) fn error_of(error: &serde_json::Value, reason: &str) -> Value {
    let data = Value::deserialize(error).unwrap_or(Value::Null);
    let message = |message: &str| ("message".to_owned(), Value::Text(message.to_owned()));
    match data {
        Value::Text(text) => Value::Object(vec![message(&text)]),
        Value::Object(_) if matches!(data.get("message"), Some(Value::Text(_))) => data,
        data => Value::Object(vec![message(reason), ("data".to_owned(), data)]),
    }
}
