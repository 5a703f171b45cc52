//! WebSocket clients: a well-behaved one on tokio-tungstenite, and one that sends bare bytes ([`Raw`]).

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, Uri};
use primus::core::native;
use serde_json::Value;
use tokio::net::TcpStream;
pub use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{ClientRequestBuilder, Error, Message, protocol::WebSocketConfig},
};

use crate::server::soon;

mod raw;

pub use self::raw::{Frame, Raw, frame, header, opcode};

/// The subprotocol of the resumable dialect.
pub const RESUMABLE: &str = "primus.2";

/// The answer to an opening handshake; a refusal has a body.
pub type Answer = http::Response<Option<Vec<u8>>>;

/// A client that keeps the rules. It answers pings while it is read from.
pub struct Client {
    stream: WebSocketStream<TcpStream>,
    answer: Answer,
    attach: Value,
    /// How many messages it has received, if it acknowledges them.
    acknowledges: Option<u64>,
}

/// Whether a frame is a message, which is counted.
pub fn is_message(frame: &str) -> bool {
    matches!(native::parse(frame.into()), Ok(native::Frame::Message(_)))
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the close frame.
    pub code: u16,
    /// Its text.
    pub text: String,
}

impl Client {
    /// Opens `path` with these headers.
    ///
    /// # Errors
    /// The answer, if it is not a WebSocket that is offered.
    ///
    /// # Panics
    /// If the connection fails.
    pub async fn open(
        to: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Answer> {
        let uri: Uri = format!("ws://{to}{path}").parse().expect("a path");
        let mut request = ClientRequestBuilder::new(uri);
        for (name, value) in headers {
            if *name == "sec-websocket-protocol" {
                for protocol in value.split(", ") {
                    request = request.with_sub_protocol(protocol);
                }
            } else {
                let name: HeaderName = name.parse().expect("a header's name");
                request = request.with_header(name.as_str(), *value);
            }
        }
        let stream = crate::http::connect(to).await;
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .max_message_size(None)
            .max_frame_size(None);
        let opening = Box::pin(client_async_with_config(request, stream, Some(config)));
        match soon(opening).await {
            Ok((stream, answer)) => {
                Ok(Self { stream, answer, attach: Value::Null, acknowledges: None })
            }
            Err(Error::Http(answer)) => Err(*answer),
            Err(error) => panic!("the opening handshake failed: {error}"),
        }
    }

    /// A plain client of `/primus`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn plain(to: SocketAddr) -> Self {
        Self::open(to, "/primus", &[]).await.expect("welcome")
    }

    /// A client of `/primus` as the stock one of Primus 8 connects.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn classic(to: SocketAddr) -> Self {
        Self::open(to, "/primus/?_primuscb=1700000000000-0", &[]).await.expect("welcome")
    }

    /// A client of `/primus` that has not attached yet.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn pending(to: SocketAddr) -> Self {
        let headers = [("sec-websocket-protocol", RESUMABLE)];
        Self::open(to, "/primus", &headers).await.expect("welcome")
    }

    /// A client of `/primus` as ours connects.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn resumable(to: SocketAddr) -> Self {
        let mut client = Self::pending(to).await;
        client.send("primus::attach::{}").await;
        let answer = client.text().await;
        let body = answer.strip_prefix("primus::attach::").expect("the server's attach frame");
        client.attach = serde_json::from_str(body).expect("JSON");
        client
    }

    /// As [`resumable`](Self::resumable); it answers the server's pings as it is read from, and
    /// acknowledges what it has received.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn attentive(to: SocketAddr) -> Self {
        Self { acknowledges: Some(0), ..Self::resumable(to).await }
    }

    /// The answer to the handshake.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// What the server attached with; null unless resumable.
    pub fn attach(&self) -> &Value {
        &self.attach
    }

    /// Sends text.
    pub async fn send(&mut self, text: impl Into<String>) {
        self.send_message(Message::text(text.into())).await;
    }

    /// Sends any message.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn send_message(&mut self, message: Message) {
        soon(self.stream.send(message)).await.expect("it is sent");
    }

    /// The next message of any kind, pings and pongs too; `None` when the connection is over.
    pub async fn message(&mut self) -> Option<Message> {
        match soon(self.stream.next()).await {
            Some(Ok(message)) => Some(message),
            Some(Err(_)) | None => None,
        }
    }

    /// The next text or binary message.
    ///
    /// # Panics
    /// If the connection ends instead.
    pub async fn data(&mut self) -> Message {
        loop {
            match self.message().await {
                Some(message) if message.is_text() || message.is_binary() => {
                    if !self.acknowledge(&message).await {
                        return message;
                    }
                }
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("a message was expected, but: {other:?}"),
            }
        }
    }

    /// Counts a message, or answers a ping of the server: then true. An acknowledgement is neither.
    async fn acknowledge(&mut self, message: &Message) -> bool {
        let Some(recv) = &mut self.acknowledges else { return false };
        let Message::Text(text) = message else {
            *recv += 1;
            return false;
        };
        if let Some(ping) = text.strip_prefix("primus::ping:") {
            let number = ping.split(':').next().unwrap_or_default();
            let pong = format!("primus::pong:{number}:{recv}::");
            self.send(pong).await;
            return true;
        }
        *recv += u64::from(is_message(text));
        false
    }

    /// The next text that is no acknowledgement.
    ///
    /// # Panics
    /// If something else comes.
    pub async fn text(&mut self) -> String {
        loop {
            match self.data().await {
                Message::Text(text) if text.starts_with("primus::ack:") => {}
                Message::Text(text) => return text.to_string(),
                other => panic!("text was expected, but: {other:?}"),
            }
        }
    }

    /// Sends a text, and checks that it comes back.
    ///
    /// # Panics
    /// If it does not.
    pub async fn echoes(&mut self, text: &str) {
        self.send(text).await;
        assert_eq!(self.text().await, text);
    }

    /// Reads until the close frame: the texts that came before it, and what it says.
    ///
    /// # Panics
    /// If the connection breaks off without one.
    pub async fn rest(&mut self) -> (Vec<String>, Closed) {
        let mut texts = Vec::new();
        loop {
            match self.message().await {
                Some(Message::Text(text)) => texts.push(text.to_string()),
                Some(Message::Close(frame)) => {
                    let closed =
                        frame.map_or(Closed { code: 1005, text: String::new() }, |frame| Closed {
                            code: frame.code.into(),
                            text: frame.reason.to_string(),
                        });
                    // Our answer goes out, and the server closes the connection.
                    while let Some(Ok(_)) = soon(self.stream.next()).await {}
                    return (texts, closed);
                }
                Some(_) => {}
                None => panic!("the connection broke off, after {texts:?}"),
            }
        }
    }

    /// Reads until the close frame, and gives its code.
    ///
    /// # Panics
    /// As [`rest`](Self::rest).
    pub async fn close_code(&mut self) -> u16 {
        self.rest().await.1.code
    }

    /// The body of `primus::end`, which must be the last frame, and the code of the close frame.
    ///
    /// # Panics
    /// If there is none.
    pub async fn end_frame(&mut self) -> (Value, u16) {
        let (texts, closed) = self.rest().await;
        let last = texts.last().expect("an end frame");
        let body = last.strip_prefix("primus::end::").expect("an end frame");
        (serde_json::from_str(body).expect("JSON"), closed.code)
    }

    /// Ends its session, as a resumable client does that will not come back.
    ///
    /// # Panics
    /// If the server does not close then.
    pub async fn end(mut self) {
        self.send("primus::end::").await;
        assert_eq!(self.close_code().await, 1000);
    }

    /// Closes, and waits for the answer. The session of a resumable client waits for it.
    pub async fn close(mut self) {
        let _ = soon(self.stream.close(None)).await;
        while let Some(Ok(_)) = soon(self.stream.next()).await {}
    }
}
