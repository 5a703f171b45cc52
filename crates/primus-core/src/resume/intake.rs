//! The receiving half: which number is the next, and whose carrier may bring it.

use super::defects::{Defect, is};

/// How far one side has received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Intake {
    /// The highest number received; everything below it has been, too.
    recv: u64,
    /// The generation whose carrier may deliver.
    fence: u64,
}

/// What a number means to who receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It is the next.
    New,
    /// It has been received before.
    Duplicate,
    /// Something before it is missing.
    Gap,
    /// It came by a carrier that has been replaced.
    Fenced,
}

impl Intake {
    /// The highest number received.
    pub(crate) fn recv(&self) -> u64 {
        self.recv
    }

    /// From now on carriers older than `generation` deliver nothing. What had been received by
    /// then is the answer: nothing more comes in below it.
    pub(crate) fn fence(&mut self, generation: u64) -> u64 {
        self.fence = self.fence.max(generation);
        self.recv
    }

    /// What message `number` by a carrier of `generation` is; nothing changes.
    pub(crate) fn judge(&self, generation: u64, number: u64) -> Receipt {
        if generation < self.fence && !is(Defect::NoFence) {
            Receipt::Fenced
        } else if number == self.recv + 1 {
            Receipt::New
        } else if number <= self.recv {
            if is(Defect::NoDuplicateFilter) { Receipt::New } else { Receipt::Duplicate }
        } else if is(Defect::GapAccepted) {
            Receipt::New
        } else {
            Receipt::Gap
        }
    }

    /// Message `number`, which was new, has been taken in.
    pub(crate) fn took(&mut self, number: u64) {
        self.recv = self.recv.max(number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_number_once_in_order_and_by_the_last_carrier(
            events in proptest::collection::vec((0u64..4, 0u64..12, any::<bool>()), 0..60)
        ) {
            let (mut intake, mut fence) = (Intake::default(), 0);
            for (generation, number, attaches) in events {
                let recv = intake.recv();
                if attaches {
                    fence = fence.max(generation);
                    prop_assert_eq!(intake.fence(generation), recv);
                    continue;
                }
                let expected = match number {
                    _ if generation < fence => Receipt::Fenced,
                    number if number <= recv => Receipt::Duplicate,
                    number if number == recv + 1 => Receipt::New,
                    _ => Receipt::Gap,
                };
                prop_assert_eq!(intake.judge(generation, number), expected);
                prop_assert_eq!(intake.recv(), recv, "to judge changes nothing");
                if expected == Receipt::New {
                    intake.took(number);
                    prop_assert_eq!(intake.recv(), recv + 1);
                }
            }
        }
    }
}
