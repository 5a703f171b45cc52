//! What a server is like at a moment.

use crate::primus::Primus;

/// What a server is like at a moment, for whoever runs it; by [`Primus::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions, with a carrier or without: [`Primus::sessions`].
    pub sessions: usize,
    /// Those of them with a carrier, or that had one a moment ago: [`Primus::connected`].
    pub connected: usize,
    /// Those of them without: they wait for their clients to come back, or for their first carrier.
    pub waiting: usize,
    /// Bytes that are kept for clients, as [`Primus::kept`] has them, and of sessions with a carrier as
    /// they were when they were looked at last, which is at least once a second.
    pub kept: usize,
    /// Bytes of the future of the handler that [`Primus::on_connection`] set, which is on the heap once
    /// for every spark whose handler has not returned. It is what lives across an `await` in that
    /// handler, and none of what this points to. `None`: there is no handler. That of a channel has
    /// [`ChannelRules::handler_bytes`](crate::ChannelRules::handler_bytes).
    pub handler_bytes: Option<usize>,
}

impl Primus {
    /// Counts sessions and what they keep, and says how large the handler's future is. It looks at no
    /// session, so it is cheap however many there are.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// primus.on_connection(async |mut spark| {
    ///     let mut recent = [0_u8; 1024]; // lives across the await, so it is in every spark's future
    ///     while let Some(message) = spark.next().await {
    ///         let bytes = message.as_bytes();
    ///         let kept = bytes.len().min(recent.len());
    ///         recent[..kept].copy_from_slice(&bytes[..kept]);
    ///     }
    ///     Ok(())
    /// });
    /// let stats = primus.stats();
    /// println!("{} sessions, of which {} wait", stats.sessions, stats.waiting);
    /// assert!(stats.handler_bytes.is_some_and(|bytes| bytes >= 1024));
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        let (sessions, connected) = (self.sessions(), self.connected());
        Stats {
            sessions,
            connected,
            waiting: sessions.saturating_sub(connected),
            kept: self.shared.kept(),
            handler_bytes: self.root().handler_bytes(),
        }
    }
}
