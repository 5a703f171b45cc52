//! A client of the resumable dialect over any of the three transports, for tests that hold for
//! all of them.

use std::{collections::VecDeque, net::SocketAddr};

use ::http::HeaderMap;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    http::{self, Open},
    ws,
};

/// The names of the three.
pub const TRANSPORTS: [&str; 3] = ["websocket", "sse", "polling"];

/// One client. It counts what it gets and sends, and acknowledges only what a test makes it.
pub struct Peer {
    to: SocketAddr,
    path: String,
    /// What the server attached with.
    pub attach: Value,
    /// What it remembers for the next time.
    pub memory: Memory,
    wire: Wire,
}

/// What a client remembers of its session.
#[derive(Debug, Clone)]
pub struct Memory {
    /// The session: `id`, `key`, `generation`, `epoch`.
    pub session: Value,
    /// The highest number received.
    pub recv: u64,
    /// The number that it says its first message will have.
    pub next: u64,
    /// The highest number given to a message.
    pub sent: u64,
    /// Its own random number.
    pub client: u64,
    /// How often it has attached.
    pub attempt: u64,
}

impl Memory {
    /// Of a client that has never attached.
    pub fn new(client: u64) -> Self {
        Self { session: Value::Null, recv: 0, next: 1, sent: 0, client, attempt: 0 }
    }
}

enum Wire {
    WebSocket(Box<ws::Client>),
    Sse(Open),
    Polling(VecDeque<String>),
}

/// Why a client was not let in.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status, also where it came in a frame.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// The headers; none where it came in a frame.
    pub headers: HeaderMap,
}

fn body<'a>(frame: &'a str, kind: &str) -> Option<&'a str> {
    frame.strip_prefix("primus::")?.strip_prefix(kind)?.strip_prefix("::")
}

impl Peer {
    /// Connects to `/primus`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn connect(to: SocketAddr, transport: &str) -> Self {
        Self::open(to, transport, "/primus", Value::Null).await.expect("welcome")
    }

    /// Connects to a path with an `auth`.
    ///
    /// # Errors
    /// When the attach is refused.
    ///
    /// # Panics
    /// If anything else goes wrong.
    pub async fn open(
        to: SocketAddr,
        transport: &str,
        path: &str,
        auth: Value,
    ) -> Result<Self, Refusal> {
        Self::attach(to, transport, path, auth, &mut Memory::new(1)).await
    }

    /// Comes back to `/primus` with what it remembers. Where it gets another session it remembers
    /// that one.
    ///
    /// # Errors
    /// When it is refused.
    ///
    /// # Panics
    /// If anything else goes wrong.
    pub async fn come_back(
        to: SocketAddr,
        transport: &str,
        memory: &mut Memory,
    ) -> Result<Self, Refusal> {
        Self::attach(to, transport, "/primus", Value::Null, memory).await
    }

    async fn attach(
        to: SocketAddr,
        transport: &str,
        path: &str,
        auth: Value,
        memory: &mut Memory,
    ) -> Result<Self, Refusal> {
        memory.attempt += 1;
        let Memory { recv, next, sent, client, attempt, .. } = *memory;
        let mut asked = json!({
            "auth": auth, "recv": recv, "next": next, "sent": sent, "client": client, "attempt": attempt
        });
        if !memory.session.is_null() {
            asked["session"] = memory.session.clone();
        }
        let attach = format!("primus::attach::{asked}");
        let (answer, wire) = match transport {
            "websocket" => {
                let headers = [("sec-websocket-protocol", ws::RESUMABLE)];
                let mut client =
                    ws::Client::open(to, path, &headers).await.expect("an open WebSocket");
                client.send(attach).await;
                let answer = client.text().await;
                if let Some(refusal) = body(&answer, "refuse") {
                    let body: Value = serde_json::from_str(refusal).expect("JSON");
                    let status = u16::try_from(body["status"].as_u64().expect("a status"));
                    let status = status.expect("a status");
                    assert_eq!(client.close_code().await, 4000 + status);
                    return Err(Refusal { status, body, headers: HeaderMap::new() });
                }
                (answer, Wire::WebSocket(Box::new(client)))
            }
            "sse" => {
                let call = http::post(&format!("{path}/sse?v=2"), attach);
                let mut open = call.open(to).await;
                if open.status != 200 {
                    return Err(refusal(open).await);
                }
                (open.event().await.expect("the server's attach frame"), Wire::Sse(open))
            }
            "polling" => {
                let open = http::post(&format!("{path}/poll?v=2"), attach).open(to).await;
                if open.status != 200 {
                    return Err(refusal(open).await);
                }
                let answer = open.whole().await;
                let mut lines: VecDeque<String> =
                    answer.text().lines().map(str::to_owned).collect();
                let first = lines.pop_front().expect("the server's attach frame");
                (first, Wire::Polling(lines))
            }
            other => panic!("there is no transport {other}"),
        };
        let attach = body(&answer, "attach").expect("the server's attach frame");
        let attach: Value = serde_json::from_str(attach).expect("JSON");
        memory.session = json!({
            "id": attach["id"],
            "key": attach["key"],
            "generation": attach["generation"],
            "epoch": attach["epoch"],
        });
        if attach["resumed"] != true {
            (memory.recv, memory.next, memory.sent) = (0, 1, 0);
        }
        let recv = attach["next"].as_u64().expect("a number") - 1;
        assert!(recv <= memory.recv, "the server leaves messages out: {attach}");
        let mut peer = Self { to, path: path.to_owned(), attach, memory: memory.clone(), wire };
        peer.memory.recv = recv;
        if let Wire::WebSocket(client) = &mut peer.wire
            && asked.get("session").is_some()
        {
            client.send(format!("primus::ack:{recv}:{}::", peer.memory.next)).await;
        }
        Ok(peer)
    }

    /// Breaks its connection without a word, and gives what it remembers.
    pub fn cut(mut self) -> Memory {
        self.memory.next = self.memory.sent + 1;
        self.memory
    }

    /// The public id.
    pub fn id(&self) -> &str {
        self.attach["id"].as_str().expect("an id")
    }

    /// The token; nothing over a WebSocket.
    pub fn token(&self) -> &str {
        self.attach["token"].as_str().unwrap_or_default()
    }

    /// Sends one frame.
    ///
    /// # Panics
    /// If it is not accepted.
    pub async fn send(&mut self, frame: &str) {
        let data = ws::is_message(frame);
        self.memory.sent += u64::from(data);
        if let Wire::WebSocket(client) = &mut self.wire {
            return client.send(frame).await;
        }
        let Memory { recv, sent, .. } = self.memory;
        let first = if data { format!("primus::ack:{recv}:{sent}::\n") } else { String::new() };
        let call = http::post(&format!("{}/send?v=2", self.path), format!("{first}{frame}"));
        let answer = call.header("primus-token", self.token()).send(self.to).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// The next frame that is neither a heartbeat nor an acknowledgement; `None` when the connection is over.
    pub async fn frame(&mut self) -> Option<String> {
        loop {
            let frame = match &mut self.wire {
                Wire::WebSocket(client) => match client.message().await? {
                    Message::Text(text) => text.to_string(),
                    Message::Close(_) => return None,
                    _ => continue,
                },
                Wire::Sse(open) => open.event().await?,
                Wire::Polling(lines) => match lines.pop_front() {
                    Some(line) => line,
                    None => {
                        let recv = self.memory.recv;
                        let call = http::get(&format!("{}/poll?v=2&recv={recv}", self.path));
                        let token = self.attach["token"].as_str().expect("a token");
                        let answer = call.header("primus-token", token).send(self.to).await;
                        if answer.status != 200 && answer.status != 204 {
                            return None;
                        }
                        lines.extend(answer.text().lines().map(str::to_owned));
                        continue;
                    }
                },
            };
            self.memory.recv += u64::from(ws::is_message(&frame));
            if !frame.starts_with("primus::ping:") && !frame.starts_with("primus::ack:") {
                return Some(frame);
            }
        }
    }

    /// The next message.
    ///
    /// # Panics
    /// If the session ends instead.
    pub async fn text(&mut self) -> String {
        let frame = self.frame().await.expect("a message, and not the end");
        assert!(!frame.starts_with("primus::end::"), "a message was expected, but: {frame}");
        frame
    }

    /// Sends a request to the server, and gives its answer: the frame without its head.
    ///
    /// # Panics
    /// If something else comes first.
    pub async fn ask(&mut self, id: u64, request: &str) -> String {
        self.send(request).await;
        let frame = self.text().await;
        let answer = frame.strip_prefix(&format!("primus::reply:{id}::")).map(str::to_owned);
        let refusal = || frame.strip_prefix(&format!("primus::refuse:{id}::")).map(str::to_owned);
        answer.or_else(refusal).unwrap_or_else(|| panic!("an answer was expected, but: {frame}"))
    }

    /// Reads until the end: the messages before it, and what `primus::end` says. Over a WebSocket it
    /// answers the close frame, so the server knows that all of it has arrived.
    ///
    /// # Panics
    /// If the connection ends without a word.
    pub async fn rest(&mut self) -> (Vec<String>, Value) {
        let mut messages = Vec::new();
        let end: Value = loop {
            let frame = self.frame().await.expect("a word before the end");
            match body(&frame, "end") {
                Some(end) => break serde_json::from_str(end).expect("JSON"),
                None => messages.push(frame),
            }
        };
        if let Wire::WebSocket(client) = &mut self.wire {
            let (texts, closed) = client.rest().await;
            assert_eq!((texts.len(), &end["code"]), (0, &closed.code.into()), "{texts:?}");
        }
        (messages, end)
    }
}

async fn refusal(open: Open) -> Refusal {
    let answer = open.whole().await;
    Refusal { status: answer.status.as_u16(), body: answer.json(), headers: answer.headers }
}
