//! The dialect: commands are what a session reads, its messages are frames.

mod hear;
mod tell;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use primus_core::{
    Carrier, CloseReason, Envelope, Outgoing, Parser, Payload, Rejection, Session, Subject,
};
use primus_websocket::{Dialect, Incoming, Out};
use serde_json::Value;

use crate::{
    options::ActionCableOptions,
    places::{Hold, Places},
    protocol::{Command, Who, disconnect, ping},
};

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
                self.told(channel, name, outgoing, parser, out);
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

/// The id of a stream: a room of a channel.
fn stream(channel: &str, room: &str) -> String {
    format!("{channel}#{room}")
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
