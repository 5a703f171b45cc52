//! Who may attach to a session whose key he knows.

use super::defects::{Defect, is};

/// Who attached last, and how often anyone has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Counts attaches.
    pub(crate) generation: u64,
    /// The random number of the client that attached last.
    pub(crate) client: u64,
    /// Which of its attempts that was.
    pub(crate) attempt: u64,
}

/// Why somebody may not attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A later attempt of the same client has been here: this one was slow, or is a repetition.
    Straggler,
    /// Somebody else has taken the session since this client saw it.
    Conflict,
    /// What the client lacks is gone, or what we lack.
    Overflow,
    /// The client acknowledges more than was ever sent.
    Beyond,
    /// It ended just now.
    Ended,
}

impl Claim {
    /// Whether `asked`, which names the generation that it knows, may attach.
    pub(crate) fn check(&self, asked: &Self) -> Result<(), Denied> {
        if is(Defect::NoClaim) {
            return Ok(());
        }
        if self.is_by(asked.client) {
            // An answer may get lost, and several attempts may be under way: any later one is good.
            let later = asked.attempt > self.attempt && asked.generation <= self.generation;
            return if later { Ok(()) } else { Err(Denied::Straggler) };
        }
        if asked.generation == self.generation { Ok(()) } else { Err(Denied::Conflict) }
    }

    /// Whether it was this client that attached last. 0: it has not made up a number.
    pub(crate) fn is_by(&self, client: u64) -> bool {
        client == self.client && client != 0
    }

    /// The claim of who has just attached.
    pub(crate) fn taken_by(&self, asked: &Self) -> Self {
        Self { generation: self.generation + 1, ..*asked }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim() -> impl Strategy<Value = Claim> {
        (0u64..4, 0u64..3, 0u64..4).prop_map(|(generation, client, attempt)| Claim {
            generation,
            client,
            attempt,
        })
    }

    proptest! {
        #[test]
        fn who_may_attach(first: u64, asked in proptest::collection::vec(claim(), 1..40)) {
            let mut held = Claim { generation: first % 3, client: 0, attempt: 0 };
            for asked in asked {
                let own = asked.client == held.client && asked.client != 0;
                match held.check(&asked) {
                    Ok(()) => {
                        let knows = asked.generation == held.generation;
                        prop_assert!(knows || own);
                        prop_assert!(!own || asked.attempt > held.attempt);
                        let taken = held.taken_by(&asked);
                        prop_assert_eq!(taken.generation, held.generation + 1);
                        // The same attach does not get through twice.
                        let again = if asked.client == 0 { Denied::Conflict } else { Denied::Straggler };
                        prop_assert_eq!(taken.check(&asked), Err(again));
                        // Who had it hears a conflict, unless he has it still.
                        let before = Claim { attempt: u64::MAX, ..held };
                        let again = taken.check(&before);
                        prop_assert_eq!(again, if own { Ok(()) } else { Err(Denied::Conflict) });
                        held = taken;
                    }
                    Err(Denied::Straggler) => prop_assert!(own),
                    Err(denied) => prop_assert_eq!((denied, own), (Denied::Conflict, false)),
                }
            }
        }
    }
}
