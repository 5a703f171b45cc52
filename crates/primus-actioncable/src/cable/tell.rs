//! What a client is told.

use primus_core::{Envelope, Outgoing, Parser, Payload, native};
use primus_websocket::{Form, Out, form};
use serde::Deserialize;
use serde_json::Value;

use super::{Cable, hear::PRESENCE, leaving, presence, stream};
use crate::{
    places::Id,
    protocol::{Frame, message},
};

const MESSAGE: Form = form!("actioncable");
const IN_STREAM: Form = form!("actioncable.stream");
const PRESENT: Form = form!("actioncable.presence");

impl Cable {
    pub(super) fn decided(&mut self, number: u64, may: bool, out: &mut Out) {
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
    pub(super) fn told(
        &mut self,
        channel: &str,
        name: &str,
        outgoing: &Outgoing,
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
                let args = outgoing.envelope().body();
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
                self.put_for_each(channel, outgoing, &PRESENT, out, present);
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
    pub(super) fn said(
        &mut self,
        channel: &str,
        outgoing: &Outgoing,
        parser: &dyn Parser,
        out: &mut Out,
    ) {
        let epoch = match outgoing {
            Outgoing::Shared(packet) if self.extended => packet.epoch(),
            _ => None,
        };
        let form = if epoch.is_some() { &IN_STREAM } else { &MESSAGE };
        self.put_for_each(channel, outgoing, form, out, |text, envelope| {
            framed(text, channel, envelope, epoch, parser)
        });
    }

    /// To each identifier of a channel, in a frame that is shared where the identifier is the usual one.
    fn put_for_each(
        &mut self,
        channel: &str,
        outgoing: &Outgoing,
        form: &Form,
        out: &mut Out,
        make: impl Fn(&str, &Envelope) -> Option<Payload>,
    ) {
        let Some(place) = self.places.open(channel) else { return };
        for Id { text, usual } in &place.ids {
            let make = |envelope: &Envelope| make(text, envelope);
            if *usual {
                out.put(outgoing, form, make);
            } else {
                make(outgoing.envelope()).iter().for_each(|own| out.push_message(own));
            }
        }
    }
}

#[derive(Deserialize)]
struct Caught {
    room: String,
    recovered: Option<bool>,
}

/// Who came, or left, as a frame. `None`: of another room than that in which clients are seen.
fn present(identifier: &str, envelope: &Envelope) -> Option<Payload> {
    let mut said: Value = serde_json::from_slice(envelope.body().as_bytes()).ok()?;
    let room = said.as_object_mut()?.remove("room")?;
    (room == PRESENCE).then(|| presence(identifier, &said))
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
