//! One measurement, from opening the connections to the report.

use std::io;

use super::{broadcast, churn, echo, idle};
use crate::{
    dialect::Script,
    engine::Engine,
    plan::{Plan, Scenario},
    report::Report,
};

/// Measures. It takes the plan's warm-up and time, what opening the connections takes, and a
/// bounded time to wait for the last answers.
///
/// # Errors
/// When it could not begin: the connections could not all be opened.
pub fn run(plan: &Plan) -> io::Result<Report> {
    let script = Script::new(plan.dialect, &plan.text(), plan.window);
    let path = plan.path.as_deref().unwrap_or_else(|| plan.dialect.usual_path());
    let mut engine = Engine::new(plan.address, path, script)?;
    engine.expect(plan.connections + plan.deaf, plan.scenario == Scenario::Churn);
    let mut report = match plan.scenario {
        Scenario::Echo => echo::run(&mut engine, plan),
        Scenario::Broadcast => broadcast::run(&mut engine, plan),
        Scenario::Idle => idle::run(&mut engine, plan),
        Scenario::Churn => churn::run(&mut engine, plan),
    }?;
    report.faults.mismatched = engine.mismatched;
    report.deaf_ended = engine.deaf_ended;
    Ok(report)
}
