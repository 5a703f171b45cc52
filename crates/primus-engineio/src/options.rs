//! Options of this transformer.

use std::time::Duration;

/// What a mount says about Engine.IO: an entry of its
/// [`options`](primus_core::MountSettings::options). Everything else, such as limits and heartbeats, it has
/// in common with all transformers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether clients of version 3 are served, too. Default false.
    pub version_3: bool,
    /// The name of a cookie that the answer to a handshake sets to the sid, for load balancers that look at
    /// it. Default: there is none.
    pub cookie: Option<String>,
    /// Whether a client that polls is offered a WebSocket. Default true.
    pub upgrades: bool,
    /// How long an upgrade may take from the moment when its WebSocket is open. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Bytes from which the answer of a poll is compressed for clients that accept gzip. Default 1 KiB; `None`:
    /// none is.
    pub compress_from: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version_3: false,
            cookie: None,
            upgrades: true,
            upgrade_timeout: Duration::from_secs(10),
            compress_from: Some(1 << 10),
        }
    }
}
