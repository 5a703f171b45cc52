//! One connection sends, all receive. A broadcast is done when everybody has it; so many are in
//! flight.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{opening::open, window::Window};
use crate::{
    engine::{Engine, Mode, Next},
    plan::Plan,
    report::{Faults, Latency, Report, histogram, nanos},
};

/// How long the last deliveries are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

struct Flying {
    sent: Instant,
    /// So many lack it.
    lack: u64,
}

struct Broadcast {
    receivers: u64,
    /// How many each connection has seen: its next is the broadcast of this number.
    seen: Vec<u64>,
    /// What is not everywhere yet, oldest first, and the number of the oldest.
    flying: VecDeque<Flying>,
    oldest: u64,
    /// May be sent.
    due: u32,
    latencies: Histogram<u64>,
    deliveries: u64,
    faults: Faults,
}

impl Broadcast {
    fn delivered(&mut self, id: usize, now: Instant) {
        if self.seen.len() <= id {
            self.seen.resize(id + 1, 0);
        }
        let number = self.seen[id];
        self.seen[id] += 1;
        self.deliveries += 1;
        let place = number.checked_sub(self.oldest).and_then(|place| usize::try_from(place).ok());
        let Some(flying) = place.and_then(|place| self.flying.get_mut(place)) else {
            self.faults.unasked += 1;
            return;
        };
        flying.lack -= 1;
        self.latencies.saturating_record(nanos(now - flying.sent));
        while self.flying.pop_front_if(|flying| flying.lack == 0).is_some() {
            self.oldest += 1;
            self.due += 1;
        }
    }

    fn run(&mut self, engine: &mut Engine, publisher: usize, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let due = std::mem::take(&mut self.due);
            if due > 0 {
                let (sent, lack) = (Instant::now(), self.receivers);
                self.flying.extend((0..due).map(|_| Flying { sent, lack }));
                engine.send(publisher, due);
            }
            engine.step(self)?;
        }
        Ok(())
    }
}

impl Mode for Broadcast {
    fn messages(&mut self, id: usize, count: u32, now: Instant) -> Next {
        (0..count).for_each(|_| self.delivered(id, now));
        Next::Wait
    }

    fn closed(&mut self, _: usize, why: &'static str, _: bool) {
        self.faults.lost += 1;
        self.faults.why = why;
    }
}

pub(super) fn run(engine: &mut Engine, plan: &Plan) -> io::Result<Report> {
    open(engine, plan.connections, plan.deaf)?;
    let live = engine.live();
    let publisher = *live.first().ok_or_else(|| io::Error::other("nobody to send"))?;
    let mut broadcast = Broadcast {
        receivers: live.len() as u64,
        seen: Vec::new(),
        flying: VecDeque::new(),
        oldest: 0,
        due: plan.window,
        latencies: histogram(),
        deliveries: 0,
        faults: Faults::default(),
    };
    broadcast.run(engine, publisher, plan.warmup)?;
    broadcast.latencies.reset();
    broadcast.deliveries = 0;
    let window = Window::begin(plan.server);
    broadcast.run(engine, publisher, plan.time)?;
    let mut report = window.end(broadcast.deliveries);
    report.latency = Some(Latency::of(&broadcast.latencies));
    let end = Instant::now() + PATIENCE;
    while !broadcast.flying.is_empty() && Instant::now() < end {
        engine.step(&mut broadcast)?;
    }
    report.faults = broadcast.faults;
    report.faults.missing = broadcast.flying.iter().map(|flying| flying.lack).sum();
    Ok(report)
}
