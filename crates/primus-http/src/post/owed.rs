//! What the protocol itself answers a client whose words come by POST.

use std::task::{Context, Poll, Waker};

use primus_core::Payload;

/// Answers that wait for the next response that may carry messages, and who waits to write it.
#[derive(Debug, Default)]
pub struct Owed {
    answers: Vec<Payload>,
    waker: Option<Waker>,
}

/// Of a flood of questions the last ones are answered.
const MOST: usize = 16;

impl Owed {
    /// One more. What is returned is to be woken, not under a lock.
    #[must_use]
    pub fn owe(&mut self, answer: Payload) -> Option<Waker> {
        if self.answers.len() == MOST {
            self.answers.remove(0);
        }
        self.answers.push(answer);
        self.waker.take()
    }

    /// All that are there; pending as long as there is none.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Payload>> {
        if !self.answers.is_empty() {
            return Poll::Ready(std::mem::take(&mut self.answers));
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Nobody waits any more.
    pub fn leave(&mut self) {
        self.waker = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_last_ones_are_answered() {
        let mut owed = Owed::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(owed.poll(&mut cx).is_pending());
        assert!(owed.owe("0".into()).is_some());
        for number in 1..20 {
            assert!(owed.owe(number.to_string().into()).is_none());
        }
        let Poll::Ready(answers) = owed.poll(&mut cx) else { panic!("there are answers") };
        assert_eq!((answers.len(), &answers[0]), (MOST, &"4".into()));
        assert!(owed.poll(&mut cx).is_pending());
    }
}
