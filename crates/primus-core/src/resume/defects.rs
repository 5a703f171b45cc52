//! Deliberate defects, which only tests can switch on: a simulation that does not find them is
//! worth nothing. Outside tests every question is answered no, at compile time.

/// A way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// What was received already is delivered again.
    NoDuplicateFilter,
    /// An acknowledgement frees one message more than it says.
    AckOffByOne,
    /// A carrier of an older generation still delivers.
    NoFence,
    /// The ring forgets a written message before it is acknowledged, and does not say so.
    TrimmedTooEarly,
    /// A message gets its number when it is pushed, so a message that is dropped leaves a hole.
    NumberedAtPush,
    /// A new carrier goes on where the old one stopped writing.
    NoRewind,
    /// What lies behind a gap is taken.
    GapAccepted,
    /// Any client that knows the key may attach, however old its copy is.
    NoClaim,
    /// What an acknowledgement says of the past rewinds the floor.
    StaleAckCounts,
    /// A full inbox counts a message as received and drops it.
    FullCounts,
}

/// All of them.
#[cfg(test)]
pub(crate) const DEFECTS: [Defect; 10] = [
    Defect::NoDuplicateFilter,
    Defect::AckOffByOne,
    Defect::NoFence,
    Defect::TrimmedTooEarly,
    Defect::NumberedAtPush,
    Defect::NoRewind,
    Defect::GapAccepted,
    Defect::NoClaim,
    Defect::StaleAckCounts,
    Defect::FullCounts,
];

#[cfg(test)]
thread_local! {
    static DEFECT: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Whether the machine is to be wrong in this way.
#[inline(always)]
pub(crate) fn is(defect: Defect) -> bool {
    #[cfg(test)]
    return DEFECT.get() == Some(defect);
    #[cfg(not(test))]
    {
        let _ = defect;
        false
    }
}

/// Runs `f` with one defect on this thread.
#[cfg(test)]
pub(crate) fn with_defect<T>(defect: Option<Defect>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<Defect>);
    impl Drop for Restore {
        fn drop(&mut self) {
            DEFECT.set(self.0);
        }
    }
    let _restore = Restore(DEFECT.replace(defect));
    f()
}
