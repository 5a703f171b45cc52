//! A server that is weighed, in a process of its own: `weigh`, or `weigh-axum`.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _, stdin},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use primus::Primus;
use tokio::time::sleep;

use crate::server::PATIENCE;

/// How long nothing may change until that counts as rest, where all clients are connected or gone.
pub const PAUSE: Duration = Duration::from_millis(200);

/// Answers each line of the input, in such a process, with what it holds: `heap` says how many bytes are alive.
///
/// # Panics
/// Outside of a runtime.
pub fn tell(primus: Primus, heap: impl Fn() -> usize + Send + 'static) {
    let runtime = tokio::runtime::Handle::current().metrics();
    thread::spawn(move || {
        for _ in stdin().lines() {
            println!("{} {} {}", heap(), runtime.num_alive_tasks(), primus.sessions());
            let _ = std::io::stdout().flush();
        }
    });
}

/// A server with an echo for a handler.
pub struct Weighed {
    child: Child,
    ask: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    to: SocketAddr,
}

/// What a server holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Bytes that are alive on its heap.
    pub heap: usize,
    /// Tasks of its runtime.
    pub tasks: usize,
    /// Sessions, with a carrier or without.
    pub sessions: usize,
}

impl Weighed {
    /// Starts `program`, such as `env!("CARGO_BIN_EXE_weigh")`, with this `primus.toml`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(program: &str, config: &str) -> Self {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let mut file = std::env::temp_dir();
        file.push(format!("primus-weighed-{}-{number}.toml", std::process::id()));
        std::fs::write(&file, config).expect("a file");
        let mut child = Command::new(program)
            .args(["--config".as_ref(), file.as_os_str()])
            // What a worker thread keeps for itself is there once.
            .env("TOKIO_WORKER_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let ask = child.stdin.take().expect("its input");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next().expect("where it listens").expect("where it listens");
        let to = line.strip_prefix("listening on http://").expect("where it listens");
        let to = to.parse().expect("an address");
        std::fs::remove_file(&file).expect("it was there");
        Self { child, ask, lines, to }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.to
    }

    /// What it holds now.
    ///
    /// # Panics
    /// If it is gone.
    pub fn weight(&mut self) -> Weight {
        self.ask.write_all(b"\n").expect("it runs");
        let line = self.lines.next().expect("it answers").expect("it answers");
        let mut numbers = line.split(' ').map(|number| number.parse().expect("a number"));
        let mut number = || numbers.next().expect("three numbers");
        Weight { heap: number(), tasks: number(), sessions: number() }
    }

    /// What it holds once nothing has changed for so long.
    pub async fn at_rest(&mut self, pause: Duration) -> Weight {
        let deadline = Instant::now() + PATIENCE;
        let mut last = self.weight();
        loop {
            sleep(pause).await;
            let now = self.weight();
            if now == last || Instant::now() > deadline {
                return now;
            }
            last = now;
        }
    }

    /// Waits until it holds no more than this.
    ///
    /// # Errors
    /// What it holds then.
    pub async fn sinks_to(&mut self, most: Weight, patience: Duration) -> Result<(), Weight> {
        let deadline = Instant::now() + patience;
        loop {
            let now = self.weight();
            let Weight { heap, tasks, sessions } = now;
            if heap <= most.heap && tasks <= most.tasks && sessions <= most.sessions {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(now);
            }
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Weighed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
