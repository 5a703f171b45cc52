//! How long a channel stays.

use std::sync::atomic::Ordering;

use super::Channel;

/// Keeps a channel where it is, while a session is in it or about to enter.
pub(crate) struct Visit {
    channel: Channel,
}

impl Visit {
    /// To be called where no channel can be forgotten meanwhile.
    pub(crate) fn new(channel: &Channel) -> Self {
        channel.inner.visits.fetch_add(1, Ordering::AcqRel);
        Self { channel: channel.clone() }
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.channel.inner.visits.fetch_sub(1, Ordering::AcqRel);
        if let Some(shared) = self.channel.shared() {
            shared.forget_channel(&self.channel);
        }
    }
}
