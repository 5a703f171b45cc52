//! A client that sends bare bytes, and the frames that it reads.

use std::net::SocketAddr;

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Closed;
use crate::{narrow, server::soon};

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
