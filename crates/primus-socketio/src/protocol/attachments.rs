//! Bytes in what the parser has written as JSON: they travel as attachments, behind a text that says where they belong.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Value, packet::MOST_ATTACHMENTS};

/// Takes the bytes out of a JSON text, where they are arrays of numbers behind a mark.
///
/// Not where something looks like an attachment already: there is no other way to write that, and a receiver who
/// finds it beside attachments takes it for one, or gives up where there is none of its number. Numbers harm nobody.
pub(super) fn lift(text: ByteString) -> (ByteString, Vec<Bytes>) {
    let mut attachments: Vec<Bytes> = Vec::new();
    if !text.contains("[\t") || has_placeholder(&text) {
        return (text, attachments);
    }
    let (mut lifted, mut rest) = (String::with_capacity(text.len()), &*text);
    while let Some(at) = rest.find("[\t") {
        let (before, behind) = (&rest[..at], &rest[at + 2..]);
        lifted.push_str(before);
        // No further than numbers go, so that marks within marks cost no more than their length.
        let end = behind.find(|it: char| !it.is_ascii_digit() && it != ',');
        let numbers = end.map(|end| behind.split_at(end));
        let found = numbers
            .and_then(|(numbers, behind)| Some((bytes(numbers)?, behind.strip_prefix(']')?)));
        match found {
            Some((bytes, behind)) if attachments.len() < MOST_ATTACHMENTS => {
                lifted
                    .push_str(&format!("{{\"_placeholder\":true,\"num\":{}}}", attachments.len()));
                attachments.push(bytes);
                rest = behind;
            }
            // Not our mark, or more than a client takes: then they are numbers to it.
            _ => {
                lifted.push('[');
                rest = behind;
            }
        }
    }
    lifted.push_str(rest);
    (lifted.into(), attachments)
}

/// Whether a JSON text has what stands for an attachment in a packet; or may have, where it cannot be read.
fn has_placeholder(json: &str) -> bool {
    // Characters of its name may be escaped: from 5F to 72.
    let may = ["_placeholder", "\\u005", "\\u006", "\\u007"].iter().any(|it| json.contains(it));
    may && serde_json::from_str(json).map_or(true, |value| is_placeholder(&value))
}

fn is_placeholder(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(is_placeholder),
        Value::Object(members) => members.iter().any(|(name, value)| {
            // Older clients ask whether JavaScript takes it for true.
            let is = name == "_placeholder" && !matches!(value, Value::Null | Value::Bool(false));
            is || is_placeholder(value)
        }),
        _ => false,
    }
}

fn bytes(numbers: &str) -> Option<Bytes> {
    if numbers.is_empty() {
        return Some(Bytes::new());
    }
    numbers
        .split(',')
        .map(|number| number.parse::<u8>().ok())
        .collect::<Option<Vec<u8>>>()
        .map(Bytes::from)
}
