//! A client that waits for each of its answers, on a socket of its own.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use primus_tests::server::PATIENCE;

/// What a browser says of itself with each request.
pub(crate) const HEADERS: &str = "Host: localhost:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0\r\n\
    Origin: http://localhost:8080\r\n\
    Referer: http://localhost:8080/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cache-Control: no-store\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-origin\r\n";

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

pub(crate) fn ask(stream: &mut impl Write, line: &str, headers: &str, body: &str) {
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\n{HEADERS}{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it is sent");
}

/// Reads up to what the answer has to have; returns what was read.
pub(crate) fn read_to(stream: &mut impl Read, end: &str) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read);
        if text.contains(end) {
            return text.into_owned();
        }
    }
}

/// Becomes a WebSocket.
pub(crate) fn upgrade(to: SocketAddr, path: &str, headers: &str) -> TcpStream {
    let mut stream = connect(to);
    upgrade_on(&mut stream, path, headers);
    stream
}

/// The same on a connection that is there. Nothing is read of what follows the answer, which has to be asked for.
pub(crate) fn upgrade_on(stream: &mut (impl Read + Write), path: &str, headers: &str) {
    let request = format!(
        "GET {path} HTTP/1.1\r\n{HEADERS}{headers}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

/// A frame, masked with nothing.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).expect("a length");
    [&[first, 0xff][..], &length.to_be_bytes(), &[0; 4], payload].concat()
}

pub(crate) fn send(stream: &mut impl Write, bytes: &[u8]) {
    stream.write_all(bytes).expect("it is sent");
}

/// The first byte of the next frame, and what it carries.
pub(crate) fn read_frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame");
    let more = match head[1] {
        127 => 8,
        126 => 2,
        _ => 0,
    };
    let mut length = [0; 8];
    stream.read_exact(&mut length[8 - more..]).expect("its length");
    let length = if more == 0 { u64::from(head[1]) } else { u64::from_be_bytes(length) };
    let mut payload = vec![0; usize::try_from(length).expect("a length")];
    stream.read_exact(&mut payload).expect("all of it");
    (head[0], payload)
}
