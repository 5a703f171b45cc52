//! What clients are sent: messages on channels.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use primus_core::{Envelope, Heading, Outgoing, Parser, Payload, Subject, WireForm, parser};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::protocol::channel::is_channel;

/// The channel of what is for one client and names no channel. A client hears it without being asked who
/// it is, and what it publishes there the handler reads as messages.
pub(crate) const DIRECT: &str = "/primus";

const FORM: WireForm = WireForm("bayeux");

/// A message as JSON, or several with commas between; empty if it is none for these clients.
pub(crate) fn event(outgoing: &Outgoing, parser: &dyn Parser) -> Bytes {
    outgoing.frame(FORM, |envelope| render(envelope, parser).into())
}

fn render(envelope: &Envelope, parser: &dyn Parser) -> String {
    let Heading { rooms, subject, .. } = envelope.heading();
    let mut data = json(&envelope.body(), parser);
    let mut channels: Vec<&str> =
        rooms.iter().map(|(room, _)| &**room).filter(|room| is_channel(room)).collect();
    match &subject {
        Subject::Data => {}
        Subject::Event(name) if channels.is_empty() && is_channel(name) => channels.push(name),
        Subject::Event(name) => {
            data = format!("{{\"event\":{},\"data\":{data}}}", Value::from(&**name));
        }
        _ => return String::new(),
    }
    if channels.is_empty() {
        channels.push(DIRECT);
    }
    let on = |channel: &&str| format!("{{\"channel\":\"{channel}\",\"data\":{data}}}");
    channels.iter().map(on).collect::<Vec<_>>().join(",")
}

/// What a message carries, as JSON. Bytes are base64, and what is no JSON is a string.
fn json(body: &Payload, parser: &dyn Parser) -> String {
    let value = match body {
        Payload::Text(text) if parser.name() == "json" => {
            if serde_json::from_str::<IgnoredAny>(text).is_ok() {
                return text.to_string();
            }
            Value::from(&**text)
        }
        Payload::Binary(bytes) => match parser::decode(parser, body) {
            Ok(value) if parser.name() != "raw" => value,
            _ => Value::from(STANDARD.encode(bytes)),
        },
        Payload::Text(text) => match parser::decode(parser, body) {
            Ok(value) => value,
            Err(_) => Value::from(&**text),
        },
    };
    value.to_string()
}

/// What a client published, as the mount's parser has it. `None`: it has no form for it.
pub(crate) fn payload(data: &str, parser: &dyn Parser) -> Option<Payload> {
    if parser.name() == "json" {
        return Some(data.into());
    }
    let value: Value = serde_json::from_str(data).ok()?;
    parser::encode(parser, &value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(outgoing: impl Into<Envelope>) -> String {
        render(&outgoing.into(), &*parser::json())
    }

    #[test]
    fn what_names_no_channel_is_direct() {
        assert_eq!(rendered("{\"a\":1}"), r#"{"channel":"/primus","data":{"a":1}}"#);
        let event = |name| Envelope::event(None, name, &"[1]".into()).unwrap();
        assert_eq!(rendered(event("/a/b")), r#"{"channel":"/a/b","data":[1]}"#);
        assert_eq!(
            rendered(event("tick")),
            r#"{"channel":"/primus","data":{"event":"tick","data":[1]}}"#
        );
    }

    #[test]
    fn what_is_no_json_is_a_string() {
        assert_eq!(rendered("}]"), r#"{"channel":"/primus","data":"}]"}"#);
        let bytes = Payload::from(Bytes::from_static(b"\0"));
        assert_eq!(rendered(bytes), r#"{"channel":"/primus","data":"AA=="}"#);
    }
}
