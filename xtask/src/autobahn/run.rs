//! One run: the server, `wstest`, and what it found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::cases::{AGENT, Cases};
use super::page;
use super::python::{Environment, HOW_TO_GET_IT, Python, pinned};
use super::results::{self, Case, READER};
use super::server::Server;
use crate::child;
use crate::commit;
use crate::outcome::{Outcome, Row, report};
use crate::processes::Processes;
use crate::setup::step;

/// Where the page about the last full run is.
const PAGE: &str = "docs/autobahn.md";

/// For a cold build on two slow cores, and for all cases there.
const BUILD: Duration = Duration::from_mins(30);
const FULL: Duration = Duration::from_hours(1);
const FAST: Duration = Duration::from_mins(5);

/// `cargo xtask autobahn`: every case or those that are asked for, against an optimized server. After every
/// case the page is written. False if one failed.
pub(crate) fn full(root: &Path, target: &Path, arguments: &[&str]) -> Result<bool, String> {
    let cases = Cases::of_arguments(arguments)?;
    let python = Python::find().ok_or(HOW_TO_GET_IT)?;
    let processes = Processes::start()?;
    let environment = Environment::prepare(root, &python, &processes)?;
    let begun = Instant::now();
    let commit = commit::of(root);
    build(root, &processes)?;
    let run = Run { processes: &processes, environment, reports: target.join("autobahn") };
    let found = run.cases(&cases, &target.join("release/examples/echo"), FULL)?;
    if cases.are_all() {
        let versions = page::Versions {
            commit,
            suite: pinned(root, "autobahntestsuite")?,
            python: python.version,
            rust: child::answer(Command::new("rustc").arg("--version")).unwrap_or_default(),
        };
        step(&format!("writing {PAGE}"));
        fs::write(root.join(PAGE), page::write(&found, &versions))
            .map_err(|error| format!("{PAGE}: {error}"))?;
    }
    let outcome = results::outcome(&cases, &found);
    let passed = outcome.counts.failed == 0;
    print!("{}", report(&[Row { suite: "autobahn", outcome, elapsed: begun.elapsed() }]));
    println!("every case: {}", run.reports.join("index.html").display());
    Ok(passed)
}

fn build(root: &Path, processes: &Processes) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    let example = ["build", "--release", "--package", "primus-examples", "--example", "echo"];
    cargo.args(example).current_dir(root);
    match child::run(processes, cargo, BUILD).problem {
        Some(problem) => Err(format!("the echo example did not build: {problem}")),
        None => Ok(()),
    }
}

/// The suite of `cargo xtask test`: the cases that take seconds, against `server`, which is built already.
/// Without Python 2.7 it is skipped; an installation that fails is a failure.
pub(crate) fn subset(root: &Path, target: &Path, server: &Path, processes: &Processes) -> Outcome {
    let cases = Cases::fast();
    let Some(python) = Python::find() else {
        return Outcome::skipped(cases.chapters(), HOW_TO_GET_IT);
    };
    let found = Environment::prepare(root, &python, processes).and_then(|environment| {
        let run = Run { processes, environment, reports: target.join("autobahn-fast") };
        run.cases(&cases, server, FAST)
    });
    match found {
        Ok(found) => results::outcome(&cases, &found),
        Err(problem) => Outcome::default().close(Some(problem)),
    }
}

struct Run<'a> {
    processes: &'a Processes,
    environment: Environment,
    /// Where `wstest` writes, pages for people too.
    reports: PathBuf,
}

impl Run<'_> {
    fn cases(&self, cases: &Cases, server: &Path, limit: Duration) -> Result<Vec<Case>, String> {
        let io = |error: std::io::Error| format!("{}: {error}", self.reports.display());
        if self.reports.exists() {
            fs::remove_dir_all(&self.reports).map_err(io)?;
        }
        fs::create_dir_all(&self.reports).map_err(io)?;
        let mut server = Server::start(server)?;
        let spec = self.reports.join("spec.json");
        fs::write(&spec, cases.spec(&self.reports, &server.url)).map_err(io)?;

        let mut wstest = self.environment.command("wstest");
        wstest.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec).current_dir(&self.reports);
        let finished = child::run(self.processes, wstest, limit);
        if let Some(problem) = server.problem().or(finished.problem) {
            return Err(format!("wstest: {problem}"));
        }
        let mut reader = self.environment.command("python");
        reader.args(["-c", READER]).arg(&self.reports).arg(AGENT);
        let printed = child::answer(&mut reader).ok_or_else(|| {
            format!("{} cannot be read", self.reports.join("index.json").display())
        })?;
        results::read(&printed)
    }
}
