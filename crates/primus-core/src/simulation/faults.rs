//! What the network and the people at both ends do to a session, and how often they have.

use std::{fmt, ops::AddAssign};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A connection breaks; what was in flight is partly lost.
    Cut,
    /// A connection swallows everything, and neither side is told.
    HalfOpen,
    /// A connection stands still for a while.
    Delay,
    /// The answer to a poll never arrives.
    PollLost,
    /// An event stream breaks inside an event.
    Truncated,
    /// A proxy sends a POST, or a poll, again, later.
    Replayed,
    /// A POST fails for the client, and arrives all the same, after those behind it.
    Overtaken,
    /// An attach succeeds, and its answer never arrives.
    AttachLost,
    /// A client tries to attach twice at once.
    TwoAttaches,
    /// A tab is duplicated, with everything that it knows of its session.
    Cloned,
    /// The handler reads nothing for a while.
    SlowServer,
    /// The client reads nothing for a while.
    SlowReader,
    /// The client changes the transport while messages flow.
    Switch,
}

pub(super) const FAULTS: [Fault; 13] = [
    Fault::Cut,
    Fault::HalfOpen,
    Fault::Delay,
    Fault::PollLost,
    Fault::Truncated,
    Fault::Replayed,
    Fault::Overtaken,
    Fault::AttachLost,
    Fault::TwoAttaches,
    Fault::Cloned,
    Fault::SlowServer,
    Fault::SlowReader,
    Fault::Switch,
];

/// What happened in a run, or in many.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Coverage {
    pub(super) seeds: u64,
    pub(super) faults: [u64; FAULTS.len()],
    /// Messages that were written again, by either side.
    pub(super) replays: u64,
    /// Messages that were dropped because they had been received, by either side.
    pub(super) duplicates: u64,
    /// Frames that came by a carrier which had been replaced.
    pub(super) fenced: u64,
    /// Acknowledgements that were lost.
    pub(super) lost_acks: u64,
    /// Messages that were delivered, by direction.
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) resumes: u64,
    /// Sessions that were lost for a stated cause.
    pub(super) overflows: u64,
    pub(super) expiries: u64,
    pub(super) conflicts: u64,
    /// Batches that were refused because something before them was missing.
    pub(super) gaps: u64,
    /// Attaches that were refused because a later one had been made.
    pub(super) stragglers: u64,
}

impl Coverage {
    pub(super) fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(super) fn all_faults(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// What fell short of the floors, for so many seeds.
    pub(super) fn shortfalls(&self) -> Vec<String> {
        // 1,000 of each fault and 10,000 of each consequence in 10,000 seeds.
        let (faults, consequences) = (self.seeds / 10, self.seeds);
        let named = FAULTS.iter().map(|fault| (format!("{fault:?}"), self.faults[*fault as usize]));
        let short = named.filter(|(_, count)| *count < faults);
        let consequence = [
            ("replays", self.replays),
            ("dropped duplicates", self.duplicates),
            ("fenced frames", self.fenced),
            ("lost acknowledgements", self.lost_acks),
        ];
        let other = consequence.into_iter().filter(|(_, count)| *count < consequences);
        short
            .chain(other.map(|(name, count)| (name.to_owned(), count)))
            .map(|(name, count)| format!("{name}: {count}"))
            .collect()
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        for (total, more) in self.faults.iter_mut().zip(other.faults) {
            *total += more;
        }
        self.replays += other.replays;
        self.duplicates += other.duplicates;
        self.fenced += other.fenced;
        self.lost_acks += other.lost_acks;
        self.up += other.up;
        self.down += other.down;
        self.resumes += other.resumes;
        self.overflows += other.overflows;
        self.expiries += other.expiries;
        self.conflicts += other.conflicts;
        self.gaps += other.gaps;
        self.stragglers += other.stragglers;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, {} faults", self.seeds, self.all_faults())?;
        for fault in FAULTS {
            writeln!(f, "  {:12} {:>9}", format!("{fault:?}"), self.faults[fault as usize])?;
        }
        for (name, count) in [
            ("messages up", self.up),
            ("messages down", self.down),
            ("resumes", self.resumes),
            ("replays", self.replays),
            ("dropped duplicates", self.duplicates),
            ("fenced frames", self.fenced),
            ("lost acks", self.lost_acks),
            ("gaps refused", self.gaps),
            ("stragglers refused", self.stragglers),
            ("lost: overflow", self.overflows),
            ("lost: expired", self.expiries),
            ("lost: conflict", self.conflicts),
        ] {
            writeln!(f, "  {name:20} {count:>9}")?;
        }
        Ok(())
    }
}
