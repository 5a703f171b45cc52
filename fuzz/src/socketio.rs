//! Packets of Socket.IO: texts with their attachments, and whole ones of MessagePack.

use bytes::Bytes;
use primus_core::{Envelope, Payload, parser::Json};
use primus_socketio::protocol::{
    Arguments, Encoded, Packet, PacketError, Reader, Said, Value, Version, Writing,
};

use crate::heap;

/// Bytes of a packet with its attachments.
const LONGEST: usize = 1000;
/// What a packet of nothing may take.
const BASE: usize = 4 << 10;
/// And more for a byte of it: two of them may be a value.
const EACH: usize = 1 << 10;

/// The first byte of `data` is the protocol, `5` or `4`, or `m` for MessagePack. Then come messages with a zero
/// byte between any two, each `t` and a text, or `b` and bytes; of MessagePack there is one, which is all the rest.
/// What a text says is what another reader of JSON finds in it; and what is read is the same when it has been
/// written for another client, in each form, and read again.
pub fn socketio(data: &[u8]) {
    let Some((protocol, rest)) = data.split_first() else { return };
    let version = if *protocol == b'4' { Version::Four } else { Version::Five };
    let mut reader = Reader::new(version, LONGEST);
    if *protocol == b'm' {
        let bytes = Bytes::copy_from_slice(rest);
        let packet = heap::bounded(BASE + EACH * data.len(), || reader.whole(&bytes));
        packet.iter().for_each(survives);
        return;
    }
    for message in rest.split(|byte| *byte == 0) {
        let read = heap::bounded(BASE + EACH * data.len(), || read(&mut reader, message));
        if let Some((b't', text)) = message.split_first().map(|(kind, text)| (*kind, text))
            && let Ok(text) = std::str::from_utf8(text)
            && !matches!(read, Err(PacketError("a text where an attachment is due")))
        {
            agrees(text, version, &read);
        }
        match read {
            Ok(packet) => {
                assert_eq!(packet.is_none(), reader.is_waiting());
                packet.iter().for_each(survives);
            }
            Err(_) => return, // the connection is closed
        }
    }
}

fn read(reader: &mut Reader, message: &[u8]) -> Result<Option<Packet>, PacketError> {
    match message {
        [b't', text @ ..] => match std::str::from_utf8(text) {
            Ok(text) => reader.text(text.into()),
            Err(_) => Err(PacketError("the WebSocket has seen to that")),
        },
        [b'b', bytes @ ..] => reader.binary(Bytes::copy_from_slice(bytes)),
        _ => Err(PacketError("no message")),
    }
}

/// Names that a client may not emit.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Where another reader finds an event or an answer, so does ours, and the same.
fn agrees(text: &str, version: Version, read: &Result<Option<Packet>, PacketError>) {
    let (kind @ ("2" | "3"), rest) = text.split_at_checked(1).unwrap_or_default() else { return };
    let (namespace, rest) = match rest.strip_prefix('/') {
        Some(_) => rest.split_once(',').unwrap_or((rest, "")),
        None => ("/", rest),
    };
    let json = rest.trim_start_matches(|it: char| it.is_ascii_digit());
    let id = rest[..rest.len() - json.len()].parse().ok();
    let Ok(mut values) = serde_json::from_str::<Vec<Value>>(json) else { return };
    let name = match (kind, values.first()) {
        ("3", _) => None,
        (_, Some(Value::Text(name))) if !RESERVED.contains(&&**name) => Some(name.clone()),
        (_, Some(Value::Number(_))) => None, // the name is as it was written
        _ => return assert!(read.is_err(), "{text} was read as {read:?}"),
    };
    let Ok(Some(packet)) = read else { panic!("{text}: {read:?}") };
    match version {
        Version::Five => assert_eq!(packet.namespace, namespace),
        Version::Four => {
            let (path, query) = namespace.split_once('?').unzip();
            assert_eq!(&*packet.namespace, path.unwrap_or(namespace));
            assert_eq!(packet.query.as_deref(), query);
        }
    }
    let (found, args) = match &packet.said {
        Said::Event { id, name: found, args } => {
            values.remove(0);
            assert!(name.is_none_or(|name| name == *found), "{found} is not the name");
            (id, args)
        }
        Said::Ack { id, args } => (id, args),
        other => panic!("{text} was read as {other:?}"),
    };
    assert_eq!((*found, kind == "3"), (id, matches!(packet.said, Said::Ack { .. })));
    assert_eq!(arguments(args), Some(values));
}

/// The values; `None` if JSON has one that is too large a number.
fn arguments(args: &Arguments) -> Option<Vec<Value>> {
    match args {
        Arguments::None => Some(Vec::new()),
        Arguments::One(json) => serde_json::from_str(json).ok().map(|value| vec![value]),
        Arguments::Several(json) => serde_json::from_str(&format!("[{json}]")).ok(),
        Arguments::Values(values) => Some(values.clone()),
    }
}

fn survives(packet: &Packet) {
    let (name, args) = match &packet.said {
        Said::Connect(auth) => {
            let object = |json: &str| json.trim_start().starts_with('{');
            return assert!(auth.as_deref().is_none_or(object), "{auth:?} is no object");
        }
        Said::Disconnect => return,
        Said::Event { name, args, .. } => (Some(name), args),
        Said::Ack { args, .. } => (None, args),
    };
    let payload = args.encode(&Json).expect("JSON has a form for everything that a client says");
    let Some(mut values) = arguments(args) else { return };
    if name.is_some()
        && let [Value::Null] = values[..]
    {
        values.clear(); // an event with a null and one without an argument are the same to Primus
    }
    let ambiguous = match args {
        // White space of the client's that is our mark of bytes.
        Arguments::One(json) | Arguments::Several(json) if json.contains("[\t") => true,
        // An array of numbers stands for what is more than a client takes.
        _ => attachments(&values).is_none_or(|count| count > 10),
    };
    for (version, msgpack) in
        [(Version::Five, false), (Version::Four, false), (Version::Five, true)]
    {
        let writing = Writing { version, msgpack };
        let written = match name {
            Some(name) => match Envelope::event(None, name, &payload) {
                Ok(event) => writing.message(&event, &Json, None),
                Err(_) => return, // which no application hears
            },
            None => writing.ack("/", 7, &Envelope::reply(7, &payload), &Json),
        };
        let written = written.expect("what was read can be written");
        let again = if msgpack { whole(&written) } else { together(version, &written) };
        let args = match (name, again.said) {
            (Some(name), Said::Event { id: None, name: again, args }) if *name == again => args,
            (None, Said::Ack { id: Some(7), args }) => args,
            (_, other) => panic!("{packet:?} has become {other:?}"),
        };
        let again = arguments(&args).expect("its numbers are such");
        assert!(ambiguous || same(&again, &values), "{values:?} has become {again:?}");
    }
}

fn whole(written: &Encoded) -> Packet {
    let [Payload::Binary(bytes)] = &written[..] else { panic!("{written:?} is not one message") };
    Reader::new(Version::Five, LONGEST).whole(bytes).expect("a packet of ours")
}

fn together(version: Version, written: &Encoded) -> Packet {
    let mut reader = Reader::new(version, usize::MAX);
    let mut packet = None;
    for message in written {
        assert!(packet.is_none(), "{written:?} goes on behind its end");
        packet = match message {
            Payload::Text(text) => reader.text(text.clone()),
            Payload::Binary(bytes) => reader.binary(bytes.clone()),
        }
        .expect("a packet of ours");
    }
    packet.expect("a whole packet")
}

/// How many there are; `None` if something looks like one and is none.
fn attachments(values: &[Value]) -> Option<usize> {
    let count = |value: &Value| match value {
        Value::Bytes(_) => Some(1),
        Value::Array(values) => attachments(values),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match &**name {
                "_placeholder" => None,
                _ => attachments(std::slice::from_ref(value)),
            })
            .sum(),
        _ => Some(0),
    };
    values.iter().map(count).sum()
}

/// But for the last bit of a number, which serde_json does not promise.
fn same(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Value::Array(a), Value::Array(b)) => same(a, b),
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|((name, a), (other, b))| {
                        name == other && same(std::slice::from_ref(a), std::slice::from_ref(b))
                    })
            }
            (Value::Number(a), Value::Number(b)) => near(a, b),
            (a, b) => a == b,
        })
}

fn near(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return false };
    a == b || (a - b).abs() <= a.abs() * 1e-15 + f64::MIN_POSITIVE
}
