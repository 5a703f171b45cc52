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

/// One client.
pub struct Peer {
    to: SocketAddr,
    path: String,
    /// What the server attached with.
    pub attach: Value,
    wire: Wire,
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
        let attach = format!("primus::attach::{}", json!({ "auth": auth }));
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
        let attach = serde_json::from_str(attach).expect("JSON");
        Ok(Self { to, path: path.to_owned(), attach, wire })
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
        if let Wire::WebSocket(client) = &mut self.wire {
            return client.send(frame).await;
        }
        let call = http::post(&format!("{}/send?v=2", self.path), frame.to_owned());
        let answer = call.header("primus-token", self.token()).send(self.to).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// The next frame that is no heartbeat; `None` when the connection is over.
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
                        let call = http::get(&format!("{}/poll?v=2", self.path));
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
            if !frame.starts_with("primus::ping:") {
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

    /// Reads until the end: the messages before it, and what `primus::end` says.
    ///
    /// # Panics
    /// If the connection ends without a word.
    pub async fn rest(&mut self) -> (Vec<String>, Value) {
        let mut messages = Vec::new();
        loop {
            let frame = self.frame().await.expect("a word before the end");
            match body(&frame, "end") {
                Some(end) => return (messages, serde_json::from_str(end).expect("JSON")),
                None => messages.push(frame),
            }
        }
    }
}

async fn refusal(open: Open) -> Refusal {
    let answer = open.whole().await;
    Refusal { status: answer.status.as_u16(), body: answer.json(), headers: answer.headers }
}
