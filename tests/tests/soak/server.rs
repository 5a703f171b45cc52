//! The server, in a process of its own.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use primus_tests::{http, server::PATIENCE};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, sleep_until},
};

/// A poll that does not come is noticed after so long.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Server {
    child: Child,
    pub(crate) to: SocketAddr,
    /// How long what is left behind may stay.
    patience: Duration,
}

impl Server {
    pub(crate) async fn start(resume_window: Duration) -> Self {
        let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.toml");
        // No client answers pings.
        let settings = format!(
            "ping_interval = \"1h\"\nping_timeout = {}\nresume_window = {}\n",
            PING_TIMEOUT.as_millis(),
            resume_window.as_millis(),
        );
        fs::write(&config, settings).expect("a config");
        let mut child = Command::new(env!("CARGO_BIN_EXE_counter"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("its output").expect("where it listens");
        let to = line.strip_prefix("listening on http://").expect("where it listens");
        let patience = PING_TIMEOUT + resume_window + PATIENCE;
        Self { to: to.parse().expect("an address"), child, patience }
    }

    pub(crate) async fn stats(&self) -> Value {
        http::get("/stats").send(self.to).await.json()
    }

    /// Resident memory in KiB: its mean over the time before `moment`.
    pub(crate) async fn memory(&self, moment: Instant, over: Duration) -> u64 {
        const LOOKS: u32 = 20;
        let mut sum = 0;
        for look in (0..LOOKS).rev() {
            sleep_until(moment - over / LOOKS * look).await;
            sum += self.memory_now();
        }
        sum / u64::from(LOOKS)
    }

    fn memory_now(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// How many tasks it has without clients: as many as stay for longer than what a client leaves behind may.
    pub(crate) async fn tasks_at_rest(&self) -> u64 {
        let mut tasks = self.idle(None).await;
        let mut since = Instant::now();
        while since.elapsed() < PING_TIMEOUT {
            sleep(Duration::from_millis(200)).await;
            let now = self.idle(None).await;
            if now != tasks {
                (tasks, since) = (now, Instant::now());
            }
        }
        tasks
    }

    /// Waits until it holds as much as it does without clients; returns how many tasks that are.
    pub(crate) async fn idle(&self, tasks: Option<u64>) -> u64 {
        let deadline = Instant::now() + self.patience;
        loop {
            let stats = self.stats().await;
            let is = |what: &str, number| stats[what].as_u64() == Some(number);
            let alive = stats["tasks"].as_u64().expect("a number");
            if is("sessions", 0) && is("kept", 0) && tasks.is_none_or(|tasks| alive == tasks) {
                return alive;
            }
            let (sessions, kept) = (&stats["sessions"], &stats["kept"]);
            assert!(
                Instant::now() < deadline,
                "left behind: {sessions} sessions, {kept} bytes kept, {alive} tasks of {tasks:?}"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }
}
