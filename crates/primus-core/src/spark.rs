//! Where a spark is in its life, and what becomes of what is written to it.

use crate::{message::Payload, names::NameError, parser::EncodeError};

/// Where a spark is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Authorized, and not yet carried.
    Opening,
    /// Messages go both ways.
    Open,
    /// Its client is away and may come back; what is written waits for it.
    Detached,
    /// It has been ended; what is queued is still written.
    Ending,
    /// Over.
    Closed,
}

/// A message was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// It is queued.
    Queued,
    /// It is queued, and more waits than is good: await [`ready`](crate::handle::Spark::ready) before the next.
    Pressured,
    /// A transform dropped it, or the overflow policy did, or it was volatile and would have had to wait.
    Dropped,
}

/// A message was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The spark is ending or has ended. Here is the message back, if there was one.
    #[error("the spark has ended")]
    Ended(Option<Payload>),
    /// The parser has no form for the value.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// More was queued than `max_queued` allows, or, while its client was away, than is kept; the
    /// spark has been ended with code 4005. Here is the message back.
    #[error("too much is queued for this spark (max_queued, resume_bytes); it has been ended")]
    TooSlow(Option<Payload>),
    /// `emit` and `request` only: the name is none for an event, or reserved.
    #[error(transparent)]
    Name(#[from] NameError),
    /// `ready` only: the client sends so much that is not handled (`max_inbox`) that its
    /// acknowledgement behind it cannot be read. Handle its messages.
    #[error("what is awaited is behind more messages than are read ahead (max_inbox)")]
    Backlogged,
    /// `try_write` only: there is no room now. Await `ready`, or drop the value.
    #[error("the spark is under pressure; await ready() and write again")]
    Full,
}

impl WriteError {
    /// The message that was not accepted, encoded as it would have travelled.
    pub fn into_payload(self) -> Option<Payload> {
        match self {
            Self::Ended(payload) | Self::TooSlow(payload) => payload,
            Self::Encode(_) | Self::Name(_) | Self::Backlogged | Self::Full => None,
        }
    }
}
