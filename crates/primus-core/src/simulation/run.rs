//! One seed: a server, its clients, the network between them, and what goes wrong.

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    application::{Book, MESSAGES, Said, Verdict},
    carriers::Client,
    faults::{Coverage, FAULTS, Fault},
    network::{Ms, Network},
    rng::{Rng, seed_ids},
    server::Server,
};
use crate::{
    primus::Primus,
    settings::{Limits, MountSettings, Settings},
    spark::State,
    transform::Transforms,
};

/// Faults of one seed, at least.
const FAULTS_EACH: u64 = 10;
/// How long it may take until everything has arrived, once the network has healed.
const RECOVERY: Ms = 45_000;
const WINDOW: Duration = Duration::from_secs(60);

/// Runs one seed. What went wrong, if anything did.
pub(super) fn run(seed: u64) -> Result<Coverage, String> {
    seed_ids(Some(seed));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async { World::new(seed).run().await })
    }));
    seed_ids(None);
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Err(text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "it panicked".into()))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Things go wrong.
    Hostile,
    /// Nothing goes wrong any more; everything has to arrive until then.
    Healed(Ms),
    /// The clients are away; at that time the application ends their sessions.
    Parted(Ms),
    /// The sessions end; nothing may be left by then.
    Ended(Ms),
}

struct World {
    start: Instant,
    rng: Rng,
    primus: Primus,
    server: Server,
    net: Network,
    clients: Vec<Client>,
    verdict: Verdict,
    limits: Limits,
    phase: Phase,
    next_fault: Ms,
    next_write: Ms,
    sleep: Pin<Box<Sleep>>,
}

fn limits(rng: &mut Rng) -> Limits {
    Limits {
        max_message: rng.between(64, 4096) as usize,
        body_timeout: Duration::from_secs(2),
        poll_timeout: Duration::from_millis(rng.between(500, 3000)),
        close_timeout: Duration::from_secs(2),
        pressure: rng.between(256, 8192) as usize,
        max_queued: rng.between(1024, 16384) as usize,
        inbox_messages: rng.between(1, 64) as usize,
        inbox_bytes: rng.between(64, 8192) as usize,
        resume_window: WINDOW,
        resume_messages: rng.between(4, 256) as usize,
        resume_bytes: rng.between(256, 8192) as usize,
        ..Limits::default()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings {
            ping_interval: Duration::from_millis(rng.between(800, 3000)),
            ping_timeout: Duration::from_millis(rng.between(800, 2000)),
            ..Settings::default()
        };
        let limits = limits(&mut rng);
        let mut mount = MountSettings::new("primus");
        mount.limits = limits.clone();
        let primus = Primus::new(settings, Transforms::default(), [(mount, vec![])]);
        let verdict = Verdict::new(rng.fork());
        let pushes = seed % 16 == 15;
        verdict.allow(|rules| (rules.pushy, rules.pushes) = (pushes, pushes));
        let application = verdict.clone();
        primus.on_connection(move |spark| application.clone().serve(spark));
        let application = verdict.clone();
        primus.on_disconnection(move |spark, _| {
            let application = application.clone();
            async move { application.book(&spark.id().to_string(), |book| book.ends += 1) }
        });
        let application = verdict.clone();
        primus.on_detach(move |spark, _| {
            let application = application.clone();
            async move { application.carried(&spark, false) }
        });
        let application = verdict.clone();
        primus.on_resume(move |spark| {
            let application = application.clone();
            async move { application.carried(&spark, true) }
        });
        let start = Instant::now();
        Self {
            start,
            server: Server::new(Arc::clone(&primus.mounts()[0]), verdict.clone()),
            net: Network::new(rng.fork()),
            clients: vec![Client::new(0, rng.fork(), verdict.clone())],
            primus,
            verdict,
            limits,
            phase: Phase::Hostile,
            next_fault: 200,
            next_write: 0,
            sleep: Box::pin(sleep_until(start)),
            rng,
        }
    }

    async fn run(mut self) -> Result<Coverage, String> {
        poll_fn(|cx| self.poll(cx)).await;
        match self.verdict.failure() {
            Some(failure) => Err(format!("{failure}, at {} ms", self.now())),
            None => Ok(self.coverage()),
        }
    }

    fn now(&self) -> Ms {
        self.start.elapsed().as_millis() as Ms
    }

    /// Ready when all is over, or something went wrong.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.now();
            let mut turns = 0;
            while self.turn(now, cx) {
                turns += 1;
                if turns > 10_000 {
                    self.verdict.fail("it turns in circles".into());
                }
                if self.verdict.failure().is_some() {
                    return Poll::Ready(());
                }
            }
            self.net.tidy();
            self.check_caps();
            if self.verdict.failure().is_some() || self.advance(now) {
                return Poll::Ready(());
            }
            let next = self.next_at(now).max(now + 1);
            self.sleep.as_mut().reset(self.start + Duration::from_millis(next));
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Everybody does what there is to do now. False: there was nothing.
    fn turn(&mut self, now: Ms, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        for client in &mut self.clients {
            progress |= client.read(&mut self.net, now);
            client.act(&mut self.net, now);
        }
        let Network { air, connections, .. } = &mut self.net;
        for connection in connections {
            progress |= self.server.serve(connection, air, now, cx);
        }
        progress
    }

    fn next_at(&self, now: Ms) -> Ms {
        let mut next = match self.phase {
            Phase::Hostile => self.next_fault.min(self.next_write),
            Phase::Healed(until) => until.min(self.next_write),
            Phase::Parted(until) | Phase::Ended(until) => until,
        };
        for connection in &self.net.connections {
            let reads_at = connection.client.map_or(0, |client| self.clients[client].reads_at);
            let down = connection.down.next_at().filter(|_| connection.client.is_some());
            let times = [
                connection.up.next_at(),
                down.map(|at| at.max(reads_at)),
                connection.end.next_at(),
            ];
            // What is there already waits for somebody, who wakes us.
            next = times.into_iter().flatten().filter(|at| *at > now).fold(next, Ms::min);
        }
        self.clients.iter().filter_map(|client| client.next_at(now)).fold(next, Ms::min)
    }

    /// What happens by itself at this time. True: all is over.
    fn advance(&mut self, now: Ms) -> bool {
        if self.phase != Phase::Hostile || now >= self.next_write {
            self.write(now);
        }
        match self.phase {
            Phase::Hostile => {
                if now >= self.next_fault {
                    self.next_fault = now + self.rng.between(20, 900);
                    self.go_wrong(now);
                    let enough = self.net.air.coverage.all_faults() >= FAULTS_EACH;
                    if enough && self.has_written() {
                        self.net.air.healed = true;
                        self.verdict.allow(|rules| rules.pushes = false);
                        let all_here = self.clients.iter().map(|client| client.retry_at).max();
                        self.phase = Phase::Healed(all_here.unwrap_or(0).max(now) + RECOVERY);
                    }
                }
                false
            }
            Phase::Healed(until) => {
                let missing = self.missing();
                if missing.is_empty() {
                    // Who does not know yet that a copy has his session may find it ended.
                    self.verdict.allow(|rules| rules.ending = true);
                    self.phase = self.begin_end(now);
                } else if now >= until {
                    self.verdict.fail(format!("not everything has arrived: {missing}"));
                }
                false
            }
            Phase::Parted(at) => {
                if now >= at {
                    self.clients
                        .iter_mut()
                        .for_each(|client| end_from_afar(client, &self.primus, &self.verdict));
                    self.phase = Self::ended(now);
                }
                false
            }
            Phase::Ended(until) => {
                let left = self.left();
                if left.is_some() && now < until {
                    return false;
                }
                if let Some(left) = left {
                    self.verdict.fail(left);
                }
                true
            }
        }
    }

    /// The clients end their sessions, or the application does while they are away.
    fn begin_end(&mut self, now: Ms) -> Phase {
        if !self.rng.one_in(3) {
            self.clients.iter_mut().for_each(|client| client.ends = true);
            return Self::ended(now);
        }
        let back = now + self.rng.between(600, 4000);
        for client in &mut self.clients {
            client.stay_away(&mut self.net, now, back);
            client.parted = true;
        }
        Phase::Parted(now + 300)
    }

    fn ended(now: Ms) -> Phase {
        Phase::Ended(now + WINDOW.as_millis() as Ms + 15_000)
    }

    /// The applications of the clients write.
    fn write(&mut self, now: Ms) {
        if now < self.next_write || self.has_written() {
            if self.has_written() {
                self.next_write = now + 3_600_000;
            }
            return;
        }
        self.next_write = now + self.rng.between(10, 500);
        for client in &mut self.clients {
            for _ in 0..self.rng.between(1, 20) {
                client.write(self.limits.max_message);
            }
        }
    }

    fn has_written(&self) -> bool {
        self.clients[0].written >= MESSAGES
    }

    // ---- faults ----

    fn go_wrong(&mut self, now: Ms) {
        let fault = self.rng.pick(&FAULTS);
        let at = self.rng.between(0, self.clients.len() as u64 - 1) as usize;
        let count = self.clients.len();
        let client = &mut self.clients[at];
        let connections = client.connections();
        let (net, rng) = (&mut self.net, &mut self.rng);
        let connection = (!connections.is_empty()).then(|| rng.pick(&connections));
        match fault {
            Fault::Cut => {
                if let Some((connection, air)) = connection.and_then(|id| net.get(id)) {
                    air.coverage.count(Fault::Cut);
                    connection.cut(air, now);
                }
            }
            Fault::HalfOpen => {
                if let Some((connection, air)) = connection.and_then(|id| net.get(id)) {
                    air.coverage.count(Fault::HalfOpen);
                    connection.half_open(air);
                }
            }
            Fault::Delay => {
                // Also for so long that the client gives up, and what it gave up arrives.
                let until = now + rng.between(50, 4500);
                if let Some((connection, air)) = connection.and_then(|id| net.get(id)) {
                    air.coverage.count(Fault::Delay);
                    connection.stall(until);
                }
            }
            Fault::Truncated => net.air.truncate_streams += 1,
            Fault::PollLost => net.air.lose_polls += 1,
            Fault::Replayed => net.air.replay_requests += 1,
            Fault::Overtaken => net.air.overtake_posts += 1,
            Fault::AttachLost => {
                net.air.lose_attaches += 1;
                if client.may_attach_beside(now) {
                    client.attach(net, now, false);
                }
            }
            Fault::TwoAttaches if client.may_attach_beside(now) => client.attach_twice(net, now),
            Fault::Switch if client.may_attach_beside(now) && client.is_attached() => {
                net.air.coverage.count(Fault::Switch);
                client.attach(net, now, true);
            }
            Fault::Cloned if client.session.is_some() && count < 3 => {
                net.air.coverage.count(Fault::Cloned);
                self.verdict.allow(|rules| rules.cloned = true);
                let copy = client.duplicate(count, now);
                self.clients.push(copy);
            }
            Fault::SlowServer => {
                net.air.coverage.count(Fault::SlowServer);
                let until = now + rng.between(200, 3000);
                self.verdict.slow_until(self.start + Duration::from_millis(until));
            }
            Fault::SlowReader => {
                net.air.coverage.count(Fault::SlowReader);
                client.reads_at = now + rng.between(200, 3000);
            }
            Fault::TwoAttaches | Fault::Switch | Fault::Cloned => {}
        }
        // Now and then somebody stays away for too long.
        if rng.one_in(512) {
            self.verdict.allow(|rules| rules.absent = true);
            let client = &mut self.clients[at];
            let away = WINDOW.as_millis() as Ms + rng.between(1000, 5000);
            client.stay_away(net, now, now + away);
            self.next_fault = now + away + 500;
            self.next_write = self.next_write.max(now + away);
        }
    }

    // ---- what must hold ----

    fn check_caps(&self) {
        let Limits { resume_messages, resume_bytes, max_message, max_queued, pressure, .. } =
            self.limits;
        let pushy = self.verdict.rules().pushy;
        self.primus.mounts()[0].registry.visit(|session| {
            let (numbered, written, waiting, all) = session.kept_parts();
            if numbered > resume_messages {
                self.verdict.fail(format!("{numbered} of {resume_messages} messages are kept"));
            }
            if written > resume_bytes + max_message {
                self.verdict.fail(format!("{written} of {resume_bytes} bytes are kept"));
            }
            if waiting > max_queued.max(pressure + max_message) + max_message {
                self.verdict.fail(format!("{waiting} of {max_queued} bytes wait"));
            }
            if !pushy && all > pressure.min(resume_bytes) + max_message {
                self.verdict.fail(format!("{all} bytes are kept of a writer that waits"));
            }
            true
        });
    }

    /// What has not arrived yet, both ways; nothing, if all is well.
    fn missing(&self) -> String {
        let mut missing = String::new();
        for client in &self.clients {
            let Some(session) = client.session.as_ref().filter(|_| client.is_attached()) else {
                missing += &format!("client {} is not attached; ", client.author);
                continue;
            };
            let (written, done) = self.verdict.book(&session.id, |book| (book.written, book.done));
            let read = client.numbers.read;
            if read != written || !done {
                missing += &format!("client {} has read {read} of {written}; ", client.author);
            }
            let kept =
                session.id.parse().ok().and_then(|id| self.primus.mounts()[0].registry.get(id));
            let kept = kept.map(|session| session.kept());
            if kept != Some(0) {
                missing += &format!("{kept:?} bytes are kept for client {}; ", client.author);
            }
            if !client.is_idle() {
                let numbers = &client.numbers;
                let (kept, waiting) = (numbers.kept.len(), numbers.waiting.len());
                missing += &format!("client {} keeps {kept}, {waiting} wait; ", client.author);
            }
        }
        if missing.is_empty() {
            self.unread(&mut missing);
        }
        missing
    }

    /// What a client has written must have been read, or handed back as lost.
    fn unread(&self, missing: &mut String) {
        let lost: BTreeSet<_> = self.clients.iter().flat_map(|client| &client.lost).collect();
        for client in &self.clients {
            let said = |number| Said { author: client.author, number, droppable: false };
            let unread = (1..=client.written).map(said).find(|said| {
                !self.verdict.was_delivered(said.author, said.number) && !lost.contains(said)
            });
            if let Some(said) = unread {
                *missing += &format!("{said:?} was lost, and nobody was told; ");
            }
        }
    }

    /// What is left of sessions that have ended; nothing, if all is well.
    fn left(&self) -> Option<String> {
        let (sessions, kept) = (self.primus.sessions(), self.primus.kept());
        let connected = self.primus.connected();
        if (sessions, connected, kept) != (0, 0, 0) {
            return Some(format!(
                "{sessions} sessions, {connected} carried, {kept} bytes are left"
            ));
        }
        if let Some(client) = self.clients.iter().find(|client| !client.over) {
            return Some(format!("client {} does not know that it is over", client.author));
        }
        let mut left = None;
        self.verdict.for_each_book(|id, book| {
            let Book { starts, ends, .. } = book;
            if (*starts, *ends) != (1, 1) {
                left = Some(format!("the handler started {starts} times, and ended {ends}: {id}"));
            }
        });
        left
    }

    fn coverage(&self) -> Coverage {
        let mut coverage = self.net.air.coverage;
        coverage.seeds = 1;
        coverage.up = self.verdict.delivered();
        let lost = self.verdict.losses();
        (coverage.overflows, coverage.expiries, coverage.conflicts) = lost;
        coverage
    }
}

/// The application says a last word to a client that is away, and ends its session.
fn end_from_afar(client: &mut Client, primus: &Primus, verdict: &Verdict) {
    let id = client.session.as_ref().and_then(|session| session.id.parse().ok());
    match id.and_then(|id| primus.spark(id)).filter(|spark| spark.state() == State::Detached) {
        Some(spark) => verdict.end(&spark),
        None => client.ends = true,
    }
}
