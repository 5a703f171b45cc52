//! One run of the tests, and how it leaves no process behind.
//!
//! Every child inherits [`VARIABLE`] with a value that no other run has. Whoever carries it was started by
//! this run, in whatever process group or session it hid itself (browsers do), and can be found in `/proc`.
//! A second process, the guard, waits on a pipe that closes when this one ends, however it ends, and then
//! kills what is left; so Ctrl-C or a cancelled CI job leaves nothing either.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The hidden task that the guard process runs.
pub(crate) const GUARD: &str = "guard-processes";

const VARIABLE: &str = "XTASK_RUN";
const POLL: Duration = Duration::from_millis(50);

pub(crate) struct Processes {
    marker: String,
    guard: Option<Child>,
}

impl Processes {
    pub(crate) fn start() -> Result<Self, String> {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos());
        let marker = format!("{}.{nanos}", std::process::id());
        let program = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
        let guard = Command::new(program)
            .args([GUARD, &marker])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("the guard process did not start: {e}"))?;
        Ok(Self { marker, guard: Some(guard) })
    }

    /// Marks what `command` will start as part of this run.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env(VARIABLE, &self.marker);
    }

    /// Gives processes of this run that are still there `grace` to go away by themselves, then kills them.
    /// Returns the command lines of those that had to be killed.
    pub(crate) fn sweep(&self, grace: Duration) -> Vec<String> {
        sweep(&self.marker, grace)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }
}

/// The guard's whole life: wait until the other end of stdin is gone, then sweep.
pub(crate) fn guard(marker: &str) {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    sweep(marker, Duration::ZERO);
}

fn sweep(marker: &str, grace: Duration) -> Vec<String> {
    let left = wait_until_gone(marker, grace);
    if left.is_empty() {
        return Vec::new();
    }
    let lines = left.iter().map(|pid| format!("{pid} {}", command_line(pid))).collect();
    signal("TERM", &left);
    let stubborn = wait_until_gone(marker, Duration::from_secs(3));
    signal("KILL", &stubborn);
    wait_until_gone(marker, Duration::from_secs(3));
    lines
}

fn wait_until_gone(marker: &str, limit: Duration) -> Vec<String> {
    let until = Instant::now() + limit;
    loop {
        let left = marked(marker);
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        std::thread::park_timeout(POLL);
    }
}

fn marked(marker: &str) -> Vec<String> {
    let wanted = format!("{VARIABLE}={marker}");
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&b| b == 0).any(|entry| entry == wanted.as_bytes())
        })
        .collect()
}

fn command_line(pid: &str) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw).replace('\0', " ");
    text.chars().take(120).collect()
}

/// By way of `sh`, whose `kill` is built in: a system call of our own would need `unsafe` or a dependency.
fn signal(name: &str, pids: &[String]) {
    if pids.is_empty() {
        return;
    }
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$0\" -- \"$@\"", name])
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_left_its_group_is_found_and_killed() {
        let processes = Processes { marker: format!("test.{}", std::process::id()), guard: None };
        let mut command = Command::new("sleep");
        command.arg("600").process_group(0);
        processes.mark(&mut command);
        let mut child = command.spawn().unwrap();
        let waiting = std::thread::spawn(move || child.wait());
        // What a process was started with can be read only a moment after its start.
        let mut sweeps = std::iter::repeat_with(|| processes.sweep(Duration::ZERO)).take(1000);
        let killed = sweeps.find(|killed| !killed.is_empty()).unwrap_or_default();
        assert_eq!(killed.len(), 1, "{killed:?}");
        assert!(killed[0].contains("sleep 600"), "{killed:?}");
        assert!(!waiting.join().unwrap().unwrap().success());
        assert!(processes.sweep(Duration::ZERO).is_empty());
    }
}
