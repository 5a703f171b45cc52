//! The server under test: the echo example, with room for what Autobahn sends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::processes::Processes;

/// Options of `docs/configuration.md`. The mount itself takes messages of 16 MiB, the largest there are; the
/// cases of 9.5 and 9.6 send a message in 65,536 fragments. With context takeover, so that the cases which do
/// not rule it out have it; those which do are served as everybody is by default.
const OPTIONS: &[(&str, &str)] = &[
    ("PRIMUS_MAX_FRAGMENTS", "65537"),
    ("PRIMUS_COMPRESSION", "true"),
    ("PRIMUS_COMPRESSION_TAKEOVER", "true"),
    ("PRIMUS_COMPRESSION_THRESHOLD", "0"),
];

const PREFIX: &str = "listening on http://";

pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    /// Of its own: what is left of a command's processes is ended with the command, and this is to stay.
    _processes: Processes,
}

impl Server {
    /// `program` is the built example.
    pub(super) fn start(program: &Path) -> Result<Self, String> {
        let processes = Processes::start()?;
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).envs(OPTIONS.iter().copied());
        processes.mark(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut said);
        }
        let Some(address) = said.trim_end().strip_prefix(PREFIX) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{} did not listen; see what it says above", program.display()));
        };
        Ok(Self { url: format!("ws://{address}/ws"), child, _processes: processes })
    }

    /// Why it is not there any more, if so.
    pub(super) fn problem(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("the server has ended: {status}")),
            Err(error) => Some(format!("the server: {error}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_listen_is_an_error() {
        let said = Server::start(Path::new("/bin/true")).err().unwrap();
        assert!(said.contains("/bin/true did not listen"), "{said}");
        let said = Server::start(Path::new("/no/such/echo")).err().unwrap();
        assert!(said.starts_with("/no/such/echo: "), "{said}");
    }
}
