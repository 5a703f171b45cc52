//! The attach: the first frame of every resumable carrier, both ways (docs/protocol.md §4).

use serde::{Deserialize, Serialize, de::Error as _};

use super::frame::MAX_NUMBER;
use crate::{
    authorize::Rejection,
    close::CloseReason,
    id::Secret,
    session::{Asked, Carrier},
};

/// What a client attaches with. Unknown members are ignored, so that newer clients work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClientAttach {
    /// What the application's `auth` option gave.
    pub auth: serde_json::Value,
    /// The highest number of a message that the client has.
    pub recv: u64,
    /// The number of the first data frame that the client will send. Default 1.
    pub next: Option<u64>,
    /// The highest number that the client has given to a message. Default: the one before `next`.
    pub sent: Option<u64>,
    /// A random number that the client made up when it started.
    pub client: u64,
    /// Counts the attaches of this client.
    pub attempt: u64,
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
    /// The run of the server that made it.
    #[serde(default)]
    pub epoch: String,
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
        let attach: Self = serde_json::from_str(body)?;
        let numbers = [
            attach.recv,
            attach.next.unwrap_or(1),
            attach.sent.unwrap_or(0),
            attach.client,
            attach.attempt,
        ];
        if numbers.iter().any(|number| *number > MAX_NUMBER) || attach.next == Some(0) {
            return Err(AttachError(serde_json::Error::custom(
                "numbers are up to 2^53, and those of messages begin at 1",
            )));
        }
        Ok(attach)
    }

    /// What it says of itself to a session that it had. A new session begins at 1.
    pub(crate) fn asked(&self) -> Asked {
        let Some(session) = &self.session else {
            return Asked {
                next: 1,
                client: self.client,
                attempt: self.attempt,
                ..Asked::default()
            };
        };
        let next = self.next.unwrap_or(1);
        Asked {
            recv: self.recv,
            next,
            sent: self.sent.unwrap_or(next - 1),
            client: self.client,
            attempt: self.attempt,
            generation: session.generation,
        }
    }
}

/// What a server answers.
#[derive(Debug, Serialize)]
pub struct ServerAttach {
    id: String,
    key: String,
    generation: u64,
    epoch: String,
    recv: u64,
    next: u64,
    resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    ping: u64,
    timeout: u64,
    #[serde(rename = "maxMessage")]
    max_message: usize,
    ack: (usize, usize),
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl ServerAttach {
    /// The answer of a carrier, before anything has been taken from it. `lost`: a session was
    /// asked for that could not be had, and this is why.
    pub(crate) fn new(
        carrier: &Carrier,
        resumed: bool,
        lost: Option<&'static str>,
        token: Option<Secret>,
    ) -> Self {
        let session = carrier.session();
        let limits = session.limits();
        let (interval, timeout) = session.mount().heartbeat();
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: session.id().to_string(),
            key: session.key().reveal(),
            generation: carrier.generation(),
            epoch: session.mount().epoch(),
            recv: session.recv(),
            next: session.next(),
            resumed,
            reason: lost,
            ping: millis(interval),
            timeout: millis(timeout),
            max_message: limits.max_message,
            // Half of what is kept.
            ack: ((limits.resume_messages / 2).max(1), (limits.resume_bytes / 2).max(1)),
            token: token.map(|token| token.reveal()),
        }
    }

    /// The whole frame.
    pub fn to_frame(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("primus::attach::{json}")
    }
}

/// The frame by which a server ends a session from whose client it has everything up to `recv`.
pub fn end_frame(reason: &CloseReason, recv: u64) -> String {
    let mut end = reason.to_json();
    end["recv"] = recv.into();
    format!("primus::end::{end}")
}

/// The frame that acknowledges everything up to `recv`.
pub fn ack_frame(recv: u64) -> String {
    format!("primus::ack:{recv}::")
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
        let huge = r#"{"recv":9007199254740993}"#;
        let zero = r#"{"next":0}"#;
        let bad =
            ["", "[1]", "null", r#"{"recv":-1}"#, r#"{"session":{}}"#, "{} x", &deep, huge, zero];
        for bad in bad {
            assert!(ClientAttach::parse(bad).is_err(), "{bad:.20}");
        }
    }
}
