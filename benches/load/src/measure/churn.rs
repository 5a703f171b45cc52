//! Connections that come, say one thing, and go.

use std::{
    io,
    time::{Duration, Instant},
};

use super::window::Window;
use crate::{
    engine::{Engine, Mode, Next},
    plan::Plan,
    report::{Faults, Report},
};

struct Churn {
    done: u64,
    /// So many may begin.
    free: usize,
    /// Whether the connection of a slot has had its echo.
    echoed: Vec<bool>,
    faults: Faults,
}

impl Churn {
    fn run(&mut self, engine: &mut Engine, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for _ in 0..std::mem::take(&mut self.free) {
                engine.connect()?;
            }
            engine.step(self)?;
        }
        Ok(())
    }
}

impl Mode for Churn {
    fn ready(&mut self, id: usize) -> Next {
        if self.echoed.len() <= id {
            self.echoed.resize(id + 1, false);
        }
        self.echoed[id] = false;
        Next::Send(1)
    }

    fn messages(&mut self, id: usize, count: u32, _: Instant) -> Next {
        let again = std::mem::replace(&mut self.echoed[id], true);
        self.faults.unasked += u64::from(count) - u64::from(!again);
        Next::Close
    }

    fn closed(&mut self, id: usize, why: &'static str, asked: bool) {
        self.free += 1;
        if asked && self.echoed.get(id) == Some(&true) {
            self.done += 1;
        } else {
            self.faults.lost += 1;
            self.faults.why = why;
        }
    }
}

pub(super) fn run(engine: &mut Engine, plan: &Plan) -> io::Result<Report> {
    let free = plan.connections;
    let mut churn = Churn { done: 0, free, echoed: Vec::new(), faults: Faults::default() };
    churn.run(engine, plan.warmup)?;
    let before = churn.done;
    let window = Window::begin(plan.server);
    churn.run(engine, plan.time)?;
    let mut report = window.end(churn.done - before);
    report.faults = churn.faults;
    engine.drop_all();
    Ok(report)
}
