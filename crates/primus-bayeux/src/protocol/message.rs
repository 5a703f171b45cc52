//! What clients send: a message, or an array of them.

use bytestring::ByteString;
use primus_core::parser::replace_halves;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

/// Messages in one body. Clients send a few.
pub const MOST: usize = 1000;

/// One message. What a field has that it should not have is for who reads the field.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Message {
    /// Where it goes, and what it means by that.
    pub channel: Value,
    /// Named in the answer.
    pub id: Value,
    /// Who sends it.
    pub client_id: Value,
    /// Of a handshake: the version of the protocol.
    pub version: Value,
    /// Of a handshake: how messages may travel.
    pub supported_connection_types: Value,
    /// Of a connect: how messages travel.
    pub connection_type: Value,
    /// A channel or a pattern, or an array of them.
    pub subscription: Value,
    /// What the client wishes.
    pub advice: Value,
    /// For extensions: that of a handshake is for `authorize`.
    pub ext: Value,
    /// What is published: JSON. `null` is something.
    #[serde(deserialize_with = "present")]
    pub data: Option<Box<RawValue>>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// It is neither an object nor an array of objects, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRequest;

impl From<serde_json::Error> for BadRequest {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

impl Message {
    /// What the client may be answered by.
    pub fn text(value: &Value) -> Option<&str> {
        value.as_str().filter(|text| !text.is_empty())
    }
}

/// Reads the messages of a body. `null` among them is none. Half of a surrogate pair is U+FFFD.
///
/// ```
/// use primus_bayeux::protocol::message::read;
/// assert_eq!(read(r#"[{"channel":"/a","data":null},null]"#)?.len(), 1);
/// assert!(read("[]")?.is_empty() && read("1").is_err());
/// # Ok::<(), primus_bayeux::protocol::message::BadRequest>(())
/// ```
///
/// # Errors
/// When it is no JSON, or not of messages, or of too many.
pub fn read(text: &str) -> Result<Vec<Message>, BadRequest> {
    let text = &*replace_halves(text);
    if !text.trim_start().starts_with('[') {
        return Ok(one(text)?.into_iter().collect());
    }
    let items: Vec<&RawValue> = serde_json::from_str(text)?;
    if items.len() > MOST {
        return Err(BadRequest);
    }
    items.into_iter().filter_map(|item| one(item.get()).transpose()).collect()
}

fn one(text: &str) -> Result<Option<Message>, BadRequest> {
    match text.trim() {
        "null" => Ok(None),
        // serde would read an array as the fields in their order.
        object if object.starts_with('{') => Ok(Some(serde_json::from_str(object)?)),
        _ => Err(BadRequest),
    }
}

/// What is published, as text that is shared from here on.
pub fn shared(data: &RawValue) -> ByteString {
    ByteString::from(data.get())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn null_is_data_and_nothing_is_not() {
        let data =
            |text: &str| read(text).unwrap().remove(0).data.map(|data| data.get().to_owned());
        assert_eq!(data(r#"{"data":null}"#).as_deref(), Some("null"));
        assert_eq!(
            data(r#"{"data": {"b":1.0,"a":18446744073709551616} }"#).as_deref(),
            Some(r#"{"b":1.0,"a":18446744073709551616}"#)
        );
        assert_eq!(data("{}"), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let many = format!("[{}null]", "null,".repeat(MOST));
        for bad in [
            "",
            "1",
            "\"s\"",
            "true",
            "{",
            "[1]",
            "[[]]",
            "[{}",
            "{}{}",
            r#"{"data":}"#,
            &many,
            &"[".repeat(100_000),
        ] {
            assert_eq!(read(bad).err(), Some(BadRequest), "{}", &bad[..bad.len().min(40)]);
        }
        assert!(read("null").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[\\[\\]{}\",:a1 nul]{0,40}") {
            let _ = read(&text);
        }
    }
}
