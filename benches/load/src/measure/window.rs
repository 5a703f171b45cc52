//! The time that is measured: clocks read at both of its ends.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    engine::{Engine, Mode},
    process::Sample,
    report::Report,
};

pub(super) struct Window {
    begun: Instant,
    server: Option<(u32, Sample)>,
    generator: Sample,
}

impl Window {
    pub(super) fn begin(server: Option<u32>) -> Self {
        Self {
            begun: Instant::now(),
            server: server.map(|pid| (pid, Sample::of(pid))),
            generator: Sample::of(std::process::id()),
        }
    }

    /// What so many messages cost.
    pub(super) fn end(self, count: u64) -> Report {
        let wall = self.begun.elapsed();
        let server = self.server.map(|(pid, before)| (Sample::of(pid), before));
        Report {
            count,
            wall,
            server: server.map(|(after, before)| after.cpu.since(before.cpu)),
            peak: server.map(|(after, _)| after.peak),
            generator: Sample::of(std::process::id()).cpu.since(self.generator.cpu),
            ..Report::default()
        }
    }
}

/// Lets the mode run for so long.
pub(super) fn run_for(engine: &mut Engine, mode: &mut impl Mode, time: Duration) -> io::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        engine.step(mode)?;
    }
    Ok(())
}
