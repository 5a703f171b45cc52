//! Runs one command of a suite: shows its output as it comes, keeps it, and ends it at a time limit.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::processes::Processes;

/// What a finished command leaves.
pub(crate) struct Finished {
    /// Why it is not a success, for people: an exit code, a time limit, a process left behind.
    pub(crate) problem: Option<String>,
    /// Standard output and standard error, in the order in which they were written.
    pub(crate) lines: Vec<String>,
}

/// How long helpers of a command (a browser's crash handler, say) may outlive it.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(processes: &Processes, mut command: Command, limit: Duration) -> Finished {
    processes.mark(&mut command);
    match start(&mut command) {
        Ok((child, reader)) => watch(processes, command, child, reader, limit),
        Err(error) => {
            let program = command.get_program().to_string_lossy().into_owned();
            Finished::failed(format!("{program} did not start: {error}"))
        }
    }
}

/// For a command whose output is an answer and not worth showing. Only standard output is kept.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    output.status.success().then_some(text)
}

impl Finished {
    fn failed(problem: String) -> Self {
        Self { problem: Some(problem), lines: Vec::new() }
    }
}

/// One pipe for both streams: cargo names the test binary on one and its results on the other.
fn start(command: &mut Command) -> std::io::Result<(std::process::Child, std::io::PipeReader)> {
    let (reader, writer) = std::io::pipe()?;
    let child = command
        .env("CARGO_TERM_COLOR", "never")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((child, reader))
}

fn watch(
    processes: &Processes,
    command: Command,
    mut child: std::process::Child,
    reader: std::io::PipeReader,
    limit: Duration,
) -> Finished {
    // The command holds the writing end of the pipe; the reader sees its end only without it.
    drop(command);
    let reading = std::thread::spawn(move || show(reader));
    let (sender, exited) = mpsc::sync_channel(1);
    let waiting = std::thread::spawn(move || sender.send(child.wait()));

    let mut problems = Vec::new();
    let status = if let Ok(status) = exited.recv_timeout(limit) {
        for line in processes.sweep(GRACE) {
            problems.push(format!("left a process behind, killed it: {line}"));
        }
        status
    } else {
        problems.push(format!("stopped after its time limit of {} s", limit.as_secs()));
        processes.sweep(Duration::ZERO);
        exited.recv().unwrap_or_else(|_| Err(std::io::Error::other("nobody waited for it")))
    };
    let _ = waiting.join();
    let lines = reading.join().unwrap_or_default();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => problems.push(describe(status)),
        Err(error) => problems.push(error.to_string()),
    }
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    Finished { problem, lines }
}

fn show(reader: std::io::PipeReader) -> Vec<String> {
    let mut lines = Vec::new();
    let mut raw = Vec::new();
    let mut reader = BufReader::new(reader);
    while matches!(reader.read_until(b'\n', &mut raw), Ok(n) if n > 0) {
        let line = String::from_utf8_lossy(&raw).trim_end_matches(['\n', '\r']).to_owned();
        println!("{line}");
        lines.push(line);
        raw.clear();
    }
    lines
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_kept_in_order() {
        let processes = Processes::start().unwrap();
        let done = run(&processes, sh("echo a; echo b >&2; echo c"), Duration::from_secs(20));
        assert_eq!(done.problem, None);
        assert_eq!(done.lines, ["a", "b", "c"]);
    }

    #[test]
    fn a_failure_says_its_code() {
        let processes = Processes::start().unwrap();
        let done = run(&processes, sh("exit 3"), Duration::from_secs(20));
        assert_eq!(done.problem.as_deref(), Some("exit code 3"));
    }

    #[test]
    fn the_time_limit_ends_children_and_grandchildren() {
        let processes = Processes::start().unwrap();
        let begun = Instant::now();
        let done = run(&processes, sh("setsid sleep 600 & sleep 600"), Duration::from_millis(200));
        assert!(done.problem.unwrap().contains("time limit"));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_missing_program_is_a_failure() {
        let processes = Processes::start().unwrap();
        let done = run(&processes, Command::new("no-such-program-anywhere"), GRACE);
        assert!(done.problem.unwrap().contains("no-such-program-anywhere did not start"));
    }
}
