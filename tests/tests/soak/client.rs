//! A client of the resumable dialect that moves from one transport to the other.

use std::{
    future::{Future, pending},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use primus_tests::{
    http::{self, Connection, Open},
    server::PATIENCE,
    ws::{self, WsMessage},
};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

const TRANSPORTS: [&str; 3] = ["websocket", "sse", "polling"];

/// One session as its client knows it. Message number `n` is `{"n":n}` in both directions, so
/// nothing has to be kept to repeat it.
pub(crate) struct Client {
    to: SocketAddr,
    query: String,
    /// Names this client to the server, and is where its chance begins.
    pub(crate) number: u64,
    /// How often it has attached.
    pub(crate) attempt: u64,
    /// The server's last attach frame.
    session: Option<Value>,
    /// Since when it has had no carrier.
    away: Instant,
    pub(crate) counts: Arc<Counts>,
}

/// The highest numbers of both directions.
#[derive(Default)]
pub(crate) struct Counts {
    recv: AtomicU64,
    sent: AtomicU64,
}

impl Counts {
    pub(crate) fn recv(&self) -> u64 {
        self.recv.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Another message is to be sent.
    pub(crate) fn write(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// What carries it.
pub(crate) enum Carrier {
    WebSocket(Box<ws::Client>),
    Sse(Open),
    /// What the attach brought, and the connection for polls.
    Polling(String, Connection),
}

impl Client {
    pub(crate) fn new(to: SocketAddr, query: &str, number: u64) -> Self {
        Self {
            to,
            query: query.to_owned(),
            number,
            attempt: 0,
            session: None,
            away: Instant::now(),
            counts: Arc::default(),
        }
    }

    fn recv(&self) -> u64 {
        self.counts.recv()
    }

    fn sent(&self) -> u64 {
        self.counts.sent()
    }

    /// Something from `low` to `high` that is not the same for all.
    pub(crate) fn between(&self, (low, high): (u64, u64)) -> u64 {
        low + (self.number * 7919 + self.attempt * 104_729) % (high - low + 1)
    }

    /// Attaches by the next transport; to its session, if it has one.
    pub(crate) async fn attach(&mut self) -> Carrier {
        self.attempt += 1;
        let turn = usize::try_from(self.number + self.attempt).expect("a number");
        let transport = TRANSPORTS[turn % TRANSPORTS.len()];
        let (recv, sent) = (self.recv(), self.sent());
        // Not what the server has, but what it is known to have: the rest is repeated.
        let known = self.session.as_ref().map_or(0, |session| field(session, "recv"));
        let mut attach = json!({
            "recv": recv, "next": known + 1, "sent": sent, "client": self.number, "attempt": self.attempt,
        });
        if let Some(session) = &self.session {
            for name in ["id", "key", "generation", "epoch"] {
                attach["session"][name] = session[name].clone();
            }
        }
        let attach = format!("primus::attach::{attach}");
        let (answer, carrier) = match transport {
            "websocket" => {
                let headers = [("sec-websocket-protocol", ws::RESUMABLE)];
                let path = format!("/primus?{}", self.query);
                let client = ws::Client::open(self.to, &path, &headers).await;
                let mut client = client.expect("a WebSocket");
                client.send(attach).await;
                (client.text().await, Carrier::WebSocket(Box::new(client)))
            }
            "sse" => {
                let call = http::post(&format!("/primus/sse?v=2&{}", self.query), attach);
                let mut open = call.open(self.to).await;
                assert_eq!(open.status, 200);
                (open.event().await.expect("an attach frame"), Carrier::Sse(open))
            }
            _ => {
                let mut connection = Connection::one(self.to).await;
                let call = http::post(&format!("/primus/poll?v=2&{}", self.query), attach);
                let answer = call.send_on(&mut connection).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                let (first, rest) = answer.text().split_once('\n').unwrap_or((answer.text(), ""));
                (first.to_owned(), Carrier::Polling(rest.to_owned(), connection))
            }
        };
        let answer = answer.strip_prefix("primus::attach::").expect("an attach frame");
        let answer: Value = serde_json::from_str(answer).expect("JSON");
        let away = self.away.elapsed();
        assert_eq!(
            answer["resumed"],
            self.session.is_some(),
            "away for {away:?}, now {transport}: {answer}"
        );
        assert!(field(&answer, "next") <= recv + 1, "a gap: {answer} after {recv}");
        assert!(field(&answer, "recv") <= sent, "more than was sent: {answer}");
        if let Some(before) = self.session.replace(answer) {
            assert_eq!(before["id"], self.session()["id"]);
        }
        carrier
    }

    fn session(&self) -> &Value {
        self.session.as_ref().expect("it is attached")
    }

    fn token(&self) -> &str {
        self.session()["token"].as_str().unwrap_or_default()
    }

    /// Converses until `over`, or until the server gives the carrier up, as it may when it is slow.
    /// Writes a new message `every` so often, or, without, only what the server lacks.
    pub(crate) async fn converse(
        &self,
        carrier: &mut Carrier,
        every: Option<Duration>,
        over: impl Future<Output = ()>,
    ) {
        let next = AtomicU64::new(field(self.session(), "next"));
        let carried = async {
            match carrier {
                Carrier::WebSocket(socket) => self.use_websocket(socket, every, &next).await,
                Carrier::Sse(open) => tokio::select! {
                    () = self.read(open, &next) => {}
                    () = self.send(every) => {}
                },
                Carrier::Polling(first, connection) => tokio::select! {
                    () = self.poll(first, connection, &next) => {}
                    () = self.send(every) => {}
                },
            }
        };
        tokio::select! {
            () = over => {}
            () = carried => {}
        }
    }

    /// A frame has come: message `next`, or a control frame.
    fn take(&self, frame: &str, next: &AtomicU64) {
        if frame.starts_with("primus::ping:") || frame.starts_with("primus::ack:") {
            return;
        }
        let message: Value = serde_json::from_str(frame).unwrap_or_default();
        let number = next.fetch_add(1, Ordering::Relaxed);
        assert_eq!(message["n"].as_u64(), Some(number), "{frame}");
        self.counts.recv.fetch_max(number, Ordering::Relaxed);
    }

    /// Messages after `from`, up to the last.
    fn messages(&self, from: u64) -> impl Iterator<Item = String> {
        (from + 1..=self.sent()).map(|n| json!({ "n": n }).to_string())
    }

    async fn use_websocket(
        &self,
        socket: &mut ws::Client,
        every: Option<Duration>,
        next: &AtomicU64,
    ) {
        let mut has = field(self.session(), "recv");
        if self.attempt > 1 {
            socket.send(format!("primus::ack:{}:{}::", self.recv(), has + 1)).await;
        }
        let mut pace = pace(every);
        loop {
            for message in self.messages(has) {
                socket.send(message).await;
            }
            has = self.sent();
            tokio::select! {
                message = socket.message() => match message {
                    Some(WsMessage::Text(text)) => self.take(&text, next),
                    Some(WsMessage::Close(_)) | None => return,
                    Some(_) => {}
                },
                _ = pace.tick(), if every.is_some() => {
                    self.counts.write();
                }
            }
        }
    }

    async fn read(&self, open: &mut Open, next: &AtomicU64) {
        while let Some(line) = open.line().await {
            if let Some(frame) = line.strip_prefix("data: ") {
                self.take(frame, next);
            }
        }
    }

    async fn poll(&self, first: &str, connection: &mut Connection, next: &AtomicU64) {
        first.lines().for_each(|frame| self.take(frame, next));
        loop {
            // The answer begins behind what the poll says it has.
            next.store(self.recv() + 1, Ordering::Relaxed);
            let call = http::get(&format!("/primus/poll?v=2&recv={}", self.recv()));
            let answer = call.header("primus-token", self.token()).send_on(connection).await;
            match answer.status.as_u16() {
                200 | 204 => {}
                404 => return,
                other => panic!("{other} {}", answer.text()),
            }
            answer.text().lines().for_each(|frame| self.take(frame, next));
        }
    }

    /// Sends what the server lacks, then what is new.
    async fn send(&self, every: Option<Duration>) {
        let mut connection = Connection::one(self.to).await;
        let mut has = field(self.session(), "recv");
        let mut pace = pace(every);
        loop {
            let mut batch = format!("primus::ack:{}:{}::", self.recv(), has + 1);
            for message in self.messages(has) {
                batch.push('\n');
                batch.push_str(&message);
            }
            if !self.post(&mut connection, batch).await {
                return;
            }
            has = self.sent();
            if every.is_none() {
                return pending().await;
            }
            pace.tick().await;
            self.counts.write();
        }
    }

    /// Whether the session still has this carrier.
    async fn post(&self, connection: &mut Connection, batch: String) -> bool {
        let call = http::post("/primus/send?v=2", batch);
        let answer = call.header("primus-token", self.token()).send_on(connection).await;
        assert!(matches!(answer.status.as_u16(), 204 | 404), "{}", answer.text());
        answer.status == 204
    }

    /// The carrier is gone, without a word to the server.
    pub(crate) fn drop_carrier(&mut self, carrier: Carrier) {
        drop(carrier);
        self.away = Instant::now();
    }

    /// Ends the session, as a client that is done does.
    pub(crate) async fn end(&self, carrier: Carrier) {
        const END: &str = "primus::end::";
        if let Carrier::WebSocket(mut socket) = carrier {
            socket.send(END).await;
            // The server closes behind it.
            while socket.message().await.is_some() {}
        } else {
            self.post(&mut Connection::one(self.to).await, END.to_owned()).await;
        }
    }
}

fn field(frame: &Value, name: &str) -> u64 {
    frame[name].as_u64().expect("a number")
}

fn pace(every: Option<Duration>) -> Interval {
    let mut pace = interval(every.unwrap_or(PATIENCE));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
