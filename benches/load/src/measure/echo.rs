//! Every connection keeps so many messages in flight.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    opening::open,
    window::{Window, run_for},
};
use crate::{
    engine::{Engine, Mode, Next},
    plan::Plan,
    report::{Faults, Latency, Report, histogram, nanos},
};

/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Echo {
    /// When each message in flight was sent, by connection.
    flying: Vec<VecDeque<Instant>>,
    latencies: Histogram<u64>,
    count: u64,
    /// Nothing more is sent.
    last: bool,
    faults: Faults,
}

impl Echo {
    pub(super) fn new(last: bool) -> Self {
        let (flying, faults) = (Vec::new(), Faults::default());
        Self { flying, latencies: histogram(), count: 0, last, faults }
    }

    fn sent(&mut self, id: usize, count: u32, now: Instant) {
        if self.flying.len() <= id {
            self.flying.resize_with(id + 1, VecDeque::new);
        }
        self.flying[id].extend(std::iter::repeat_n(now, count as usize));
    }

    fn in_flight(&self) -> usize {
        self.flying.iter().map(VecDeque::len).sum()
    }

    pub(super) fn send(&mut self, engine: &mut Engine, ids: &[usize], count: u32) {
        for &id in ids {
            self.sent(id, count, Instant::now());
            engine.send(id, count);
        }
    }

    /// Waits until every message is answered.
    pub(super) fn finish(&mut self, engine: &mut Engine, patience: Duration) -> io::Result<()> {
        self.last = true;
        let end = Instant::now() + patience;
        while self.in_flight() > 0 && Instant::now() < end {
            engine.step(self)?;
        }
        Ok(())
    }

    pub(super) fn faults(mut self) -> Faults {
        self.faults.missing += self.in_flight() as u64;
        self.faults
    }
}

impl Mode for Echo {
    fn messages(&mut self, id: usize, count: u32, now: Instant) -> Next {
        let mut answers = 0;
        for _ in 0..count {
            match self.flying.get_mut(id).and_then(VecDeque::pop_front) {
                Some(sent) => {
                    answers += 1;
                    self.latencies.saturating_record(nanos(now - sent));
                }
                None => self.faults.unasked += 1,
            }
        }
        self.count += u64::from(answers);
        if self.last {
            return Next::Wait;
        }
        self.sent(id, answers, now);
        Next::Send(answers)
    }

    fn closed(&mut self, id: usize, why: &'static str, _: bool) {
        self.faults.lost += 1;
        self.faults.why = why;
        let flying = self.flying.get_mut(id).map(std::mem::take);
        self.faults.missing += flying.map_or(0, |flying| flying.len() as u64);
    }
}

pub(super) fn run(engine: &mut Engine, plan: &Plan) -> io::Result<Report> {
    open(engine, plan.connections, 0)?;
    let mut echo = Echo::new(false);
    let live = engine.live();
    echo.send(engine, &live, plan.window);
    run_for(engine, &mut echo, plan.warmup)?;
    echo.latencies.reset();
    echo.count = 0;
    let window = Window::begin(plan.server);
    run_for(engine, &mut echo, plan.time)?;
    let mut report = window.end(echo.count);
    report.latency = Some(Latency::of(&echo.latencies));
    echo.finish(engine, PATIENCE)?;
    report.faults = echo.faults();
    Ok(report)
}
