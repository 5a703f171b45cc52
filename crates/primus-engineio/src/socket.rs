//! A client on a WebSocket: the probe of an upgrade, the time without a session, and what the driver has to
//! know of the messages of a session.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    sync::Arc,
    time::Duration,
};

use primus_core::{
    BoxFuture, Carriage, Carrier, CloseReason, Envelope, Outgoing, Parser, Payload, Session,
};
use primus_websocket::{Connection, Dialect, Incoming, Out};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::{
    language::{After, Heard, Speaker},
    link::Link,
    protocol::{Packet, Probe, Version, v3, v4},
    talk::{Talk, one_session, too_late, wrong_heartbeat},
    writer::{Wire, Writer},
};

/// How often a poll that waits is answered while a client is to go on with its upgrade.
const HURRY: Duration = Duration::from_millis(100);

/// What a message of the WebSocket is.
fn read(version: Version, message: &Payload) -> Result<Packet, CloseReason> {
    let packet = match (version, message) {
        (Version::V4, Payload::Text(text)) => v4::read_text(text),
        (Version::V3, Payload::Text(text)) => v3::read_text(text),
        (Version::V4, Payload::Binary(_)) => Ok(Packet::Message(message.clone())),
        (Version::V3, Payload::Binary(bytes)) => v3::read_binary(bytes),
    };
    packet.map_err(|error| CloseReason::BAD_CONTROL.with_text(error.to_string()))
}

/// What the close frame says: the code, for the client has no use for words.
fn wordless(reason: &CloseReason) -> CloseReason {
    reason.clone().with_text("")
}

/// A client that has a socket. Dropped, it is gone.
pub(crate) struct OnSocket(pub(crate) Arc<Link>);

impl Drop for OnSocket {
    fn drop(&mut self) {
        self.0.closed();
    }
}

impl OnSocket {
    pub(crate) fn wire(&self) -> Wire {
        Wire::Socket(self.0.version, self.0.base64)
    }
}

/// A socket that may take over from polling.
pub(crate) async fn probe(link: Arc<Link>, mut connection: Connection) {
    let patience = link.mount.settings().limits.close_timeout;
    let probing = Probing(&link);
    let until = Instant::now() + link.options().upgrade_timeout;
    let upgraded = timeout_at(until, probed(&link, &mut connection)).await;
    drop(probing);
    if !matches!(upgraded, Ok(true)) {
        return connection.refuse(None, &wordless(&CloseReason::NORMAL), patience).await;
    }
    let Some((talk, waiting)) = link.take_over() else { return };
    let client = OnSocket(link);
    let wire = client.wire();
    waiting.iter().for_each(|packet| connection.send(&wire.payload(packet)));
    go_on(client, connection, talk).await;
}

/// A socket that is one too many: another one is there, or polling is over.
pub(crate) async fn turn_away(link: &Link, connection: Connection) {
    let patience = link.mount.settings().limits.close_timeout;
    connection.refuse(None, &wordless(&CloseReason::NORMAL), patience).await;
}

/// The upgrade is under way. Dropped, it is not.
struct Probing<'a>(&'a Link);

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        self.0.gave_up();
    }
}

/// Whether the socket has been probed and takes over.
async fn probed(link: &Link, connection: &mut Connection) -> bool {
    let mut hurry = None;
    loop {
        let tick = async {
            match hurry {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        let message = tokio::select! {
            message = connection.receive(64) => message,
            () = tick => {
                link.hurry();
                hurry = Some(Instant::now() + HURRY);
                continue;
            }
        };
        let packet = message.ok().and_then(|message| read(link.version, &message).ok());
        match link.probe(packet.as_ref()) {
            Probe::Upgrade => return true,
            Probe::Close => return false,
            Probe::Answer => {
                connection.send(&"3probe".into());
                if connection.flush().await.is_err() {
                    return false;
                }
                hurry.get_or_insert_with(Instant::now);
            }
        }
    }
}

/// Speaks with a client on a WebSocket until it has a session, which is driven then.
pub(crate) async fn go_on(client: OnSocket, mut connection: Connection, mut talk: Talk) {
    let (interval, grace) = client.0.mount.heartbeat();
    let mut pinged = Instant::now();
    let mut seen = pinged;
    let mut opening: Option<BoxFuture<'static, _>> = None;
    let reason = loop {
        if let Some(carrier) = talk.carrier.take() {
            return drive(client, connection, carrier, talk);
        }
        let far = Instant::now() + Duration::from_secs(3600);
        let pings = client.0.version == Version::V4 && !interval.is_zero();
        let ping = if pings { pinged + interval } else { far };
        let dead = if interval.is_zero() { far } else { seen + interval + grace };
        let late = talk.waits.as_ref().and_then(|waits| waits.until).unwrap_or(far);
        let busy = opening.is_some();
        let opened = poll_fn(|cx| match &mut opening {
            Some(opening) => opening.as_mut().poll(cx),
            None => std::task::Poll::Pending,
        });
        let max = client.0.mount.settings().limits.max_message;
        let heard = tokio::select! {
            opened = opened => {
                opening = None;
                seen = Instant::now(); // it was us who did not read
                talk.opened(opened).iter().for_each(|message| say(&client, &mut connection, message));
                Ok(None)
            }
            message = connection.receive(max), if !busy => {
                seen = Instant::now();
                message.and_then(|message| hear(&client, &mut connection, &mut talk, &message))
            }
            () = sleep_until(ping) => {
                pinged = Instant::now();
                connection.send(&"2".into());
                Ok(None)
            }
            () = sleep_until(dead), if !busy => break CloseReason::HEARTBEAT,
            () = sleep_until(late), if !busy => break too_late(),
        };
        match heard {
            Ok(Some(future)) => opening = Some(future),
            Ok(None) => {}
            Err(reason) => break reason,
        }
        // A client that does not read holds nobody up for longer than it may be silent.
        let patience = client.0.mount.settings().limits.attach_timeout;
        if !matches!(timeout(patience, connection.flush()).await, Ok(Ok(()))) {
            break CloseReason::GOING_AWAY;
        }
    };
    let patience = client.0.mount.settings().limits.close_timeout;
    tracing::debug!(%reason, "closed");
    talk.close(reason.clone());
    drop(client);
    connection.refuse(None, &wordless(&reason), patience).await;
}

type Opening = BoxFuture<'static, crate::language::Opened>;

fn say(client: &OnSocket, connection: &mut Connection, message: &Payload) {
    connection.send(&client.wire().payload(&Packet::Message(message.clone())));
}

/// A message where there is no session.
fn hear(
    client: &OnSocket,
    connection: &mut Connection,
    talk: &mut Talk,
    message: &Payload,
) -> Result<Option<Opening>, CloseReason> {
    match (client.0.version, read(client.0.version, message)?) {
        (_, Packet::Message(message)) => match talk.speaker.read(message, None)? {
            Heard::Open(opening) => return Ok(Some(opening)),
            Heard::Say(messages) => messages.iter().for_each(|it| say(client, connection, it)),
            Heard::Deliver(_) | Heard::Leave | Heard::Nothing => {}
        },
        (Version::V3, Packet::Ping(data)) => {
            connection.send(&client.wire().payload(&Packet::Pong(data)));
        }
        (Version::V4, Packet::Pong(_)) => {}
        (_, Packet::Ping(_) | Packet::Pong(_)) => return Err(wrong_heartbeat()),
        (_, Packet::Close) => return Err(CloseReason::NORMAL),
        (_, Packet::Open(_) | Packet::Upgrade | Packet::Noop) => {}
    }
    Ok(None)
}

fn drive(client: OnSocket, connection: Connection, mut carrier: Carrier, talk: Talk) {
    carrier.change(Carriage::DRIVER);
    let Talk { speaker, held, .. } = talk;
    connection.drive(carrier, Driven { client, speaker, held });
}

/// What is said over the WebSocket of a session.
struct Driven {
    client: OnSocket,
    speaker: Box<dyn Speaker>,
    /// What was said before.
    held: VecDeque<Envelope>,
}

impl Dialect for Driven {
    fn read(&mut self, message: Payload, carrier: &mut Carrier) -> Result<Incoming, CloseReason> {
        let version = self.client.0.version;
        match (version, read(version, &message)?) {
            (_, Packet::Message(message)) => {
                match self.speaker.read(message, Some(carrier.session()))? {
                    Heard::Deliver(envelope) => Ok(Incoming::Message(envelope)),
                    Heard::Say(messages) => {
                        let wire = self.client.wire();
                        let payload = |message| wire.payload(&Packet::Message(message));
                        Ok(Incoming::Answers(messages.into_iter().map(payload).collect()))
                    }
                    Heard::Leave => Ok(Incoming::End),
                    Heard::Nothing => Ok(Incoming::Nothing),
                    Heard::Open(_) => Err(one_session()),
                }
            }
            (Version::V3, Packet::Ping(data)) => {
                Ok(Incoming::Answer(self.client.wire().payload(&Packet::Pong(data))))
            }
            (Version::V4, Packet::Pong(_)) => {
                carrier.session().ponged();
                Ok(Incoming::Nothing)
            }
            (_, Packet::Ping(_) | Packet::Pong(_)) => Err(wrong_heartbeat()),
            (_, Packet::Close) => Ok(Incoming::End),
            (_, Packet::Open(_) | Packet::Upgrade | Packet::Noop) => Ok(Incoming::Nothing),
        }
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        self.held.pop_front().or_else(|| self.speaker.pop_ready())
    }

    fn has_ready(&self) -> bool {
        !self.held.is_empty() || self.speaker.has_ready()
    }

    fn is_full(&self, session: &Session) -> bool {
        self.speaker.is_full(session)
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, out: &mut Out) {
        let Link { version, base64, .. } = *self.client.0;
        self.speaker.write(outgoing, parser, &mut Writer::socket(version, base64, out));
    }

    fn write_ping(&mut self, _: &mut Carrier, out: &mut Out) {
        if self.client.0.version == Version::V4 {
            out.push_message(&"2".into());
            if let Some(words) = self.speaker.ping() {
                out.push_message(&self.client.wire().payload(&Packet::Message(words)));
            }
        }
    }

    fn write_end(&mut self, reason: &CloseReason, _: &mut Carrier, out: &mut Out) {
        let Link { version, base64, .. } = *self.client.0;
        self.speaker.end(reason, &mut Writer::socket(version, base64, out));
    }

    fn close_frame(&self, reason: &CloseReason) -> CloseReason {
        wordless(reason)
    }

    fn stays(&self, reason: &CloseReason) -> bool {
        self.speaker.after(reason) == After::Stay
    }

    fn go_on(self, connection: Connection) -> BoxFuture<'static, ()> {
        let Self { client, speaker, held } = self;
        let mut talk = Talk { speaker, carrier: None, held, waits: None };
        talk.stay();
        Box::pin(go_on(client, connection, talk))
    }
}
