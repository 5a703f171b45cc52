//! Many sessions that reconnect for long, over all transports: afterwards nothing of them is left, and
//! the server's memory has not grown on the way.
//!
//! The server is a process of its own, `counter`, so that its memory is nobody else's. With
//! `XTASK_FULL` it takes five minutes and 2,000 sessions.

mod client;
mod server;

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use primus_tests::{
    http,
    server::{PATIENCE, soon},
};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::{
    client::{Client, Counts},
    server::Server,
};

/// How much of everything.
struct Scale {
    sessions: u64,
    /// Clients that come, say something and go, again and again.
    visitors: u64,
    /// When memory is looked at for the first and for the last time.
    warm: Duration,
    end: Duration,
    /// Milliseconds from one message to the next, in both directions.
    every: u64,
    /// Milliseconds that a carrier lives, from and to.
    carrier: (u64, u64),
    /// How long a session waits for a client that has vanished.
    resume_window: Duration,
    /// How much memory may grow from the first look to the last, in percent.
    growth: u64,
}

const SHORT: Scale = Scale {
    sessions: 150,
    visitors: 2,
    warm: Duration::from_secs(10),
    end: Duration::from_secs(22),
    every: 500,
    carrier: (300, 1500),
    resume_window: Duration::from_secs(7),
    // Of so little memory a few pages that the allocator keeps are much.
    growth: 20,
};

const FULL: Scale = Scale {
    sessions: 2000,
    visitors: 20,
    warm: Duration::from_secs(60),
    end: Duration::from_secs(300),
    every: 2000,
    carrier: (2500, 7500),
    resume_window: Duration::from_secs(30),
    growth: 5,
};

/// Comes and goes, each time by another transport.
async fn stay(mut client: Client, scale: &Scale, until: Instant) -> Client {
    // Not all at once.
    sleep(Duration::from_millis(client.between((0, scale.carrier.0)))).await;
    while Instant::now() < until {
        let mut carrier = client.attach().await;
        let life = Duration::from_millis(client.between(scale.carrier));
        client.converse(&mut carrier, Some(Duration::from_millis(scale.every)), sleep(life)).await;
        client.drop_carrier(carrier);
        sleep(Duration::from_millis(client.between((0, 300)))).await;
    }
    client
}

/// Comes for what it lacks, until everybody has everything. Then it ends its session or vanishes.
async fn leave(mut client: Client, complete: watch::Receiver<bool>) {
    let mut carrier = client.attach().await;
    loop {
        let mut announced = complete.clone();
        // A carrier on which nothing comes for longer is no longer waited for.
        let over = timeout(PATIENCE / 2, announced.wait_for(|complete| *complete));
        client.converse(&mut carrier, None, over.map(drop)).await;
        if *complete.borrow() {
            break;
        }
        client.drop_carrier(carrier);
        carrier = client.attach().await;
    }
    if client.number.is_multiple_of(2) {
        client.end(carrier).await;
    }
}

/// New clients that say a word and end their sessions; now and then one vanishes instead.
async fn visit(to: SocketAddr, visitor: u64, until: Instant) {
    for visit in 0.. {
        let mut client = Client::new(to, "visitor", 1 << 32 | visitor << 24 | visit);
        client.counts.write();
        let mut carrier = client.attach().await;
        let counts = Arc::clone(&client.counts);
        // It is echoed.
        let over = async {
            while counts.recv() < 1 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        soon(client.converse(&mut carrier, None, over)).await;
        if visit % 5 < 4 {
            client.end(carrier).await;
        }
        if Instant::now() > until {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// A session of which one side lacks what the other sent; panics if something came wrongly.
fn incomplete(stats: &Value, counts: &[Arc<Counts>]) -> Option<String> {
    counts.iter().enumerate().find_map(|(number, counts)| {
        let server = &stats["clients"][number.to_string()];
        for (what, times) in
            [("connections", 1), ("disconnections", 0), ("duplicate", 0), ("disordered", 0)]
        {
            assert_eq!(server[what], times, "{what} of session {number}: {server}");
        }
        let (sent, recv) = (counts.sent(), counts.recv());
        let complete = server["received"] == sent && server["sent"] == recv;
        (!complete).then(|| format!("session {number} sent {sent}, received {recv}: {server}"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_reconnect_for_long_leave_nothing_behind() {
    let scale = if std::env::var_os("XTASK_FULL").is_some() { &FULL } else { &SHORT };
    enough_files(scale.sessions);
    let server = Server::start(scale.resume_window).await;
    let to = server.to;
    for visitor in 0..3 {
        visit(to, 200 + visitor, Instant::now()).await;
    }
    let tasks = server.tasks_at_rest().await;

    let begin = Instant::now();
    let end = begin + scale.end;
    let mut visitors = JoinSet::new();
    for visitor in 0..scale.visitors {
        visitors.spawn(visit(to, visitor, end));
    }
    let mut sessions = JoinSet::new();
    let mut counts = Vec::new();
    for number in 0..scale.sessions {
        let query = format!("client={number}&every={}", scale.every);
        let client = Client::new(to, &query, number);
        counts.push(Arc::clone(&client.counts));
        sessions.spawn(stay(client, scale, end));
    }
    let over = scale.warm / 3;
    let looks =
        async { (server.memory(begin + scale.warm, over).await, server.memory(end, over).await) };
    let (clients, _, (warm, last)) = tokio::join!(all(sessions), all(visitors), looks);
    let reconnects: u64 = clients.iter().map(|client| client.attempt - 1).sum();

    http::get("/rest").send(to).await;
    let (announce, complete) = watch::channel(false);
    let mut leaving = JoinSet::new();
    for client in clients {
        leaving.spawn(leave(client, complete.clone()));
    }
    let deadline = Instant::now() + 3 * PATIENCE;
    while let Some(which) = incomplete(&server.stats().await, &counts) {
        assert!(Instant::now() < deadline, "not everything has arrived: {which}");
        sleep(Duration::from_millis(200)).await;
    }
    announce.send_replace(true);
    all(leaving).await;
    server.idle(Some(tasks)).await;

    let messages: u64 = counts.iter().map(|counts| counts.sent() + counts.recv()).sum();
    println!(
        "{} sessions, {reconnects} reconnects, {messages} messages, lost 0, duplicate 0; afterwards 0 sessions, 0 bytes \
         kept, {tasks} tasks as before; memory {warm} KiB after {} s, {last} KiB after {} s",
        scale.sessions,
        scale.warm.as_secs(),
        scale.end.as_secs(),
    );
    assert!(reconnects >= scale.sessions * 5, "only {reconnects} reconnects");
    assert!(last * 100 <= warm * (100 + scale.growth), "memory grew from {warm} to {last} KiB");
}

/// Each session has up to two sockets.
fn enough_files(sessions: u64) {
    let limits = fs::read_to_string("/proc/self/limits").expect("the limits of this process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).expect("how many files");
    let most = soft.parse().unwrap_or(u64::MAX);
    assert!(most >= 3 * sessions, "only {most} open files; run `ulimit -n {}`", 3 * sessions);
}

async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut done = Vec::new();
    while let Some(task) = tasks.join_next().await {
        done.push(task.expect("no failure"));
    }
    done
}
