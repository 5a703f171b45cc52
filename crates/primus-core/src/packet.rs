//! A message on its way out: encoded once, framed once for each wire form in use.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;

use crate::{envelope::Envelope, message::Payload};

/// Names one way of putting a payload on a wire, such as `websocket` or `sse.2`.
///
/// Receivers of a broadcast whose carriers share a wire form share the framed bytes. A transformer
/// declares its forms as constants; two forms are the same when their names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WireForm(pub &'static str);

/// How often this server encoded and framed for broadcasts.
///
/// N receivers on one wire form cost one of each; a test counts.
#[derive(Debug, Default)]
pub struct FrameCounters {
    encoded: AtomicU64,
    framed: AtomicU64,
    shared_bytes: AtomicUsize,
}

impl FrameCounters {
    /// Broadcast values that were encoded: one a parser in use.
    pub fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    /// Broadcast packets that were framed: one a wire form in use.
    pub fn framed(&self) -> u64 {
        self.framed.load(Ordering::Relaxed)
    }

    /// Bytes of broadcast payloads that somebody still has to write, or keeps for a client that may
    /// come back. Each is counted once, however many keep it.
    pub fn shared_bytes(&self) -> usize {
        self.shared_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_encoded(&self) {
        self.encoded.fetch_add(1, Ordering::Relaxed);
    }
}

/// A payload that goes to many, with its frames prepared lazily and shared.
#[derive(Debug)]
pub struct Packet {
    envelope: Envelope,
    /// Of the history that keeps it, if one does.
    epoch: Option<Arc<str>>,
    serial: u64,
    counters: Arc<FrameCounters>,
    // Nearly every broadcast meets one wire form, so the first has a place without a lock.
    first: OnceLock<(WireForm, Bytes)>,
    others: Mutex<Vec<(WireForm, Bytes)>>,
}

impl Packet {
    pub(crate) fn new(envelope: Envelope, counters: Arc<FrameCounters>) -> Self {
        counters.shared_bytes.fetch_add(envelope.len(), Ordering::Relaxed);
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        Self {
            envelope,
            epoch: None,
            serial,
            counters,
            first: OnceLock::new(),
            others: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn kept_in(mut self, epoch: Option<Arc<str>>) -> Self {
        self.epoch = epoch;
        self
    }

    /// Names the history of the first of its rooms that keeps one; its offset there is in the head.
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    /// Tells it from every other packet of this process; from 1.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What is sent.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The frame for `form`, made by `make` if this is the first carrier that asks.
    pub fn frame(&self, form: WireForm, make: impl FnOnce(&Envelope) -> Bytes) -> Bytes {
        let make = || {
            self.counters.framed.fetch_add(1, Ordering::Relaxed);
            make(&self.envelope)
        };
        let mut make = Some(make);
        let (first, frame) =
            self.first.get_or_init(|| (form, make.take().map_or_else(Bytes::new, |make| make())));
        if *first == form {
            return frame.clone();
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = others.iter().find(|(other, _)| *other == form) {
            return frame.clone();
        }
        let frame = make.take().map_or_else(Bytes::new, |make| make());
        others.push((form, frame.clone()));
        frame
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.counters.shared_bytes.fetch_sub(self.envelope.len(), Ordering::Relaxed);
    }
}

/// What may become of a message that has to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It waits, and survives reconnects. The default.
    #[default]
    Reliable,
    /// It is dropped when it would have to wait: for a client that is away, or that reads too slowly.
    Volatile,
    /// While it waits, a later one with the same key takes its place.
    Latest(Arc<str>),
}

impl From<Outgoing> for Payload {
    fn from(outgoing: Outgoing) -> Self {
        outgoing.envelope().body()
    }
}

/// One entry of an outbox.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// For this session alone.
    Own(Envelope),
    /// Shared with other receivers.
    Shared(Arc<Packet>),
}

impl Outgoing {
    /// What is sent.
    #[inline]
    pub fn envelope(&self) -> &Envelope {
        match self {
            Self::Own(envelope) => envelope,
            Self::Shared(packet) => packet.envelope(),
        }
    }

    /// The [`serial`](Packet::serial) of what many were sent.
    pub fn serial(&self) -> Option<u64> {
        match self {
            Self::Own(_) => None,
            Self::Shared(packet) => Some(packet.serial),
        }
    }

    /// The bytes for a wire: prepared once when shared, made now when not.
    pub fn frame(&self, form: WireForm, make: impl FnOnce(&Envelope) -> Bytes) -> Bytes {
        match self {
            Self::Own(envelope) => make(envelope),
            Self::Shared(packet) => packet.frame(form, make),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_framed_once_for_each_wire_form() {
        let counters = Arc::new(FrameCounters::default());
        let packet = Arc::new(Packet::new("x".into(), Arc::clone(&counters)));
        for _ in 0..3 {
            for (form, byte) in [("a", "1"), ("b", "2"), ("c", "3")] {
                let sent = Outgoing::Shared(Arc::clone(&packet));
                assert_eq!(sent.frame(WireForm(form), |_| Bytes::from(byte)), byte);
            }
        }
        assert_eq!(counters.framed(), 3);
    }
}
