//! The packets of `primus-emitter` 3: events and acks.

use std::borrow::Cow;

use crate::{Payload, is_event_name};
use bytestring::ByteString;
use serde_json::Value;

use super::walk::{Walk, is_json};

/// Acks answer numbers of ours, which go up to here.
const LARGEST_ACK: u64 = 1 << 53;
/// Bits of the number of a client's request, which shares 52 with the place that asks.
pub(super) const ID_BITS: u32 = 40;
pub(super) const LARGEST_ID: u64 = (1 << ID_BITS) - 1;

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Event { name: String, args: Payload },
    Request { id: u64, name: String, args: Payload },
    Ack { id: u64, value: Payload },
}

/// What a client said. `None`: it is no packet, but data.
pub(super) fn read(text: &ByteString) -> Option<Said> {
    let mut walk = Walk::new(text);
    walk.eat('{')?;
    let (mut kind, mut data, mut id) = (None, None, None);
    loop {
        let member = match walk.string()?.as_str() {
            "type" => &mut kind,
            "data" => &mut data,
            "id" => &mut id,
            _ => return None,
        };
        walk.eat(':')?;
        if member.replace(walk.value()?).is_some() {
            return None;
        }
        if walk.eat(',').is_none() {
            break;
        }
    }
    walk.eat('}')?;
    walk.end()?;
    let mut items = Walk::new(data?);
    items.eat('[')?;
    match (kind?, id) {
        ("0", id) => {
            let name = items.string().filter(|name| is_event_name(name))?;
            let args = if items.eat(',').is_some() { rest(text, items)? } else { null() };
            Some(match id {
                None => Said::Event { name, args },
                Some(id) => Said::Request { id: number(id, LARGEST_ID)?, name, args },
            })
        }
        ("1", Some(id)) => {
            let empty = items.eat(']').is_some();
            let value = if empty { null() } else { rest(text, items)? };
            Some(Said::Ack { id: number(id, LARGEST_ACK)?, value })
        }
        _ => None,
    }
}

fn null() -> Payload {
    Payload::from("null")
}

/// What is left of an array: its only item, or the array of them.
fn rest(text: &ByteString, mut items: Walk<'_>) -> Option<Payload> {
    let first = items.value()?;
    let mut last = None;
    while items.eat(',').is_some() {
        last = Some(items.value()?);
    }
    Some(match last {
        None => Payload::Text(text.slice_ref(first)),
        Some(last) => {
            // Both are parts of the text, and what is between them too.
            let begin = first.as_ptr() as usize - text.as_ptr() as usize;
            let end = last.as_ptr() as usize - text.as_ptr() as usize + last.len();
            format!("[{}]", text.get(begin..end)?).into()
        }
    })
}

/// One way to write a number: digits, without a sign or leading zeros.
fn number(text: &str, largest: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| digits && *number <= largest)
}

/// A payload as a JSON text. `None`: it is bytes, which JSON has no place for.
pub(super) fn json(payload: Payload) -> Option<ByteString> {
    match payload {
        Payload::Text(text) if is_json(&text) => Some(text),
        Payload::Text(text) => Some(Value::from(&*text).to_string().into()),
        Payload::Binary(_) => None,
    }
}

/// An event, or with an id a request.
pub(super) fn event(name: &str, args: &str, id: Option<u64>) -> String {
    let name = Value::from(name);
    let id: Cow<'_, str> = id.map_or("".into(), |id| format!(",\"id\":{id}").into());
    format!("{{\"type\":0,\"data\":[{name},{args}]{id}}}")
}

/// The answer to a request.
pub(super) fn ack(id: u64, value: &str) -> String {
    format!("{{\"type\":1,\"data\":[{value}],\"id\":{id}}}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, args: &str) -> Option<Said> {
        Some(Said::Event { name: name.to_owned(), args: args.into() })
    }

    fn request(id: u64, name: &str, args: &str) -> Option<Said> {
        Some(Said::Request { id, name: name.to_owned(), args: args.into() })
    }

    fn ack(id: u64, value: &str) -> Option<Said> {
        Some(Said::Ack { id, value: value.into() })
    }

    #[test]
    fn packets_of_the_emitter() {
        for (text, expected) in [
            (r#"{"type":0,"data":["hi"]}"#, event("hi", "null")),
            (r#"{"type":0,"data":["hi",{"a":[1]}]}"#, event("hi", r#"{"a":[1]}"#)),
            (r#"{"type":0,"data":["hi",1,"two"]}"#, event("hi", r#"[1,"two"]"#)),
            (r#"{"type":0,"data":["hi",[1],null]}"#, event("hi", "[[1],null]")),
            (r#"{"type":0,"data":["\u00e9 ☃",1],"id":7}"#, request(7, "é ☃", "1")),
            (r#"{"id":1099511627775,"type":0,"data":["x"]}"#, request(LARGEST_ID, "x", "null")),
            (" { \"data\" : [ \"x\" , 1 , 2 ] , \"type\" : 0 } ", event("x", "[1 , 2]")),
            (r#"{"id":3,"type":1,"data":[]}"#, ack(3, "null")),
            (r#"{"type":1,"id":3,"data":["ok"]}"#, ack(3, r#""ok""#)),
            (r#"{"type":1,"id":9007199254740992,"data":[1,[2]]}"#, ack(1 << 53, "[1,[2]]")),
        ] {
            assert_eq!(read(&text.into()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_packet_of_the_emitter_is_data() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "null",
            r#"{"type":0}"#,
            r#"{"data":["x"]}"#,
            r#"{"type":0,"data":[]}"#,
            r#"{"type":0,"data":{}}"#,
            r#"{"type":0,"data":"x"}"#,
            r#"{"type":0,"data":[1]}"#,
            r#"{"type":0,"data":[""]}"#,
            r#"{"type":0,"data":["a\nb"]}"#,
            r#"{"type":0,"data":["error"]}"#,
            r#"{"type":0,"data":["primus.end"]}"#,
            r#"{"type":0,"data":["incoming::open"]}"#,
            r#"{"type":0,"data":["x"],"more":1}"#,
            r#"{"type":0,"type":0,"data":["x"]}"#,
            r#"{"type":2,"data":["x"]}"#,
            r#"{"type":"0","data":["x"]}"#,
            r#"{"type":0.0,"data":["x"]}"#,
            r#"{"type":0,"data":["x"],"id":0}"#,
            r#"{"type":0,"data":["x"],"id":null}"#,
            r#"{"type":0,"data":["x"],"id":-1}"#,
            r#"{"type":0,"data":["x"],"id":1.5}"#,
            r#"{"type":0,"data":["x"],"id":1e3}"#,
            r#"{"type":0,"data":["x"],"id":"1"}"#,
            r#"{"type":0,"data":["x"],"id":1099511627776}"#,
            r#"{"type":1,"data":["x"]}"#,
            r#"{"type":1,"data":["x"],"id":9007199254740993}"#,
            r#"{"type":1,"data":["x"],"id":99999999999999999999}"#,
            r#"{"type":0,"data":["x"]} 1"#,
            r#"{"type":0,"data":["x"],}"#,
            r#"{"type":0,"data":["x",]}"#,
            r#"{"type":0,"data":["x" 1]}"#,
            r#"{"type":0,"data":["x"]"#,
        ] {
            assert_eq!(read(&text.into()), None, "{text}");
        }
        assert_eq!(read(&format!(r#"{{"type":0,"data":["{}"]}}"#, "x".repeat(257)).into()), None);
    }

    #[test]
    fn deep_arguments_do_no_harm() {
        let deep = format!(r#"{{"type":0,"data":["x",{}"#, "[".repeat(100_000));
        assert_eq!(read(&deep.into()), None);
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        let deep = format!(r#"{{"type":0,"data":["x",{open}{close}]}}"#);
        assert!(matches!(read(&deep.into()), Some(Said::Event { .. })));
    }

    #[test]
    fn what_is_sent() {
        let sent = |text: &str| json(text.into()).unwrap().to_string();
        assert_eq!(sent("[1]"), "[1]");
        assert_eq!(sent("no json"), "\"no json\"");
        assert_eq!(json(Payload::from(vec![1])), None);
        assert_eq!(super::event("a\"b", "[1]", None), r#"{"type":0,"data":["a\"b",[1]]}"#);
        assert_eq!(super::event("x", "null", Some(7)), r#"{"type":0,"data":["x",null],"id":7}"#);
        assert_eq!(super::ack(7, "1"), r#"{"type":1,"data":[1],"id":7}"#);
    }

    proptest! {
        #[test]
        fn the_emitter_reader_is_total(text in "\\PC*") {
            let _ = read(&text.into());
        }

        #[test]
        fn the_emitter_reader_is_total_on_what_is_nearly_a_packet(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "0", "1", "\"type\"", "\"data\"", "\"id\"", "\"x\"",
                    "\"\\", "\"☃\"", " ", "null", "1e400", "{\"type\":0,\"data\":[\"x\"",
                ]),
                0..24,
            )
        ) {
            let _ = read(&parts.concat().into());
        }

        #[test]
        fn what_is_written_is_read(name in "[a-z ☃\"\\\\]{2,20}", id in 1..=LARGEST_ID, args in "[0-9]{1,9}") {
            prop_assume!(is_event_name(&name));
            let args = args.trim_start_matches('0');
            let args = if args.is_empty() { "0" } else { args };
            let read_back = read(&super::event(&name, args, Some(id)).into());
            prop_assert_eq!(read_back, request(id, &name, args));
            prop_assert_eq!(read(&super::ack(id, args).into()), ack(id, args));
        }
    }
}
