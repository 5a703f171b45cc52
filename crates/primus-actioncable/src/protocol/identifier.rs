//! Identifiers of subscriptions, and the names of channels.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// What stands in a parameter as it is.
const PARAM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What an identifier says: a channel, and parameters.
///
/// A client makes up the text of an identifier, JSON with a member `channel`, and gets it back byte for byte. The name
/// of the channel of ours has the parameters behind a `?`, in the order of their keys. A value that is no text
/// stands there as JSON, a text as it is unless it could be taken for JSON; all percent-encoded.
///
/// ```
/// use primus_actioncable::protocol::Identifier;
/// let chat = Identifier::read(r#"{"channel":"ChatChannel","room":"lobby","id":7}"#).unwrap();
/// assert_eq!(chat.name(), "ChatChannel?id=7&room=lobby");
/// assert_eq!(chat.params()["room"], "lobby");
/// assert_eq!(Identifier::read(r#"{"channel":"ChatChannel"}"#).unwrap().name(), "ChatChannel");
/// assert!(Identifier::read("ChatChannel").is_none());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Identifier {
    name: String,
    params: Map<String, Value>,
    usual: bool,
}

impl Identifier {
    /// Reads one. `None`: it names no channel.
    pub fn read(text: &str) -> Option<Self> {
        let Value::Object(mut params) = serde_json::from_str(text).ok()? else { return None };
        let Value::String(channel) = params.remove("channel")? else { return None };
        // Else one channel could be taken for another one with parameters.
        if channel.is_empty() || channel.contains('?') {
            return None;
        }
        let usual = is_usual(text, &channel, &params);
        let mut name = channel;
        for (index, (key, value)) in params.iter().enumerate() {
            name.push(if index == 0 { '?' } else { '&' });
            let value = match value {
                Value::String(text) if serde_json::from_str::<Value>(text).is_err() => text.clone(),
                value => value.to_string(),
            };
            let (key, value) =
                (utf8_percent_encode(key, PARAM), utf8_percent_encode(&value, PARAM));
            let _ = write!(name, "{key}={value}");
        }
        Some(Self { name, params, usual })
    }

    /// The name of the channel.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters.
    pub fn params(&self) -> &Map<String, Value> {
        &self.params
    }

    /// Whether its text is the one that most clients have for this channel: the channel first, then the parameters in
    /// the order of their keys, without spaces.
    pub fn is_usual(&self) -> bool {
        self.usual
    }
}

fn is_usual(text: &str, channel: &str, params: &Map<String, Value>) -> bool {
    let mut usual = format!("{{\"channel\":{}", Value::from(channel));
    for (key, value) in params {
        let _ = write!(usual, ",{}:{value}", Value::from(key.as_str()));
    }
    usual.push('}');
    usual == text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Option<String> {
        Identifier::read(text).map(|identifier| identifier.name().to_owned())
    }

    #[test]
    fn identifiers_are_names_of_channels() {
        for (text, expected) in [
            (r#"{"channel":"A"}"#, "A"),
            (r#" { "channel" : "A" } "#, "A"),
            (r#"{"channel":"Admin::Chat","room":1}"#, "Admin::Chat?room=1"),
            (r#"{"room":1,"channel":"A"}"#, "A?room=1"),
            (r#"{"channel":"A","b":1,"a":"x y"}"#, "A?a=x%20y&b=1"),
            (r#"{"channel":"A","a":"1"}"#, "A?a=%221%22"),
            (r#"{"channel":"A","a":null,"b":[1,"é"]}"#, "A?a=null&b=%5B1%2C%22%C3%A9%22%5D"),
            (r#"{"channel":"A","a":"&b=1"}"#, "A?a=%26b%3D1"),
            (r#"{"channel":"A","a":""}"#, "A?a="),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text}");
        }
        for none in [
            "",
            "A",
            "null",
            "[]",
            r#"["A"]"#,
            "{}",
            r#"{"channel":1}"#,
            r#"{"channel":""}"#,
            r#"{"channel":"A?room=1"}"#,
            r#"{"channel":"A"} x"#,
            &"[".repeat(100_000),
        ] {
            assert_eq!(name(none), None, "{none:.40}");
        }
    }

    #[test]
    fn the_usual_text_is_known() {
        for (text, usual) in [
            (r#"{"channel":"A"}"#, true),
            (r#"{"channel":"A","room":"é\"","z":1}"#, true),
            (r#"{"channel":"A","z":1,"room":1}"#, false),
            (r#"{"room":1,"channel":"A"}"#, false),
            (r#"{"channel": "A"}"#, false),
            (r#"{"channel":"A","room":1.0e1}"#, false),
        ] {
            assert_eq!(Identifier::read(text).unwrap().is_usual(), usual, "{text}");
        }
    }

    proptest! {
        #[test]
        fn different_parameters_are_different_channels(a in "\\PC{0,8}", b in "\\PC{0,8}") {
            let text = |value: &Value| serde_json::json!({ "channel": "A", "p": value }).to_string();
            let (a, b) = (Value::from(a), Value::from(b));
            prop_assert_eq!(name(&text(&a)) == name(&text(&b)), a == b);
            if let Ok(other) = serde_json::from_str::<Value>(a.as_str().unwrap()) {
                prop_assert_ne!(name(&text(&a)), name(&text(&other)));
            }
        }

        #[test]
        fn reading_an_identifier_is_total(text in "\\PC*") {
            let _ = Identifier::read(&text);
        }
    }
}
