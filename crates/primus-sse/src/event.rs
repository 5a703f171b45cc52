//! Server-sent events (the HTML standard, "Server-sent events"): how a message becomes one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use primus_core::{Envelope, Payload, Subject, WireForm, native::encode_line};

/// Frames of the resumable dialect, one an event.
pub(crate) const RESUMABLE: WireForm = WireForm("sse.2");
/// Messages alone. Each stream puts an `id:` line of its own in front.
pub(crate) const PLAIN: WireForm = WireForm("sse");

/// An event without a name whose data is one line.
pub(crate) fn line(line: &str) -> Bytes {
    format!("data: {line}\n\n").into()
}

/// A message as a frame of the resumable dialect.
pub(crate) fn resumable(envelope: &Envelope) -> Bytes {
    line(&encode_line(envelope))
}

/// A message as a bare `EventSource` reads it: text in one `data:` line for each of its lines,
/// binary as base64. An event has its name, so that `addEventListener` hears it. What is nothing to
/// such a reader is a comment, behind the number that it has all the same.
pub(crate) fn plain(envelope: &Envelope) -> Bytes {
    let heading = envelope.heading();
    let name = match &heading.subject {
        Subject::Data => None,
        Subject::Event(name) if !name.starts_with("primus.") => Some(name),
        _ => return COMMENT,
    };
    let body = envelope.body();
    let encoded;
    let mut rest: &str = match &body {
        Payload::Binary(bytes) => {
            encoded = STANDARD.encode(bytes);
            &encoded
        }
        Payload::Text(text) => text,
    };
    let mut event = String::with_capacity(rest.len() + 32);
    if let Some(name) = name {
        event.push_str("event: ");
        event.push_str(name);
        event.push('\n');
    }
    loop {
        let end = rest.find(['\r', '\n']);
        event.push_str("data: ");
        event.push_str(&rest[..end.unwrap_or(rest.len())]);
        event.push('\n');
        let Some(end) = end else { break };
        let after = &rest[end..];
        rest = after.strip_prefix("\r\n").unwrap_or(&after[1..]);
    }
    event.push('\n');
    event.into()
}

/// The first event of a session for a reader that asked for another, which it cannot have. The id
/// is that of a reader who has nothing yet.
pub(crate) fn lost(token: &str, reason: &str) -> Bytes {
    format!("id: {token}.0\nevent: primus.lost\ndata: {{\"reason\":\"{reason}\"}}\n\n").into()
}

/// What readers skip. It makes headers leave at once, and keeps proxies awake.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../docs/protocol-vectors.json")).unwrap()
    }

    fn payload(message: &serde_json::Value) -> Payload {
        match message["text"].as_str() {
            Some(text) => text.into(),
            None => STANDARD.decode(message["binary"].as_str().unwrap()).unwrap().into(),
        }
    }

    #[test]
    fn plain_events_of_the_vectors() {
        for row in vectors()["plain_events"].as_array().unwrap() {
            assert_eq!(plain(&payload(&row["message"]).into()), row["data"].as_str().unwrap());
        }
    }

    #[test]
    fn an_event_has_its_name_and_its_arguments_as_data() {
        let args = Payload::from("{\"a\":1}");
        let event = Envelope::event(None, "tick tock", &args).unwrap();
        assert_eq!(plain(&event), "event: tick tock\ndata: {\"a\":1}\n\n");
        let own = Envelope::event(None, "primus.end", &args).unwrap();
        assert_eq!(plain(&own), COMMENT);
    }

    #[test]
    fn what_is_lost_is_an_event_of_its_own_name() {
        let expected = "id: t.0\nevent: primus.lost\ndata: {\"reason\":\"expired\"}\n\n";
        assert_eq!(lost("t", "expired"), expected);
    }

    #[test]
    fn lines_of_the_vectors_are_events() {
        for row in vectors()["line_data"].as_array().unwrap() {
            let expected = format!("data: {}\n\n", row["line"].as_str().unwrap());
            assert_eq!(resumable(&payload(&row["message"]).into()), expected);
        }
    }
}
