//! Commands, identifiers and frames of ActionCable.

use percent_encoding::percent_decode_str;
use primus_actioncable::protocol::{
    Command, Frame, History, Identifier, Said, Who, message, welcome,
};
use serde_json::{Map, Value, json};

use crate::heap;

/// What a command of nothing may take.
const BASE: usize = 4 << 10;
/// And more for a byte of it: two of them may be a value.
const EACH: usize = 1 << 10;

/// A command is what another reader of JSON finds, and the same when it has been written and read again. The name of
/// a channel says all that the identifier says; the client finds its identifier in every frame, to the byte.
pub fn actioncable(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let most = BASE + EACH * data.len();
    if let Ok(command) = heap::bounded(most, || Command::read(text)) {
        if let Ok(value) = serde_json::from_str(text) {
            is(&command, &value);
        }
        let written = written(&command).to_string();
        assert_eq!(Command::read(&written).as_ref(), Ok(&command), "{written}");
        if let Command::About(identifier, _) = &command {
            identified(identifier);
            framed(identifier);
        }
    }
    heap::bounded(most, || Identifier::read(text));
    identified(text);
    framed(text);
}

fn is(command: &Command, value: &Value) {
    let name = match command {
        Command::Ping => "ping",
        Command::Pong => "pong",
        Command::About(identifier, said) => {
            assert_eq!(value["identifier"], **identifier);
            match said {
                Said::Subscribe { .. } => "subscribe",
                Said::Unsubscribe => "unsubscribe",
                Said::Perform { action, data } => {
                    let text = value["data"].as_str().expect("a string");
                    let mut data = data.clone();
                    if let Some(action) = action {
                        data["action"] = Value::from(&**action);
                    }
                    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), data);
                    "message"
                }
                Said::History(_) => "history",
                Said::Whisper(data) => {
                    assert_eq!(value.get("data").unwrap_or(&Value::Null), data);
                    "whisper"
                }
                Said::Join(who) => {
                    assert_eq!(value["presence"]["id"], *who.id);
                    "join"
                }
                Said::Leave => "leave",
                Said::Presence => "presence",
            }
        }
    };
    assert_eq!(value["command"], name);
}

fn written(command: &Command) -> Value {
    let (identifier, said) = match command {
        Command::Ping => return json!({ "command": "ping" }),
        Command::Pong => return json!({ "command": "pong" }),
        Command::About(identifier, said) => (identifier, said),
    };
    let history = |history: &History| {
        let streams: Map<_, _> = history
            .streams
            .iter()
            .map(|(id, at)| (id.clone(), json!({ "epoch": at.epoch, "offset": at.offset })))
            .collect();
        json!({ "since": history.since, "streams": streams })
    };
    let who = |who: &Who| json!({ "id": who.id, "info": who.info });
    let (command, mut more) = match said {
        Said::Subscribe { history: missed, presence } => (
            "subscribe",
            json!({ "history": missed.as_ref().map(history), "presence": presence.as_ref().map(who) }),
        ),
        Said::Unsubscribe => ("unsubscribe", json!({})),
        Said::Perform { action, data } => {
            let mut data = data.clone();
            if let Some(action) = action {
                data["action"] = Value::from(&**action);
            }
            ("message", json!({ "data": data.to_string() }))
        }
        Said::History(missed) => ("history", json!({ "history": history(missed) })),
        Said::Whisper(data) => ("whisper", json!({ "data": data })),
        Said::Join(it) => ("join", json!({ "presence": who(it) })),
        Said::Leave => ("leave", json!({})),
        Said::Presence => ("presence", json!({})),
    };
    more["command"] = command.into();
    more["identifier"] = Value::from(&**identifier);
    more
}

/// From the name of its channel comes back what an identifier says.
fn identified(text: &str) {
    let Some(identifier) = Identifier::read(text) else { return };
    let (channel, query) = match identifier.name().split_once('?') {
        Some((channel, query)) => (channel, Some(query)),
        None => (identifier.name(), None),
    };
    let decode = |part: &str| percent_decode_str(part).decode_utf8().expect("text").into_owned();
    let params: Map<String, Value> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|param| {
            let (key, value) = param.split_once('=').expect("a value");
            let value = decode(value);
            (decode(key), serde_json::from_str(&value).unwrap_or_else(|_| Value::from(value)))
        })
        .collect();
    assert_eq!(&params, identifier.params(), "{}", identifier.name());

    let mut said = Value::Object(params.clone());
    said["channel"] = channel.into();
    assert_eq!(said, serde_json::from_str::<Value>(text).expect("JSON"));
    let members = params.iter().map(|(key, value)| format!(",{}:{value}", Value::from(&**key)));
    let usual: String = members.collect();
    let usual = format!("{{\"channel\":{}{usual}}}", Value::from(channel));
    assert_eq!(identifier.is_usual(), usual == text);
    let again = Identifier::read(&usual).expect("an identifier");
    assert_eq!((again.name(), again.is_usual()), (identifier.name(), true));
}

fn framed(identifier: &str) {
    let places = [None, Some((identifier, "epoch", u64::MAX))];
    let frames = places.map(|place| message(identifier, "[1]", place));
    let words = [Frame::Confirm, Frame::Reject].map(|word| word.about(identifier));
    for frame in frames.into_iter().chain(words) {
        assert!(!frame.contains('\n'), "{frame:?} is not one line");
        let value: Value = serde_json::from_str(&frame).expect("JSON");
        assert_eq!(value["identifier"], identifier);
        assert!(value.get("message").is_none_or(|message| *message == json!([1])));
        assert!(value.get("stream_id").is_none_or(|stream| stream == identifier));
    }
    let welcome = welcome(Some(identifier), Some(&[identifier.to_owned()]));
    let welcome: Value = serde_json::from_str(&welcome).expect("JSON");
    assert_eq!(
        (&welcome["sid"], &welcome["restored_ids"][0]),
        (&identifier.into(), &identifier.into())
    );
}
