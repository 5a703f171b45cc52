//! What can be set.

use std::{path::PathBuf, time::Duration};

/// Options of the transformer, as a mount's `options` have them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrowserChannelOptions {
    /// Whether clients are stock Primus 8 clients, which look like any other. Default: at `/primus` they are, where
    /// those look by default; elsewhere they are not.
    pub primus: Option<bool>,
    /// How often a back channel that is told nothing else is told that the server is there. Zero: never.
    /// Default 20 s.
    pub keep_alive: Duration,
    /// How long a session waits for its next back channel before it counts as away. Default 30 s.
    pub timeout: Duration,
    /// Prefixes of this server's host, of which a client is told one: so it has more connections than
    /// browsers allow to one host. Default none.
    pub host_prefixes: Vec<String>,
    /// The file that is served at `{path}/bcsocket.js`: that of npm's `browserchannel`. Default none.
    pub script: Option<PathBuf>,
}

impl Default for BrowserChannelOptions {
    fn default() -> Self {
        Self {
            primus: None,
            keep_alive: Duration::from_secs(20),
            timeout: Duration::from_secs(30),
            host_prefixes: Vec::new(),
            script: None,
        }
    }
}
