//! The client's half of a session: its numbers, and what it keeps (docs/protocol.md §4 and §5).

use std::collections::VecDeque;

use super::{
    application::{Said, Verdict},
    network::Answer,
};
use crate::{message::Payload, native};

/// What a client counts. It knows neither time nor network.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    /// The highest number received.
    pub(super) recv: u64,
    /// What the server is known to have.
    pub(super) acked: u64,
    /// Behind that: what has a number.
    pub(super) kept: VecDeque<Payload>,
    /// What has none.
    pub(super) waiting: VecDeque<Payload>,
    /// Received and not acknowledged: messages, and bytes.
    untold: (u64, usize),
    /// What the application has read, in this session: its own numbers.
    pub(super) read: u64,
    read_droppable: u64,
}

impl Numbers {
    pub(super) fn sent(&self) -> u64 {
        self.acked + self.kept.len() as u64
    }

    /// The message of a number that has one, or of the next.
    pub(super) fn take(&mut self, number: u64, may_number: bool) -> Option<Payload> {
        if number == self.sent() + 1 {
            if !may_number {
                return None;
            }
            self.kept.push_back(self.waiting.pop_front()?);
        }
        self.kept.get((number - self.acked - 1) as usize).cloned()
    }

    /// The server has everything up to `recv`.
    pub(super) fn ack(&mut self, recv: u64, verdict: &Verdict) {
        if recv > self.sent() {
            return verdict.fail(format!("the server has {recv} of {} messages", self.sent()));
        }
        while self.acked < recv {
            self.kept.pop_front();
            self.acked += 1;
        }
    }

    /// Message `number` has arrived. False if it had before.
    pub(super) fn receive(&mut self, number: u64, payload: &Payload, verdict: &Verdict) -> bool {
        if number <= self.recv {
            return false;
        }
        if number > self.recv + 1 {
            verdict.fail(format!("the client received number {number} behind {}", self.recv));
        }
        self.recv = number;
        self.untold.0 += 1;
        self.untold.1 += payload.len();
        let Some(said) = Said::read(payload) else {
            verdict.fail(format!("the client received {payload:?}"));
            return true;
        };
        let read = if said.droppable { &mut self.read_droppable } else { &mut self.read };
        if said.number != *read + 1 && (!said.droppable || said.number <= *read) {
            verdict.fail(format!("the client received {said:?} behind {read}"));
        }
        *read = said.number;
        true
    }

    /// Whether an acknowledgement cannot wait any longer.
    pub(super) fn owes_ack(&self, every: (u64, usize)) -> bool {
        self.untold.0 >= every.0 || self.untold.1 >= every.1
    }

    pub(super) fn told(&mut self) {
        self.untold = (0, 0);
    }

    /// Begins a new session. What was sent and never acknowledged comes back.
    pub(super) fn renew(&mut self) -> VecDeque<Payload> {
        let lost = std::mem::take(&mut self.kept);
        *self = Self { waiting: std::mem::take(&mut self.waiting), ..Self::default() };
        lost
    }
}

/// What a client names its session by.
pub(super) fn name(answer: &Answer) -> native::Resume {
    native::Resume {
        id: answer.id.clone(),
        key: answer.key.clone(),
        generation: answer.generation,
        epoch: answer.epoch.clone(),
    }
}
