//! Why a connection ended, as data: one table for the server, the wire and the client
//! (`docs/protocol.md` §6).

use std::{borrow::Cow, fmt, time::Duration};

/// Code, text, and whether the client comes back.
///
/// ```
/// use primus_core::CloseReason;
/// assert_eq!(CloseReason::ENDED.code(), 4000);
/// assert!(!CloseReason::ENDED.reconnects());
/// assert!(CloseReason::from_code(3999, "").reconnects());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    code: u16,
    text: Cow<'static, str>,
    after: Duration,
}

impl CloseReason {
    const fn known(code: u16, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text), after: Duration::ZERO }
    }

    /// The peer ended.
    pub const NORMAL: Self = Self::known(1000, "normal");
    /// The peer vanished without a word: a dropped connection, a closed tab.
    pub const GOING_AWAY: Self = Self::known(1001, "going away");
    /// A malformed WebSocket frame.
    pub const PROTOCOL_ERROR: Self = Self::known(1002, "protocol error");
    /// Text that is not UTF-8.
    pub const INVALID_TEXT: Self = Self::known(1007, "invalid text");
    /// Too many fragments.
    pub const POLICY: Self = Self::known(1008, "policy");
    /// A message over `max_message`.
    pub const TOO_BIG: Self = Self::known(1009, "message too big");
    /// The handler panicked or returned an error.
    pub const HANDLER_FAILED: Self = Self::known(1011, "handler failed");
    /// The application ended the spark.
    pub const ENDED: Self = Self::known(4000, "ended");
    /// The application asked this client to come back.
    pub const RECONNECT: Self = Self::known(4001, "reconnect");
    /// The server is ending and asks the client to come back.
    pub const RESTART: Self = Self::known(4002, "server restart");
    /// The server is ending for good.
    pub const SERVER_ENDED: Self = Self::known(4003, "server ended");
    /// No sign of life.
    pub const HEARTBEAT: Self = Self::known(4004, "heartbeat");
    /// More was queued for this client than it may have.
    pub const TOO_SLOW: Self = Self::known(4005, "too slow");
    /// Another carrier took the session.
    pub const REPLACED: Self = Self::known(4006, "replaced");
    /// A malformed or unknown control frame.
    pub const BAD_CONTROL: Self = Self::known(4400, "protocol error");

    /// A reason of one's own: codes 4100–4399 are free for applications. The client comes back
    /// after a code that is not in the table.
    pub fn from_code(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), after: Duration::ZERO }
    }

    /// The same reason, asking the client to stay away for `after` first.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// The same reason with another text. What is sent in a WebSocket close frame is cut to the
    /// 123 bytes that RFC 6455 §5.5 leaves for it.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.text = text.into();
        self
    }

    /// The close code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How long the client is asked to stay away; zero if it was not.
    pub fn retry_after(&self) -> Duration {
        self.after
    }

    /// Whether a client that follows the table comes back by itself.
    pub fn reconnects(&self) -> bool {
        match self.code {
            1000 | 4000 | 4003 => false,
            4400 | 4408 | 4409 | 4425 | 4429 => true,
            4401..=4499 => false,
            _ => true,
        }
    }

    /// Whether the peer caused it by breaking a rule, so that going on with it makes no sense.
    pub fn blames_peer(&self) -> bool {
        matches!(self.code, 1002 | 1007 | 1008 | 1009 | 4400)
    }

    /// The text, cut at a character's boundary to what fits a close frame.
    pub fn frame_text(&self) -> &str {
        let mut end = self.text.len().min(123);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }

    /// The body of `primus::end`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code,
            "reason": self.text,
            "reconnect": self.reconnects(),
            "after": u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// A handler that returns a reason as its error ends its spark with just that.
impl std::error::Error for CloseReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../docs/protocol-vectors.json")).unwrap();
        for row in vectors["close_codes"].as_array().unwrap() {
            let code = u16::try_from(row["code"].as_u64().unwrap()).unwrap();
            let reconnects = CloseReason::from_code(code, "").reconnects();
            assert_eq!(reconnects, row["reconnect"].as_bool().unwrap(), "{code}");
        }
        for known in [
            CloseReason::NORMAL,
            CloseReason::GOING_AWAY,
            CloseReason::PROTOCOL_ERROR,
            CloseReason::INVALID_TEXT,
            CloseReason::POLICY,
            CloseReason::TOO_BIG,
            CloseReason::HANDLER_FAILED,
            CloseReason::ENDED,
            CloseReason::RECONNECT,
            CloseReason::RESTART,
            CloseReason::SERVER_ENDED,
            CloseReason::HEARTBEAT,
            CloseReason::TOO_SLOW,
            CloseReason::REPLACED,
            CloseReason::BAD_CONTROL,
        ] {
            let row = vectors["close_codes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|row| row["code"] == known.code())
                .unwrap_or_else(|| panic!("no vector for {known}"));
            assert_eq!(row["reason"], known.text());
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let reason = CloseReason::from_code(4100, "é".repeat(100));
        assert_eq!(reason.frame_text().len(), 122);
    }
}
