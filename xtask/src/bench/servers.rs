//! The servers that are measured, and one that runs.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::processes::Processes;
use crate::setup::Tools;

pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    program: Program,
    pub(super) dialect: &'static str,
    /// In place of the dialect's usual one.
    pub(super) path: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    /// `examples/echo`, which has this in its environment.
    Ours(&'static [&'static str]),
    /// Of the workspace `benches/peers`.
    Rust(&'static str),
    /// Of `benches/peers/node`.
    Node(&'static str),
}

pub(super) static SERVERS: &[Server] = &[
    Server {
        path: Some("/ws"),
        ..server(
            "primus-ws",
            "this project, `/ws`: plain WebSocket, parser raw",
            Program::Ours(&[]),
            "plain",
        )
    },
    server(
        "primus-classic",
        "this project, `/primus`: the dialect of Primus 8, JSON",
        Program::Ours(&[]),
        "classic",
    ),
    server(
        "primus-resumable",
        "this project, `/primus`: the dialect of its own client, JSON, resumable",
        Program::Ours(&[]),
        "resumable",
    ),
    server(
        "primus-socket.io",
        "this project, transformer `socket.io`",
        Program::Ours(&["PRIMUS_PATH=/socket.io", "PRIMUS_TRANSFORMERS=socket.io"]),
        "socket.io",
    ),
    server(
        "primus-sockjs",
        "this project, transformer `sockjs`, parser raw",
        Program::Ours(&["PRIMUS_PATH=/echo", "PRIMUS_TRANSFORMERS=sockjs", "PRIMUS_PARSER=raw"]),
        "sockjs",
    ),
    server(
        "tungstenite",
        "tokio-tungstenite with its defaults, a `send` for each message",
        Program::Rust("tungstenite"),
        "plain",
    ),
    server(
        "tungstenite-tuned",
        "tokio-tungstenite, 4 KiB read buffer, `feed` and one `flush`",
        Program::Rust("tungstenite-tuned"),
        "plain",
    ),
    server("axum", "axum's `WebSocketUpgrade`", Program::Rust("axum"), "plain"),
    server("fastwebsockets", "fastwebsockets over hyper", Program::Rust("fastwebsockets"), "plain"),
    server("socketioxide", "socketioxide over axum", Program::Rust("socketioxide"), "socket.io"),
    server("ws", "npm ws", Program::Node("ws.js"), "plain"),
    server("primus", "npm primus, transformer websockets", Program::Node("primus.js"), "classic"),
    server("socket.io", "npm socket.io", Program::Node("socket.io.js"), "socket.io"),
    server("sockjs", "npm sockjs", Program::Node("sockjs.js"), "sockjs"),
];

const fn server(
    name: &'static str,
    what: &'static str,
    program: Program,
    dialect: &'static str,
) -> Server {
    Server { name, what, program, dialect, path: None }
}

/// The server of this name.
pub(super) fn server_named(name: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.name == name)
}

impl Server {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.program, Program::Ours(_))
    }

    fn command(
        &self,
        root: &Path,
        target: &Path,
        tools: &Tools,
        port: u16,
        threads: usize,
    ) -> Command {
        let peers = root.join("benches/peers");
        match self.program {
            Program::Ours(variables) => {
                let mut command = tools.command("env", root);
                command
                    .arg("PRIMUS_MAX_CONNECTIONS_PER_ADDRESS=100000")
                    .args(variables)
                    .arg(target.join("release/examples/echo"))
                    .args([
                        "--threads",
                        &threads.to_string(),
                        "--listen",
                        &format!("127.0.0.1:{port}"),
                    ]);
                command
            }
            Program::Rust(name) => {
                let program = peers.join("target/release").join(name);
                let mut command = tools.command(&program.to_string_lossy(), root);
                command.arg(port.to_string());
                command
            }
            Program::Node(script) => {
                let mut command = tools.command("node", &peers.join("node"));
                command.args([script, &port.to_string()]);
                command
            }
        }
    }
}

/// A server that runs; it ends with this value.
pub(super) struct Running {
    child: Child,
    pub(super) address: SocketAddr,
}

/// Where and how a server runs.
pub(super) struct Place<'a> {
    pub(super) root: &'a Path,
    pub(super) target: &'a Path,
    pub(super) tools: &'a Tools,
    pub(super) processes: &'a Processes,
    /// As `taskset` wants them; `None`: wherever the system likes.
    pub(super) cores: Option<String>,
    pub(super) threads: usize,
}

impl Running {
    pub(super) fn start(server: &Server, place: &Place<'_>) -> Result<Self, String> {
        const PATIENCE: Duration = Duration::from_secs(20);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| format!("no free port: {error}"))?;
        let program =
            server.command(place.root, place.target, place.tools, address.port(), place.threads);
        let mut command = on_cores(program, place.cores.as_deref());
        place.processes.mark(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{}: {error}", server.name))?;
        let mut running = Self { child, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end || !matches!(running.child.try_wait(), Ok(None)) {
                return Err(format!("{} does not listen; see what it says above", server.name));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// All of `env`, `taskset` and the shell become the server: it is the process that was started.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, with as many open files as there may be, on these cores.
pub(super) fn on_cores(command: Command, cores: Option<&str>) -> Command {
    const FILES: &str = "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"";
    let mut all = Command::new("sh");
    all.args(["-c", FILES, "sh"]);
    if let Some(cores) = cores {
        all.args(["taskset", "-c", cores]);
    }
    all.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        all.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => all.env(name, value),
            None => all.env_remove(name),
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_arguments_folder_and_variables_on_its_core() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$A $0 $(pwd)\"", "b c"]).env("A", "a").current_dir("/");
        let output = on_cores(command, None).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a b c /\n");
    }

    #[test]
    fn names_are_unique() {
        for server in SERVERS {
            assert!(std::ptr::eq(server_named(server.name).unwrap(), server), "{}", server.name);
        }
    }
}
