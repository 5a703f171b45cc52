//! What can be set.

use std::time::Duration;

/// Options of the transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BayeuxOptions {
    /// How long a connect is held where there is nothing to tell. A client that does not connect again
    /// for twice as long is given up. Default 45 s, which is what proxies bear.
    pub timeout: Duration,
}

impl Default for BayeuxOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(45) }
    }
}

impl BayeuxOptions {
    /// How long a client may be away.
    pub(crate) fn patience(&self) -> Duration {
        // Not less than the sweep that looks for those who do not come.
        (2 * self.timeout).max(Duration::from_secs(1))
    }
}
