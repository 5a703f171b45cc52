//! How one client is spoken to, and heard.

use std::{sync::Arc, time::Duration};

use primus_core::{CloseReason, Envelope, Outgoing, Parser, Payload, Session, Subject};
use primus_engineio::{After, Form, Heard, Speaker, Writer, form};

use crate::{
    client::Client,
    opening,
    places::{State, slot_and_id},
    protocol::PacketError,
};

const EVENT: Form = form!("socket.io");
const WITH_OFFSET: Form = form!("socket.io.offset");
const MSGPACK: Form = form!("socket.io.msgpack");
const MSGPACK_WITH_OFFSET: Form = form!("socket.io.msgpack.offset");

/// What begins the names of events of the protocol itself.
const OWN: &str = "primus.";

impl Speaker for Client {
    fn read(
        &mut self,
        message: Payload,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, CloseReason> {
        self.settle();
        if session.is_none() {
            self.places.clear();
        }
        let packet = match (message, self.writing.msgpack) {
            (Payload::Text(text), false) => self.reader.text(text),
            (Payload::Binary(bytes), false) => self.reader.binary(bytes),
            (Payload::Binary(bytes), true) => self.reader.whole(&bytes).map(Some),
            (Payload::Text(_), true) => Err(PacketError("text, where MessagePack is spoken")),
        };
        let heard = packet.and_then(|packet| match packet {
            Some(packet) => self.hear(packet, session),
            None => Ok(Heard::Nothing),
        });
        heard.map_err(|error| CloseReason::BAD_CONTROL.with_text(error.to_string()))
    }

    fn pop_ready(&mut self) -> Option<Envelope> {
        self.ready.pop_front()
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn write(&mut self, outgoing: &Outgoing, parser: &dyn Parser, to: &mut Writer<'_>) {
        self.settle();
        let number = self.next;
        self.next += 1;
        let envelope = outgoing.envelope();
        let heading = envelope.heading();
        let known = number <= self.replayed;
        let asks = match &heading.subject {
            // What was answered before belongs to a connection that is gone.
            Subject::Reply(_) | Subject::Refuse(_) if known => return,
            Subject::Reply(answer) | Subject::Refuse(answer) => {
                return self.answer(*answer, envelope, parser, to);
            }
            Subject::Request(..) => true,
            _ => false,
        };
        let most = self.mount.settings().limits.resume_messages;
        let Some(place) = self.places.of_channel(heading.channel.as_deref()) else { return };
        if let Subject::Event(name) = &heading.subject
            && name.starts_with(OWN)
        {
            if name == "primus.end" && heading.channel.is_some() && place.is_taken() {
                place.state = State::Gone;
                let namespace = place.namespace.clone();
                self.writing.disconnected(&namespace).iter().for_each(|last| to.say(last));
            }
            return;
        }
        match &mut place.state {
            State::Open if number <= place.after || asks && known => return,
            State::Open => {}
            State::Away(held, complete) => {
                if held.len() >= most {
                    held.pop_front();
                    *complete = false;
                }
                held.push_back((number, outgoing.clone()));
                return;
            }
            State::Opening | State::Gone => return,
        }
        let offset = self.recovery.then(|| offset(outgoing, number));
        to.put(outgoing, self.form(), |envelope| {
            self.writing.message(envelope, parser, offset.as_deref()).unwrap_or_default()
        });
    }

    fn end(&mut self, reason: &CloseReason, to: &mut Writer<'_>) {
        self.settle();
        if !reason.reconnects() && !reason.blames_peer() {
            self.stays = self.mount.pend().ok();
            for place in self.places.taken() {
                let last = self.writing.disconnected(&place.namespace);
                last.iter().for_each(|last| to.say(last));
            }
        }
        self.places.clear();
    }

    fn after(&self, reason: &CloseReason) -> After {
        // A client that is in no namespace closes the connection itself. Where that goes at once with the last
        // words, the stock client sees its end before them, and comes back.
        match &self.stays {
            Some(_) if !reason.reconnects() && !reason.blames_peer() => After::Stay,
            _ => After::Close,
        }
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.patience)
    }
}

impl Client {
    /// An answer to what the client asked, or whether it may enter.
    fn answer(
        &mut self,
        answer: u64,
        envelope: &Envelope,
        parser: &dyn Parser,
        to: &mut Writer<'_>,
    ) {
        let (slot, id) = slot_and_id(answer);
        let Some(place) = self.places.of_slot(slot) else { return };
        let encoded = match (id, &place.state) {
            (Some(id), State::Open) => self.writing.ack(&place.namespace, id, envelope, parser),
            (None, State::Opening) => {
                let body: serde_json::Value =
                    serde_json::from_slice(envelope.body_bytes()).unwrap_or_default();
                Some(match envelope.heading().subject {
                    Subject::Reply(_) => {
                        place.state = State::Open;
                        let sid = body["id"].as_str().unwrap_or_default();
                        self.writing.connected(&place.namespace, sid, self.pid.as_deref())
                    }
                    _ => {
                        place.state = State::Gone;
                        let error = opening::error_of(&body["error"], "refused");
                        self.writing.refused(&place.namespace, &error)
                    }
                })
            }
            _ => None,
        };
        encoded.iter().flatten().for_each(|message| to.say(message));
    }

    fn form(&self) -> &'static Form {
        match (self.writing.msgpack, self.recovery) {
            (false, false) => &EVENT,
            (false, true) => &WITH_OFFSET,
            (true, false) => &MSGPACK,
            (true, true) => &MSGPACK_WITH_OFFSET,
        }
    }
}

/// What a client has once it has this message.
pub(crate) fn offset(outgoing: &Outgoing, number: u64) -> String {
    match outgoing.serial() {
        // What many receive is the same for all of them.
        Some(serial) => format!("s{serial}"),
        None => format!("n{number}"),
    }
}
