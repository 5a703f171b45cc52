//! Options of this transformer.

use std::time::Duration;

/// What a mount says about Socket.IO: an entry of its
/// [`options`](primus_core::MountSettings::options). That clients of 1.x and 2.x are served is an option of
/// Engine.IO, and everything else, such as limits and heartbeats, it has in common with all transformers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether a client gets its session back after a loss of its connection (connection state recovery, of
    /// clients from 4.6 on), within the mount's `resume_window`. Then every event that it is sent has one more
    /// argument, which tells the client where it is. Default false.
    pub recovery: bool,
    /// How long a connection may be without a namespace. Default 45 s.
    pub connect_timeout: Duration,
    /// Whether packets are MessagePack, as those of `socket.io-msgpack-parser` in the client. Default false.
    pub msgpack: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { recovery: false, connect_timeout: Duration::from_secs(45), msgpack: false }
    }
}
