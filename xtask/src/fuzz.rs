//! Fuzzing by libFuzzer: for seconds as a suite of `cargo xtask test`, for as long as wished by `cargo xtask fuzz`.
//!
//! The targets are those of cargo-fuzz, and they are built as it builds them, but all at once; so neither it nor a
//! nightly compiler has to be there. Without a sanitizer: our crates have no unsafe code but a hint
//! to the processor, and what the targets check themselves is what matters.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child;
use crate::outcome::Outcome;
use crate::processes::Processes;

/// As in `fuzz/targets/`.
const TARGETS: [&str; 11] = [
    "driver",
    "deflate",
    "handshake",
    "frames",
    "batches",
    "engineio",
    "socketio",
    "sockjs",
    "bayeux",
    "browserchannel",
    "actioncable",
];

/// Seconds for each in a suite.
const SMOKE: u64 = 30;
/// And how long it may take to begin and to end on a busy machine.
const MORE: u64 = 120;
/// A cold build on two slow cores.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// What cargo-fuzz gives to rustc: libFuzzer sees which code was reached, and what was compared there.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// Each target, for seconds. `cargo` makes the command.
pub(crate) fn smoke(
    root: &Path,
    folder: &Path,
    processes: &Processes,
    cargo: impl Fn(&[&str]) -> Command,
) -> Outcome {
    let built =
        build(cargo).and_then(|(host, build)| match child::run(processes, build, BUILD).problem {
            Some(problem) => Err(format!("the fuzz targets did not build: {problem}")),
            None => Ok(host),
        });
    let host = match built {
        Ok(host) => host,
        Err(problem) => return Outcome::default().close(Some(problem)),
    };
    let mut outcome = Outcome::default();
    for target in &TARGETS {
        let limit = Duration::from_secs(SMOKE + MORE);
        let problem = match fuzz(root, folder, &host, target, SMOKE) {
            Ok(mut command) => {
                command.arg("-verbosity=0"); // findings and figures, but not every step
                child::run(processes, command, limit).problem
            }
            Err(problem) => Some(problem),
        };
        outcome.join(Outcome::single(&format!("fuzz {target}"), problem));
    }
    outcome
}

/// `cargo xtask fuzz TARGET SECONDS`. False if there was a finding.
pub(crate) fn long(root: &Path, folder: &Path, arguments: &[&str]) -> Result<bool, String> {
    let usage = || format!("usage: cargo xtask fuzz {} SECONDS", TARGETS.join("|"));
    let [target, seconds] = arguments else { return Err(usage()) };
    let seconds = seconds.parse().map_err(|_| usage())?;
    if !TARGETS.contains(target) {
        return Err(usage());
    }
    let run = |mut command: Command| {
        let status = command.stdin(Stdio::null()).status().map_err(|error| error.to_string())?;
        Ok::<bool, String>(status.success())
    };
    let (host, build) = build(|arguments| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).current_dir(root);
        cargo
    })?;
    Ok(run(build)? && run(fuzz(root, folder, &host, target, seconds)?)?)
}

/// The command that builds all targets, and the processor for which it does. That is named, so that what runs while
/// it builds is built as usual.
fn build(cargo: impl Fn(&[&str]) -> Command) -> Result<(String, Command), String> {
    let version = child::answer(Command::new("rustc").arg("-vV")).unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc -vV does not say for which processor it builds")?.to_owned();
    let mut build =
        cargo(&["build", "-p", "primus-fuzz", "--bins", "--profile", "fuzz", "--target", &host]);
    build.env("RUSTFLAGS", FLAGS);
    Ok((host, build))
}

/// What is found on the way to new code is kept in `fuzz/corpus/`, what fails in `fuzz/artifacts/`.
fn fuzz(
    root: &Path,
    folder: &Path,
    host: &str,
    target: &str,
    seconds: u64,
) -> Result<Command, String> {
    let (corpus, artifacts) = (format!("fuzz/corpus/{target}"), format!("fuzz/artifacts/{target}"));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(root.join(folder)).map_err(|error| format!("{folder}: {error}"))?;
    }
    let mut command = Command::new(folder.join(host).join("fuzz").join(target));
    command
        .current_dir(root)
        .args([&corpus, &format!("fuzz/seeds/{target}")])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={artifacts}/"))
        .args(["-rss_limit_mb=512", "-timeout=20", "-print_final_stats=1"]);
    Ok(command)
}
