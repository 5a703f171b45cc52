//! A server that is weighed: `weigh`, in a process of its own.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::server::PATIENCE;

/// How long nothing may change until that counts as rest, where all clients are connected or gone.
pub const PAUSE: Duration = Duration::from_millis(200);

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
}

impl Weighed {
    /// Starts `program`, which is `env!("CARGO_BIN_EXE_weigh")`, with this `primus.toml`.
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
        let (heap, tasks) = line.split_once(' ').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        Weight { heap: number(heap), tasks: number(tasks) }
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
            if now.heap <= most.heap && now.tasks <= most.tasks {
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
