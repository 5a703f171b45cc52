//! The suites, in the order in which they run, and the run over all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child;
use crate::outcome::{Outcome, Row, report, sum};
use crate::processes::Processes;
use crate::setup::{self, Tools, step};
use crate::tree::Tree;
use crate::{autobahn, cargo_output, features, fuzz, instructions, node_output, npm};

pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    run: fn(&Run<'_>) -> Outcome,
}

pub(crate) const SUITES: &[Suite] = &[
    Suite { name: "formatting", what: "cargo fmt --check", run: formatting },
    Suite { name: "clippy", what: "cargo clippy, warnings are errors", run: clippy },
    Suite { name: "rustdoc", what: "cargo doc, warnings are errors", run: rustdoc },
    Suite { name: "rust", what: "unit, integration and doc tests of the workspace", run: rust },
    Suite {
        name: "simulation",
        what: "10,000 seeds of a hostile network in virtual time",
        run: simulation,
    },
    Suite {
        name: "instructions",
        what: "what messages, events and broadcasts cost, counted by callgrind",
        run: instructions,
    },
    Suite {
        name: "client-check",
        what: "the client's types and those of the chat, and that what is embedded is not stale",
        run: client_check,
    },
    Suite { name: "client-size", what: "the size of the served client", run: client_size },
    Suite { name: "client", what: "unit tests of the client", run: client },
    Suite { name: "interop", what: "stock clients from npm, and curl", run: interop },
    Suite {
        name: "conformance",
        what: "the cases of public test suites of other protocols, by their names",
        run: conformance,
    },
    Suite {
        name: "autobahn",
        what: "the cases of Autobahn that take seconds, where there is a Python 2.7",
        run: autobahn_subset,
    },
    Suite { name: "fuzz", what: "each fuzz target for half a minute", run: fuzz_smoke },
    Suite { name: "e2e", what: "Chromium against the examples", run: e2e },
    Suite {
        name: "features",
        what: "every row of docs/features.md names tests that ran",
        run: features_page,
    },
    Suite { name: "tree", what: "git status is what it was", run: tree },
];

/// What `test` runs shortened, at full length: minutes each, and so by a command of their own.
pub(crate) const LONG: &[Suite] = &[
    Suite {
        name: "resume",
        what: "3 minutes of numbered messages through a hostile network, Node and Chromium",
        run: resume,
    },
    Suite { name: "soak", what: "2,000 sessions that reconnect for 5 minutes", run: soak },
];

/// Set for the tests of [`LONG`].
const AT_FULL_LENGTH: (&str, &str) = ("XTASK_FULL", "1");

/// Half an hour is for a cold build on two slow cores, and what is built then.
const BUILD: Duration = Duration::from_secs(30 * 60);
const SHORT: Duration = Duration::from_secs(5 * 60);

struct Run<'a> {
    root: &'a Path,
    processes: Processes,
    tools: Tools,
    before: Option<Tree>,
    /// Where cargo puts what it builds: the folder above that of this program.
    target: PathBuf,
    ran: Vec<String>,
    excused: Vec<String>,
}

/// Runs those of `suites` with these names, or all. False if something failed.
pub(crate) fn test(root: &Path, suites: &[Suite], names: &[&str]) -> Result<bool, String> {
    if let Some(unknown) = names.iter().find(|name| suites.iter().all(|suite| suite.name != **name))
    {
        return Err(format!("no suite `{unknown}`; see cargo xtask --help"));
    }
    let before = Tree::look(root);
    let tools = setup::tools(root)?;
    for folder in ["client-js", "tests", "examples"] {
        npm::install(root, folder, &tools)?;
    }
    let processes = Processes::start()?;
    let target = target()?;
    let (ran, excused) = (Vec::new(), Vec::new());
    let mut run = Run { root, processes, tools, before, target, ran, excused };
    let rows = run.all(suites, names);
    drop(run);
    print!("{}", report(&rows));
    Ok(sum(&rows).failed == 0)
}

impl Run<'_> {
    fn all(&mut self, suites: &[Suite], names: &[&str]) -> Vec<Row> {
        let record = self.target.join("tests-run.txt");
        let _ = fs::remove_file(&record);
        let mut rows = Vec::new();
        for suite in suites.iter().filter(|s| names.is_empty() || names.contains(&s.name)) {
            step(&format!("{}: {}", suite.name, suite.what));
            let begun = Instant::now();
            let mut outcome = (suite.run)(self);
            let full = |name: &String| format!("{}::{name}", suite.name);
            self.ran.extend(outcome.names.iter().map(full));
            self.excused.extend(outcome.excused.iter().map(full));
            if let Err(error) = fs::write(&record, self.ran.join("\n") + "\n") {
                outcome.problems.push(format!("{}: {error}", record.display()));
            }
            rows.push(Row { suite: suite.name, outcome, elapsed: begun.elapsed() });
        }
        rows
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.tools.command("cargo", self.root);
        command.args(arguments).env("XTASK_BIN_DIR", self.examples());
        command
    }

    /// One command that passes or fails as a whole.
    fn whole(&self, name: &str, command: Command, limit: Duration) -> Outcome {
        Outcome::single(name, child::run(&self.processes, command, limit).problem)
    }

    /// A command in which node's test runner runs, with its log.
    fn node_tests(&self, name: &str, mut command: Command, limit: Duration) -> Outcome {
        let log = self.target.join(format!("{name}-tests.log"));
        let _ = fs::remove_file(&log);
        let reporter = self.root.join("tests/lib/reporter.mjs");
        command.env("XTASK_LOG", &log).env("XTASK_BIN_DIR", self.examples()).env(
            "NODE_OPTIONS",
            format!(
                "--test-reporter=spec --test-reporter-destination=stdout --test-reporter=\"{}\" --test-reporter-destination=stderr",
                reporter.display(),
            ),
        );
        let finished = child::run(&self.processes, command, limit);
        let written = fs::read_to_string(&log).unwrap_or_default();
        node_output::parse(written.lines()).close(finished.problem)
    }

    fn examples(&self) -> PathBuf {
        self.target.join("debug/examples")
    }

    /// The programs that the JavaScript tests start. In the dev profile: the Rust suite has just built the
    /// same crates in it, and an optimized build of everything would cost more than all tests together.
    fn build_programs(&self) -> Option<String> {
        let build = ["build", "--workspace", "--all-features", "--examples", "--bins"];
        let problem = child::run(&self.processes, self.cargo(&build), BUILD).problem?;
        Some(format!("the examples did not build: {problem}"))
    }

    fn browser_or_wire_tests(&self, name: &str, folder: &str, limit: Duration) -> Outcome {
        // Named one by one: node releases do not agree on what a folder or a pattern means.
        let mut files: Vec<String> = fs::read_dir(self.root.join("tests").join(folder))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|file| file.ends_with(".test.mjs"))
            .map(|file| format!("{folder}/{file}"))
            .collect();
        files.sort_unstable();
        if files.is_empty() {
            return Outcome::default().close(Some(format!("no tests in tests/{folder}/")));
        }
        self.test_files(name, &files, &[], limit)
    }

    /// Builds the programs that these files start, and runs the files.
    fn test_files(
        &self,
        name: &str,
        files: &[String],
        env: &[(&str, &str)],
        limit: Duration,
    ) -> Outcome {
        if let Some(problem) = self.build_programs() {
            return Outcome::default().close(Some(problem));
        }
        let mut command = self.tools.command("node", &self.root.join("tests"));
        // A test that hangs fails by its name.
        let flags = ["--test", "--test-concurrency=2", "--test-timeout=600000"];
        command.args(flags).args(files).envs(env.iter().copied());
        self.node_tests(name, command, limit)
    }
}

fn formatting(run: &Run<'_>) -> Outcome {
    run.whole("formatting", run.cargo(&["fmt", "--all", "--check"]), SHORT)
}

fn clippy(run: &Run<'_>) -> Outcome {
    let arguments =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    let mut outcome = run.whole("clippy", run.cargo(&arguments), BUILD);
    // What those get who ask for no feature.
    let plain = ["clippy", "--package", "primus-rs", "--", "-D", "warnings"];
    outcome.join(run.whole("clippy without features", run.cargo(&plain), BUILD));
    outcome
}

fn rustdoc(run: &Run<'_>) -> Outcome {
    let mut command = run.cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run.whole("rustdoc", command, BUILD)
}

fn rust(run: &Run<'_>) -> Outcome {
    let command = run.cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    let finished = child::run(&run.processes, command, BUILD);
    cargo_output::parse(finished.lines.iter().map(String::as_str)).close(finished.problem)
}

/// Optimized: a debug build takes ten times as long.
fn simulation(run: &Run<'_>) -> Outcome {
    let only = ["test", "--release", "--package", "primus-core", "--lib", "simulation"];
    let command = run.cargo(&[&only[..], &["--", "--nocapture"]].concat());
    let finished = child::run(&run.processes, command, BUILD);
    let mut outcome = cargo_output::parse(finished.lines.iter().map(String::as_str));
    // The others are not left out: they have run with the rest of the workspace.
    outcome.counts.skipped = 0;
    outcome.close(finished.problem)
}

/// Optimized, as what it counts is when it is used.
fn instructions(run: &Run<'_>) -> Outcome {
    let build = ["build", "--release", "--package", "primus-benches", "--bin", "instructions"];
    if let Some(problem) = child::run(&run.processes, run.cargo(&build), BUILD).problem {
        return Outcome::default().close(Some(problem));
    }
    let valgrind = || run.tools.command("valgrind", run.root);
    let program = run.target.join("release/instructions");
    instructions::compare(&run.processes, valgrind, &program, run.root)
}

fn client_script(run: &Run<'_>, script: &str) -> Command {
    let mut command = run.tools.npm(&run.root.join("client-js"));
    command.args(["run", script]);
    command
}

fn client_check(run: &Run<'_>) -> Outcome {
    let mut outcome = run.whole("check", client_script(run, "check"), SHORT);
    let mut types = run.tools.npm(&run.root.join("client-js"));
    types.args(["exec", "--no", "--", "tsc", "-p", "../examples/chat"]);
    outcome.join(run.whole("the events of the chat", types, SHORT));
    outcome
}

fn client_size(run: &Run<'_>) -> Outcome {
    run.whole("size", client_script(run, "size"), SHORT)
}

fn client(run: &Run<'_>) -> Outcome {
    run.node_tests("client", client_script(run, "test"), SHORT)
}

fn interop(run: &Run<'_>) -> Outcome {
    run.browser_or_wire_tests("interop", "interop", BUILD)
}

fn conformance(run: &Run<'_>) -> Outcome {
    run.browser_or_wire_tests("conformance", "conformance", SHORT)
}

fn autobahn_subset(run: &Run<'_>) -> Outcome {
    if let Some(problem) = run.build_programs() {
        return Outcome::default().close(Some(problem));
    }
    autobahn::subset(run.root, &run.target, &run.examples().join("echo"), &run.processes)
}

fn fuzz_smoke(run: &Run<'_>) -> Outcome {
    fuzz::smoke(run.root, &run.target, &run.processes, |arguments| run.cargo(arguments))
}

fn e2e(run: &Run<'_>) -> Outcome {
    run.browser_or_wire_tests("e2e", "e2e", BUILD)
}

fn resume(run: &Run<'_>) -> Outcome {
    let files = ["e2e/resume.test.mjs".to_owned()];
    run.test_files("resume", &files, &[AT_FULL_LENGTH], BUILD)
}

/// With as many open files as the system allows: each session has up to two sockets.
fn soak(run: &Run<'_>) -> Outcome {
    const SOAK: &str = "ulimit -n \"$(ulimit -Hn)\" && exec cargo test --package primus-tests \
                        --all-features --test soak -- --nocapture";
    let mut command = run.tools.command("sh", run.root);
    command.args(["-c", SOAK]).envs([AT_FULL_LENGTH]);
    let finished = child::run(&run.processes, command, 2 * BUILD);
    cargo_output::parse(finished.lines.iter().map(String::as_str)).close(finished.problem)
}

fn features_page(run: &Run<'_>) -> Outcome {
    match fs::read_to_string(run.root.join("docs/features.md")) {
        Ok(page) => features::check(&page, &run.ran, &run.excused).close(None),
        Err(error) => Outcome::single("page", Some(format!("docs/features.md: {error}"))),
    }
}

fn tree(run: &Run<'_>) -> Outcome {
    let Some(before) = &run.before else {
        println!("not a git checkout, nothing to compare");
        return Outcome::single("unchanged", None);
    };
    let problem = match Tree::look(run.root) {
        Some(after) => before.difference(&after),
        None => Some("git status does not answer any more".to_owned()),
    };
    Outcome::single("unchanged", problem)
}

/// Cargo has put this program into `<target>/debug/`.
pub(crate) fn target() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    program
        .parent()
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is not in a target folder", program.display()))
}
