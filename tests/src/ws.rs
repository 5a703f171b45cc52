//! WebSocket clients: a well-behaved one on tokio-tungstenite, and one that sends bare bytes.

use std::net::SocketAddr;

use bytes::{Buf as _, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, StatusCode, Uri};
use primus::core::native;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
pub use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{ClientRequestBuilder, Error, Message, protocol::WebSocketConfig},
};

use crate::{narrow, server::soon};

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

/// A frame from the server, which never masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and the opcode.
    pub first: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// The opcodes of RFC 6455 §5.2, with FIN.
pub mod opcode {
    /// A whole text message.
    pub const TEXT: u8 = 0x81;
    /// A whole binary message.
    pub const BINARY: u8 = 0x82;
    /// Closes.
    pub const CLOSE: u8 = 0x88;
    /// Asks for a pong.
    pub const PING: u8 = 0x89;
    /// Answers a ping.
    pub const PONG: u8 = 0x8a;
}

/// A masked frame, whatever its first byte.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = header(first, payload.len() as u64);
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The header of a masked frame, without the mask.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(0x80 | length as u8),
        126..=0xffff => {
            header.push(0x80 | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}

/// A client that sends whatever it is told to, and answers nothing by itself.
pub struct Raw {
    stream: TcpStream,
    read: BytesMut,
}

impl Raw {
    /// Connects, and says nothing.
    pub async fn connect(to: SocketAddr) -> Self {
        Self { stream: crate::http::connect(to).await, read: BytesMut::new() }
    }

    /// A plain WebSocket of `path` with the smallest buffer for what it does not read.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn narrow(to: SocketAddr, path: &str) -> Self {
        let raw = Self { stream: narrow::connect(to).await, read: BytesMut::new() };
        raw.upgraded(to, path, "").await
    }

    /// A plain WebSocket of `path`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open(to: SocketAddr, path: &str) -> Self {
        Self::open_as(to, path, "").await
    }

    /// A resumable one of `/primus`, attached.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn resumable(to: SocketAddr) -> Self {
        let mut raw = Self::open_as(to, "/primus", "sec-websocket-protocol: primus.2\r\n").await;
        raw.send(frame(opcode::TEXT, "primus::attach::{}")).await;
        let answer = raw.frame().await.expect("the server's attach frame");
        assert!(answer.payload.starts_with(b"primus::attach::"), "{answer:?}");
        raw
    }

    /// A WebSocket with more headers, each with its line end.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open_as(to: SocketAddr, path: &str, headers: &str) -> Self {
        Self::connect(to).await.upgraded(to, path, headers).await
    }

    async fn upgraded(mut self, to: SocketAddr, path: &str, headers: &str) -> Self {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {headers}\r\n"
        ))
        .await;
        let (status, head) = self.head().await;
        assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS, "{head}");
        self
    }

    /// Sends until nothing more is taken, or all is: how many bytes that were.
    pub async fn fill_up(&mut self, bytes: &[u8]) -> usize {
        narrow::fill(&mut self.stream, bytes).await
    }

    /// Sends bare bytes. A server that has closed is none of its business.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = soon(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Reads the head of an answer: its status, and all of it in lower case.
    ///
    /// # Panics
    /// If none comes.
    pub async fn head(&mut self) -> (StatusCode, String) {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            assert!(self.fill().await, "the connection ended before the head: {:?}", self.read);
        };
        let head = String::from_utf8_lossy(&self.read.split_to(end + 4)).to_ascii_lowercase();
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a status");
        (status, head)
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        soon(self.stream.read_buf(&mut self.read)).await.is_ok_and(|read| read > 0)
    }

    /// The next frame; `None` when the connection is over.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.read_ahead() {
                return Some(frame);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next frame. Meanwhile it sends on, and takes off `rest` what it has sent.
    pub async fn frame_meanwhile(&mut self, rest: &mut &[u8]) -> Option<Frame> {
        loop {
            if let Some(frame) = self.read_ahead() {
                return Some(frame);
            }
            let (mut reading, mut writing) = self.stream.split();
            let one = async {
                tokio::select! {
                    read = reading.read_buf(&mut self.read) => {
                        read.is_ok_and(|read| read > 0).then_some(0)
                    }
                    sent = writing.write(rest), if !rest.is_empty() => sent.ok(),
                }
            };
            *rest = &rest[soon(one).await?..];
        }
    }

    /// A frame that has been read already.
    fn read_ahead(&mut self) -> Option<Frame> {
        let (start, length) = self.frame_header()?;
        if self.read.len() < start + length {
            return None;
        }
        let first = self.read[0];
        self.read.advance(start);
        let payload = self.read.split_to(length).to_vec();
        Some(Frame { first, payload })
    }

    /// Where the payload begins, and its length.
    fn frame_header(&self) -> Option<(usize, usize)> {
        let bytes = &self.read[..];
        match *bytes.get(1)? {
            126 => {
                let length = bytes.get(2..4)?.try_into().ok()?;
                Some((4, usize::from(u16::from_be_bytes(length))))
            }
            127 => {
                let length = bytes.get(2..10)?.try_into().ok()?;
                Some((10, usize::try_from(u64::from_be_bytes(length)).ok()?))
            }
            short => Some((2, usize::from(short))),
        }
    }

    /// The next frame that is none of these.
    pub async fn frame_but(&mut self, skipped: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if !skipped.contains(&frame.first) {
                return Some(frame);
            }
        }
    }

    /// Reads until the close frame and then the end of the stream. `None`: it broke off without a
    /// close frame. A close frame without a code is 1005.
    pub async fn closed(&mut self) -> Option<Closed> {
        let frame = loop {
            let frame = self.frame().await?;
            if frame.first == opcode::CLOSE {
                break frame;
            }
        };
        assert_eq!(self.frame().await, None, "nothing follows a close frame");
        let (code, text) = match frame.payload.split_first_chunk() {
            Some((code, text)) => (u16::from_be_bytes(*code), text),
            None => (1005, &[][..]),
        };
        Some(Closed { code, text: String::from_utf8(text.to_vec()).expect("UTF-8") })
    }

    /// Waits until the server has closed, whatever it says before.
    pub async fn gone(&mut self) {
        while self.fill().await {
            self.read.clear();
        }
    }
}
