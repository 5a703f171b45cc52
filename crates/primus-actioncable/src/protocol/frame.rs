//! What the server says.

use primus_core::CloseReason;
use serde_json::{Value, json};

/// A word about one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// It is there.
    Confirm,
    /// It is not there, or not any more.
    Reject,
    /// What was missed has been sent.
    ConfirmHistory,
    /// What was missed cannot be had.
    RejectHistory,
}

impl Frame {
    /// As it is sent.
    ///
    /// ```
    /// use primus_actioncable::protocol::Frame;
    /// assert_eq!(Frame::Confirm.about("x"), r#"{"identifier":"x","type":"confirm_subscription"}"#);
    /// ```
    pub fn about(self, identifier: &str) -> String {
        let kind = match self {
            Self::Confirm => "confirm_subscription",
            Self::Reject => "reject_subscription",
            Self::ConfirmHistory => "confirm_history",
            Self::RejectHistory => "reject_history",
        };
        format!("{{\"identifier\":{},\"type\":\"{kind}\"}}", Value::from(identifier))
    }
}

/// The first word. `sid`: by which an AnyCable client may come back; `restored`: it has, with these subscriptions.
pub fn welcome(sid: Option<&str>, restored: Option<&[String]>) -> String {
    let mut welcome = "{\"type\":\"welcome\"".to_owned();
    if let Some(sid) = sid {
        welcome.push_str(&format!(",\"sid\":{}", Value::from(sid)));
    }
    if let Some(ids) = restored {
        welcome.push_str(&format!(",\"restored\":true,\"restored_ids\":{}", json!(ids)));
    }
    welcome.push('}');
    welcome
}

/// A sign of life, with the time in Unix seconds.
pub fn ping(now: u64) -> String {
    format!("{{\"type\":\"ping\",\"message\":{now}}}")
}

/// A message of a subscription: `json` is a value. `stream`: where it stands in a history, as id of the stream, epoch and
/// offset.
pub fn message(identifier: &str, json: &str, stream: Option<(&str, &str, u64)>) -> String {
    let mut frame = format!("{{\"identifier\":{},\"message\":{json}", Value::from(identifier));
    if let Some((stream, epoch, offset)) = stream {
        frame.push_str(&format!(
            ",\"stream_id\":{},\"epoch\":{},\"offset\":{offset}",
            Value::from(stream),
            Value::from(epoch),
        ));
    }
    frame.push('}');
    frame
}

/// The last word.
///
/// ```
/// use primus_actioncable::protocol::disconnect;
/// use primus_core::CloseReason;
/// let restart = r#"{"type":"disconnect","reason":"server_restart","reconnect":true}"#;
/// assert_eq!(disconnect(&CloseReason::RESTART), restart);
/// ```
pub fn disconnect(reason: &CloseReason) -> String {
    let (word, reconnect) = match reason.code() {
        4401 | 4403 => ("unauthorized", false),
        4002 | 4003 | 4503 => ("server_restart", reason.reconnects()),
        4004 => ("no_pong", true),
        4005 => ("too_slow", true),
        _ if reason.blames_peer() => ("invalid_request", false),
        _ => ("remote", reason.reconnects()),
    };
    format!("{{\"type\":\"disconnect\",\"reason\":\"{word}\",\"reconnect\":{reconnect}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_to_the_byte() {
        assert_eq!(welcome(None, None), r#"{"type":"welcome"}"#);
        assert_eq!(welcome(Some("s"), None), r#"{"type":"welcome","sid":"s"}"#);
        let restored = welcome(Some("s"), Some(&["{\"channel\":\"A\"}".to_owned()]));
        assert_eq!(
            restored,
            r#"{"type":"welcome","sid":"s","restored":true,"restored_ids":["{\"channel\":\"A\"}"]}"#,
        );
        assert_eq!(ping(1_795_176_138), r#"{"type":"ping","message":1795176138}"#);
        assert_eq!(message("\"", "[1]", None), r#"{"identifier":"\"","message":[1]}"#);
        assert_eq!(
            message("i", "1", Some(("s", "e", 7))),
            r#"{"identifier":"i","message":1,"stream_id":"s","epoch":"e","offset":7}"#,
        );
        assert_eq!(Frame::Reject.about("i"), r#"{"identifier":"i","type":"reject_subscription"}"#);
        assert_eq!(
            Frame::ConfirmHistory.about("i"),
            r#"{"identifier":"i","type":"confirm_history"}"#
        );
        assert_eq!(
            Frame::RejectHistory.about("i"),
            r#"{"identifier":"i","type":"reject_history"}"#
        );
    }

    #[test]
    fn every_end_has_a_word() {
        for (reason, word, reconnect) in [
            (CloseReason::ENDED, "remote", false),
            (CloseReason::RECONNECT, "remote", true),
            (CloseReason::RESTART, "server_restart", true),
            (CloseReason::SERVER_ENDED, "server_restart", false),
            (CloseReason::HEARTBEAT, "no_pong", true),
            (CloseReason::TOO_SLOW, "too_slow", true),
            (CloseReason::BAD_CONTROL, "invalid_request", false),
            (CloseReason::TOO_BIG, "invalid_request", false),
            (CloseReason::from_code(4401, ""), "unauthorized", false),
        ] {
            let expected =
                format!(r#"{{"type":"disconnect","reason":"{word}","reconnect":{reconnect}}}"#);
            assert_eq!(disconnect(&reason), expected, "{reason}");
        }
    }
}
