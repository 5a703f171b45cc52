//! What clients say.

use std::collections::HashMap;

use primus_core::parser::replace_halves;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// A command of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// About one subscription, by its identifier.
    About(String, Said),
    /// It answers a ping.
    Pong,
    /// It asks whether the server is there.
    Ping,
}

/// What a client says about a subscription.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It wants it.
    Subscribe {
        /// And what it has missed.
        history: Option<History>,
        /// And to be seen there.
        presence: Option<Who>,
    },
    /// It does not want it any more.
    Unsubscribe,
    /// It calls an action.
    Perform {
        /// Which; `None`: it just says something.
        action: Option<String>,
        /// The rest of what it says.
        data: Value,
    },
    /// It wants what it has missed.
    History(History),
    /// It says something to all others.
    Whisper(Value),
    /// It wants to be seen.
    Join(Who),
    /// It does not want to be seen any more.
    Leave,
    /// It wants to know who is there.
    Presence,
}

/// What a client has of the streams of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct History {
    /// Of streams that it names no place in: it wants what was said since then, in Unix seconds.
    pub since: Option<u64>,
    /// Its places, by the ids of the streams.
    pub streams: HashMap<String, Place>,
}

/// A place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// Names the history of the stream.
    pub epoch: String,
    /// The number of the last message.
    pub offset: u64,
}

/// Who a client says it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Who {
    /// Its id.
    pub id: String,
    /// What others may know.
    #[serde(default)]
    pub info: Value,
}

/// This is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError(pub String);

#[derive(Deserialize)]
struct Raw {
    command: String,
    identifier: Option<String>,
    data: Option<Value>,
    history: Option<History>,
    presence: Option<Who>,
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
}

impl Command {
    /// Reads a command. Half of a surrogate pair is U+FFFD.
    ///
    /// # Errors
    /// What is wrong with it.
    ///
    /// ```
    /// use primus_actioncable::protocol::{Command, Said};
    /// let said = Command::read(r#"{"command":"unsubscribe","identifier":"{}"}"#);
    /// assert_eq!(said, Ok(Command::About("{}".to_owned(), Said::Unsubscribe)));
    /// ```
    pub fn read(text: &str) -> Result<Self, CommandError> {
        let text = &*replace_halves(text);
        // serde would read an array as the members in their order.
        if !text.trim_start().starts_with('{') {
            return Err(CommandError("a command is a JSON object".to_owned()));
        }
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| CommandError(error.to_string()))?;
        let said = match &*raw.command {
            "pong" => return Ok(Self::Pong),
            "ping" => return Ok(Self::Ping),
            "subscribe" => Said::Subscribe { history: raw.history, presence: raw.presence },
            "unsubscribe" => Said::Unsubscribe,
            "message" => perform(raw.data)?,
            "history" => Said::History(raw.history.unwrap_or_default()),
            "whisper" => Said::Whisper(raw.data.unwrap_or_default()),
            "join" => Said::Join(raw.presence.ok_or_else(|| lacks("join", "presence"))?),
            "leave" => Said::Leave,
            "presence" => Said::Presence,
            other => {
                let other: String = other.chars().take(32).collect();
                return Err(CommandError(format!("there is no command {other:?}")));
            }
        };
        let identifier = raw.identifier.ok_or_else(|| lacks(&raw.command, "identifier"))?;
        Ok(Self::About(identifier, said))
    }
}

fn lacks(command: &str, member: &str) -> CommandError {
    CommandError(format!("the command {command} needs a member {member:?}"))
}

fn perform(data: Option<Value>) -> Result<Said, CommandError> {
    let Some(Value::String(data)) = data else {
        return Err(CommandError("the data of a message is a string with JSON in it".to_owned()));
    };
    let mut data: Value = serde_json::from_str(&replace_halves(&data))
        .map_err(|error| CommandError(format!("the data of a message is no JSON: {error}")))?;
    let action = match &mut data {
        Value::Object(members) if members.get("action").is_some_and(Value::is_string) => {
            members.remove("action")
        }
        _ => None,
    };
    let action = action.and_then(|action| action.as_str().map(str::to_owned));
    Ok(Said::Perform { action, data })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn about(text: &str) -> Said {
        match Command::read(text) {
            Ok(Command::About(identifier, said)) if identifier == "i" => said,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_are_read() {
        let plain = Said::Subscribe { history: None, presence: None };
        assert_eq!(about(r#"{"command":"subscribe","identifier":"i"}"#), plain);
        assert_eq!(about(r#"{"identifier":"i","command":"unsubscribe","x":1}"#), Said::Unsubscribe);
        let said = about(
            r#"{"command":"message","identifier":"i","data":"{\"a\":1,\"action\":\"speak\"}"}"#,
        );
        assert_eq!(
            said,
            Said::Perform { action: Some("speak".to_owned()), data: json!({ "a": 1 }) }
        );
        let said = about(r#"{"command":"message","identifier":"i","data":"[1]"}"#);
        assert_eq!(said, Said::Perform { action: None, data: json!([1]) });
        let said = about(
            r#"{"command":"history","identifier":"i","history":{"since":7,"streams":{"s":{"epoch":"e","offset":3}}}}"#,
        );
        let streams = [("s".to_owned(), Place { epoch: "e".to_owned(), offset: 3 })].into();
        assert_eq!(said, Said::History(History { since: Some(7), streams }));
        let said =
            about(r#"{"command":"join","identifier":"i","presence":{"id":"1","info":{"n":2}}}"#);
        assert_eq!(said, Said::Join(Who { id: "1".to_owned(), info: json!({ "n": 2 }) }));
        assert_eq!(
            about(r#"{"command":"whisper","identifier":"i","data":[1]}"#),
            Said::Whisper(json!([1]))
        );
        assert_eq!(Command::read(r#"{"command":"pong"}"#), Ok(Command::Pong));
    }

    #[test]
    fn what_is_no_command_is_an_error_that_says_why() {
        for (text, error) in [
            ("", "a command is a JSON object"),
            ("null", "a command is a JSON object"),
            (r#"["subscribe","i"]"#, "a command is a JSON object"),
            ("{}", "missing field `command`"),
            (r#"{"command":"explode","identifier":"i"}"#, "there is no command \"explode\""),
            (r#"{"command":"subscribe"}"#, "the command subscribe needs a member \"identifier\""),
            (r#"{"command":"subscribe","identifier":{"channel":"A"}}"#, "invalid type: map"),
            (r#"{"command":"message","identifier":"i"}"#, "the data of a message is a string"),
            (
                r#"{"command":"message","identifier":"i","data":{}}"#,
                "the data of a message is a string",
            ),
            (
                r#"{"command":"message","identifier":"i","data":"{"}"#,
                "the data of a message is no JSON",
            ),
            (
                r#"{"command":"join","identifier":"i"}"#,
                "the command join needs a member \"presence\"",
            ),
        ] {
            let said = Command::read(text).unwrap_err().0;
            assert!(said.starts_with(error), "{text}: {said}");
        }
        let deep =
            format!(r#"{{"command":"whisper","identifier":"i","data":{}"#, "[".repeat(100_000));
        assert!(Command::read(&deep).is_err());
    }

    proptest! {
        #[test]
        fn reading_a_command_is_total(text in "\\PC*", data in "\\PC*") {
            let _ = Command::read(&text);
            let _ = Command::read(&json!({ "command": "message", "identifier": text, "data": data }).to_string());
        }
    }
}
