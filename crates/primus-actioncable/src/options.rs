//! What can be set.

use std::time::Duration;

/// Options of the transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActionCableOptions {
    /// How often a client is told that the server is there. Stock clients reconnect when they heard nothing for
    /// 6 s. Default 3 s.
    pub ping_interval: Duration,
    /// Whether AnyCable clients may whisper: send to all others in a channel, past the application.
    /// Default false.
    pub whisper: bool,
    /// Whether AnyCable clients may say who they are in a channel, and see who is there. Default false.
    pub presence: bool,
}

impl Default for ActionCableOptions {
    fn default() -> Self {
        Self { ping_interval: Duration::from_secs(3), whisper: false, presence: false }
    }
}
