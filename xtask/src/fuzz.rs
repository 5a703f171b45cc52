//! Fuzzing by cargo-fuzz: for seconds as a suite of `cargo xtask test`, for as long as wished by `cargo xtask fuzz`.
//!
//! Without a sanitizer, so that it needs no nightly compiler: our crates have no unsafe code, and what the targets
//! check themselves is what matters.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child;
use crate::outcome::Outcome;
use crate::processes::Processes;

/// As in `fuzz/targets/`.
const TARGETS: [&str; 5] = ["driver", "deflate", "handshake", "frames", "batches"];

/// Seconds for each in a suite.
const SMOKE: u64 = 5;
/// A cold build, and some time beyond that of the fuzzing itself.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// Each target, for seconds. `cargo` makes the command.
pub(crate) fn smoke(
    root: &Path,
    processes: &Processes,
    cargo: impl Fn(&[&str]) -> Command,
) -> Outcome {
    let name = |target: &&str| format!("fuzz {target}");
    if child::answer(&mut cargo(&["fuzz", "--version"])).is_none() {
        let names = TARGETS.iter().map(name).collect();
        return Outcome::skipped(names, "there is no cargo-fuzz: cargo install cargo-fuzz");
    }
    let mut outcome = Outcome::default();
    for target in &TARGETS {
        let problem = match fuzz(root, target, SMOKE, &cargo) {
            Ok(command) => child::run(processes, command, BUILD).problem,
            Err(problem) => Some(problem),
        };
        outcome.join(Outcome::single(&name(target), problem));
    }
    outcome
}

/// `cargo xtask fuzz TARGET SECONDS`. False if there was a finding.
pub(crate) fn long(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let usage = || format!("usage: cargo xtask fuzz {} SECONDS", TARGETS.join("|"));
    let [target, seconds] = arguments else { return Err(usage()) };
    let seconds = seconds.parse().map_err(|_| usage())?;
    if !TARGETS.contains(target) {
        return Err(usage());
    }
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).current_dir(root);
        cargo
    };
    let mut command = fuzz(root, target, seconds, cargo)?;
    let status = command.stdin(Stdio::null()).status().map_err(|error| error.to_string())?;
    Ok(status.success())
}

/// What is found on the way to new code is kept in `fuzz/corpus/`, what fails in `fuzz/artifacts/`.
fn fuzz(
    root: &Path,
    target: &str,
    seconds: u64,
    cargo: impl Fn(&[&str]) -> Command,
) -> Result<Command, String> {
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(root.join(&corpus)).map_err(|error| format!("{corpus}: {error}"))?;
    let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", target]);
    command
        .args([&corpus, &format!("fuzz/seeds/{target}"), "--"])
        .arg(format!("-max_total_time={seconds}"))
        .args(["-rss_limit_mb=512", "-timeout=20", "-print_final_stats=1"])
        // The whole-program optimization of releases takes minutes, and takes the fuzzer's counters away.
        .env("CARGO_PROFILE_RELEASE_LTO", "off");
    Ok(command)
}
