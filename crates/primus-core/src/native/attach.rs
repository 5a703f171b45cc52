//! The attach: the first frame of every resumable carrier, both ways (docs/protocol.md §4).

use serde::{Deserialize, Serialize, de::Error as _};

use crate::{authorize::Rejection, close::CloseReason, session::Session};

/// What a client attaches with. Unknown members are ignored, so that newer clients work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClientAttach {
    /// What the application's `auth` option gave.
    pub auth: serde_json::Value,
    /// The highest number of a message that the client has.
    pub recv: u64,
    /// The number of the first data frame that the client will send.
    pub next: Option<u64>,
    /// The session to resume.
    pub session: Option<Resume>,
}

/// Names a session that a client had.
#[derive(Debug, Clone, Deserialize)]
pub struct Resume {
    /// Its public id.
    pub id: String,
    /// Its key.
    pub key: String,
    /// The generation of its last carrier.
    pub generation: u64,
}

/// An attach frame could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the attach frame is not the JSON that it should be: {0}")]
pub struct AttachError(#[from] serde_json::Error);

impl ClientAttach {
    /// Reads the body of an attach frame.
    ///
    /// # Errors
    /// When it is not JSON of the right shape.
    pub fn parse(body: &str) -> Result<Self, AttachError> {
        if !body.trim_start().starts_with('{') {
            // serde would read an array as the members in their order.
            return Err(AttachError(serde_json::Error::custom("expected an object")));
        }
        Ok(serde_json::from_str(body)?)
    }
}

/// What a server answers.
#[derive(Debug, Serialize)]
pub struct ServerAttach {
    id: String,
    key: String,
    generation: u64,
    recv: u64,
    next: u64,
    resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    ping: u64,
    timeout: u64,
    #[serde(rename = "maxMessage")]
    max_message: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl ServerAttach {
    /// The answer for a new session. A client that asked for one that it had is told that it
    /// could not be had.
    pub fn new(session: &Session, generation: u64, asked: &ClientAttach) -> Self {
        let (interval, timeout) = session.mount().heartbeat();
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: session.id().to_string(),
            key: session.key().reveal(),
            generation,
            recv: 0,
            next: 1,
            resumed: false,
            reason: asked.session.as_ref().map(|_| "unknown"),
            ping: millis(interval),
            timeout: millis(timeout),
            max_message: session.limits().max_message,
            token: session.token().map(|token| token.reveal()),
        }
    }

    /// The whole frame.
    pub fn to_frame(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("primus::attach::{json}")
    }
}

/// The frame by which a server ends a session.
pub fn end_frame(reason: &CloseReason) -> String {
    format!("primus::end::{}", reason.to_json())
}

/// The frame by which a server refuses an attach.
pub fn refuse_frame(rejection: &Rejection) -> String {
    format!("primus::refuse::{}", rejection.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attaches_are_objects() {
        let attach = ClientAttach::parse(r#"{"auth":{"a":1},"recv":3,"more":true}"#).unwrap();
        assert_eq!((attach.auth["a"].as_u64(), attach.recv, attach.next), (Some(1), 3, None));
        assert!(ClientAttach::parse("{}").unwrap().session.is_none());
        let deep = format!("{{\"auth\":{}", "[".repeat(100_000));
        for bad in ["", "[1]", "null", r#"{"recv":-1}"#, r#"{"session":{}}"#, "{} x", &deep] {
            assert!(ClientAttach::parse(bad).is_err(), "{bad:.20}");
        }
    }
}
