//! Messages, channels, callbacks and replies of Bayeux.

use primus_bayeux::protocol::{
    callback::Callback,
    channel::{LONGEST, is_channel, is_meta, is_pattern, is_service, patterns},
    error::Code,
    message::{MOST, Message, read},
    reply::Reply,
};
use serde_json::Value;

use crate::heap;

/// What a body of nothing may take.
const BASE: usize = 4 << 10;
/// And more for a byte of it: three of them may be a message.
const EACH: usize = 1 << 10;

/// The messages of a body are those that another reader of JSON finds, field by field; and so is what they are
/// answered by. A channel fits the patterns that it says it fits, and no other.
pub fn bayeux(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let messages = heap::bounded(BASE + EACH * data.len(), || read(text));
    // What is published may be nested as deep as it likes, and is not read here.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        let good = all.len() <= MOST && all.iter().all(|one| one.is_object() || one.is_null());
        match &messages {
            Err(_) => assert!(!good || is_twice(text), "{text} was refused"),
            Ok(messages) => {
                assert!(good, "{text} was read as {messages:?}");
                let objects: Vec<&Value> = all.iter().filter(|one| !one.is_null()).collect();
                assert_eq!(messages.len(), objects.len());
                messages.iter().zip(objects).for_each(|(message, object)| is(message, object));
            }
        }
    }
    messages.iter().flatten().for_each(answered);
    channel(text);
    if let Some(callback) = Callback::read(text) {
        assert!(!text.contains(|it: char| !it.is_ascii_alphanumeric() && !"_$.".contains(it)));
        assert_eq!(callback.call("1"), format!("/**/{text}(1);"));
    }
    let quoted = Value::from(text).to_string();
    let script = Callback::default().call(&quoted);
    assert!(!script.contains(['\u{2028}', '\u{2029}', '\n']), "{script:?} has a line end");
    let inner = script.strip_prefix("/**/jsonpcallback(").and_then(|it| it.strip_suffix(");"));
    assert_eq!(serde_json::from_str::<Value>(inner.unwrap()).unwrap(), text);
}

/// A field that is there twice is refused, and there is no telling which is which.
fn is_twice(text: &str) -> bool {
    let names = text.matches("\"").count() / 2;
    names > 1 || text.contains("\\u")
}

fn is(message: &Message, object: &Value) {
    for (found, name) in [
        (&message.channel, "channel"),
        (&message.id, "id"),
        (&message.client_id, "clientId"),
        (&message.version, "version"),
        (&message.supported_connection_types, "supportedConnectionTypes"),
        (&message.connection_type, "connectionType"),
        (&message.subscription, "subscription"),
        (&message.advice, "advice"),
        (&message.ext, "ext"),
    ] {
        assert_eq!(found, object.get(name).unwrap_or(&Value::Null), "{name} of {object}");
    }
    let data = message.data.as_ref().map(|data| serde_json::from_str::<Value>(data.get()).unwrap());
    assert_eq!(data.as_ref(), object.get("data"));
}

/// The client is told what it said itself, and not all of that.
fn answered(message: &Message) {
    let about = message.channel.as_str().unwrap_or_default();
    let reply = Reply::to(message).fail(Code::Invalid.about(about)).to_json();
    assert!(!reply.contains('\n'), "{reply:?} is not one line");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(reply["successful"], false);
    for (said, name) in
        [(&message.id, "id"), (&message.client_id, "clientId"), (&message.channel, "channel")]
    {
        let nothing = matches!(said, Value::Null | Value::Bool(false))
            || said == ""
            || said.as_f64() == Some(0.0);
        assert_eq!(reply.get(name), (!nothing).then_some(said), "{name}");
    }
    let error = reply["error"].as_str().expect("an error");
    assert!(error.starts_with("405:") && error.ends_with(":Invalid channel"), "{error}");
    assert!(error.chars().count() <= 256 + "405::Invalid channel".len());
}

fn channel(name: &str) {
    assert!(!(is_channel(name) && is_pattern(name)));
    if is_channel(name) || is_pattern(name) {
        assert!(name.starts_with('/') && name.len() <= LONGEST && name.is_ascii());
    }
    let fits = patterns(name);
    let public = is_channel(name) && !is_meta(name) && !is_service(name);
    assert_eq!(public, !fits.is_empty());
    let segments: Vec<&str> = name.split('/').skip(1).collect();
    let mut expected = Vec::new();
    for many in 0..if public { segments.len() } else { 0 } {
        let parent: String = segments[..many].iter().map(|one| format!("/{one}")).collect();
        expected.push(format!("{parent}/**"));
        if many + 1 == segments.len() {
            expected.push(format!("{parent}/*"));
        }
    }
    expected.sort_unstable();
    let mut fits = fits;
    fits.sort_unstable();
    assert_eq!(fits, expected);
}
