//! What connections cost that say nothing, before and after a message went each way.

use std::{io, time::Duration};

use super::{
    echo::Echo,
    opening::open,
    window::{Window, run_for},
};
use crate::{
    engine::Engine,
    plan::Plan,
    process::Sample,
    report::{Memory, Report},
};

/// So many echo at one time: what the server needs meanwhile for these is not what it keeps.
const AT_A_TIME: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(engine: &mut Engine, plan: &Plan) -> io::Result<Report> {
    let resident = || plan.server.map_or(0, |pid| Sample::of(pid).resident);
    let connections = plan.connections.max(1) as u64;
    let before = resident();
    let grown = || resident().saturating_sub(before) / connections;
    let opening = Window::begin(plan.server);
    open(engine, plan.connections, 0)?;
    let mut report = opening.end(connections);
    let mut echo = Echo::new(true);
    run_for(engine, &mut echo, plan.time)?;
    let held = grown();
    for some in engine.live().chunks(AT_A_TIME) {
        echo.send(engine, some, 1);
        echo.finish(engine, PATIENCE)?;
    }
    run_for(engine, &mut echo, plan.time)?;
    report.memory = plan.server.map(|_| Memory { held, after_echo: grown() });
    report.faults = echo.faults();
    Ok(report)
}
