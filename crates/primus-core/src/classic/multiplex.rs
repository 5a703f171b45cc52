//! The packets of `primus-multiplex` 3: messages, subscriptions and their ends, each with the id of
//! the subscription and the name of the channel.

use crate::Payload;
use bytestring::ByteString;
use serde_json::Value;

use super::walk::Walk;

/// The longest id of a subscription, in bytes.
const LONGEST_ID: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Subscribe,
    Unsubscribe,
}

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) payload: Option<ByteString>,
}

/// What a client said. `None`: it is no packet, but data.
pub(super) fn read(text: &ByteString) -> Option<Packet> {
    let mut walk = Walk::new(text);
    walk.eat('[')?;
    let kind = [('0', Kind::Message), ('1', Kind::Subscribe), ('2', Kind::Unsubscribe)]
        .into_iter()
        .find_map(|(digit, kind)| walk.eat(digit).map(|()| kind))?;
    walk.eat(',')?;
    let id = walk.string().filter(|id| (1..=LONGEST_ID).contains(&id.len()))?;
    walk.eat(',')?;
    let channel = walk.string()?;
    let payload = match walk.eat(',') {
        Some(()) => Some(text.slice_ref(walk.value()?)),
        None => None,
    };
    walk.eat(']')?;
    walk.end()?;
    Some(Packet { kind, id, channel, payload })
}

pub(super) fn write(kind: u8, id: &str, channel: &str, payload: Option<&str>) -> Payload {
    let (id, channel) = (Value::from(id), Value::from(channel));
    match payload {
        None => format!("[{kind},{id},{channel}]").into(),
        Some(payload) => format!("[{kind},{id},{channel},{payload}]").into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_of_the_multiplexer() {
        let packet = |kind, id: &str, channel: &str, payload: Option<&str>| {
            let payload = payload.map(ByteString::from);
            Some(Packet { kind, id: id.into(), channel: channel.into(), payload })
        };
        for (text, expected) in [
            (r#"[1,"a","news"]"#, packet(Kind::Subscribe, "a", "news", None)),
            (r#"[2,"a","news"]"#, packet(Kind::Unsubscribe, "a", "news", None)),
            (r#"[0,"a","news"]"#, packet(Kind::Message, "a", "news", None)),
            (
                r#"[0,"a","news",{"x":[1]}]"#,
                packet(Kind::Message, "a", "news", Some(r#"{"x":[1]}"#)),
            ),
            (" [ 0 , \"\\u00e9\" , \"☃\" , 1 ] ", packet(Kind::Message, "é", "☃", Some("1"))),
        ] {
            assert_eq!(read(&text.into()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_packet_of_the_multiplexer_is_data() {
        for text in [
            "",
            "[",
            "[]",
            "[1]",
            r#"[1,"a"]"#,
            r#"[1,"a",""#,
            r#"[1,"a","b",2,3]"#,
            r#"[1,"a","b",]"#,
            r#"[1,"a","b"] 1"#,
            r#"[3,"a","b"]"#,
            r#"[10,"a","b"]"#,
            r#"[0.0,"a","b"]"#,
            r#"[-0,"a","b"]"#,
            r#"["0","a","b"]"#,
            r#"[0,1,"b"]"#,
            r#"[0,"","b"]"#,
            r#"[0,"a",null]"#,
            r#"[0,"a",["b"]]"#,
            r#"[0,"a","b",nonsense]"#,
            r#"{"0":0}"#,
        ] {
            assert_eq!(read(&text.into()), None, "{text}");
        }
        assert_eq!(read(&format!(r#"[0,"{}","b"]"#, "a".repeat(65)).into()), None);
    }

    proptest! {
        #[test]
        fn the_multiplex_reader_is_total(text in "\\PC*") {
            let _ = read(&text.into());
        }
    }
}
