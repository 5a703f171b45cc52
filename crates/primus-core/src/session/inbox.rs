//! What was received and waits for the handler.

use std::{collections::VecDeque, task::Waker};

use crate::{
    message::{Message, Payload},
    request::BoxFuture,
    resume::Intake,
    settings::Limits,
};

#[derive(Default)]
pub(super) struct Inbox {
    queue: VecDeque<Payload>,
    bytes: usize,
    /// Which message is the next, and who may bring it.
    pub(super) intake: Intake,
    /// No more will come.
    pub(super) closed: bool,
    /// An incoming transform that awaits; what is behind it waits, so order is kept.
    pub(super) transforming: Option<BoxFuture<'static, Option<Message>>>,
    /// The handler, waiting in `next`.
    pub(super) reader: Option<Waker>,
    /// Carriers and POSTs that wait for room.
    pub(super) room: Vec<Waker>,
}

impl Inbox {
    /// At the mark above which the carrier stops reading. Below it any one message has room.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.queue.len() >= limits.inbox_messages || self.bytes >= limits.inbox_bytes
    }

    pub(super) fn push(&mut self, payload: Payload) {
        self.bytes += payload.len();
        self.queue.push_back(payload);
    }

    pub(super) fn pop(&mut self) -> Option<Payload> {
        let payload = self.queue.pop_front()?;
        self.bytes -= payload.len();
        if self.queue.is_empty() && self.queue.capacity() > 8 {
            self.queue = VecDeque::new();
        }
        Some(payload)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.transforming.is_none()
    }
}
