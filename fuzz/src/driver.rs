//! The WebSocket driver as a whole, over a socket in memory.

mod tungstenite;

use primus_core::{Payload, parser};
use primus_websocket::WebSocket;

use self::tungstenite::read;
use crate::{heap, server, server::Server, wire};

/// Bytes of a message.
const MAX: usize = 300;
/// What a server and a connection may take in sum, whatever comes.
const BASE: usize = 1 << 20;
/// And more for a byte that comes: it may be a frame of its own.
const EACH: usize = 4 << 10;

/// The first byte of `data` selects the dialect, the next four are sizes of chunks, the rest is what the client
/// sends. In the plain dialect the server takes it as tungstenite does: the same messages, the same answers,
/// the same end. In the others it answers in whole frames and goes.
pub fn driver(data: &[u8]) {
    let Some(([dialect, chunks @ ..], stream)) = data.split_first_chunk::<5>() else { return };
    // Nought is everything at once.
    let chunks = chunks.map(|size| if size == 0 { usize::MAX } else { usize::from(size) });
    heap::bounded(BASE + EACH * stream.len(), || match dialect % 4 {
        0 | 1 => as_tungstenite(stream, &chunks),
        2 => goes(&resumable(stream), &chunks, "/", "primus.2"),
        _ => goes(stream, &chunks, "/?_primuscb=1", "x"),
    });
}

fn as_tungstenite(stream: &[u8], chunks: &[usize]) {
    let mut mount = server::mount(|limits| {
        limits.max_message = MAX;
        limits.max_fragments = usize::MAX;
    });
    mount.parser = parser::raw();
    let (said, heard) = server::run(async {
        let server = Server::new(WebSocket::new(), mount);
        let said = server.converse(server::handshake("/", &[]), stream, chunks).await;
        (wire::read(&said), server.heard())
    });
    let (controls, echoes): (Vec<_>, Vec<_>) = said.into_iter().partition(wire::Frame::is_control);

    let mut expected = read(stream, MAX);
    let last = controls.last().and_then(wire::Frame::close_code);
    if last.is_some() && expected.failed.is_none() && controls.len() > expected.answers.len() {
        // Ours need not wait for the end of a frame to see that it is wrong. Then that is what tungstenite says when
        // the frame is complete.
        expected = read(&[stream, &[b'x'; MAX]].concat(), MAX);
    }
    assert_eq!(heard, expected.messages);
    let echoed = |message: &Payload| wire::Frame {
        first: if message.is_binary() { 0x82 } else { 0x81 },
        payload: message.as_bytes().to_vec(),
    };
    assert_eq!(echoes, expected.messages.iter().map(echoed).collect::<Vec<_>>());
    match expected.failed {
        None => assert_eq!(controls, expected.answers),
        Some(code) => {
            let (close, pongs) = controls.split_last().expect("a close frame");
            assert_eq!((close.close_code(), pongs), (Some(code), &expected.answers[..]));
        }
    }
}

/// With an attach in front, or without one if it begins otherwise.
fn resumable(stream: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    if stream.first() != Some(&0) {
        wire::put(&mut all, 0x81, b"primus::attach::{}");
    }
    all.extend(stream);
    all
}

fn goes(stream: &[u8], chunks: &[usize], uri: &'static str, protocol: &'static str) {
    let mount = server::mount(|limits| limits.max_message = MAX);
    let protocol = [(http::header::SEC_WEBSOCKET_PROTOCOL, protocol)];
    server::run(async {
        let server = Server::new(WebSocket::new(), mount);
        let said = server.converse(server::handshake(uri, &protocol), stream, chunks).await;
        let frames = wire::read(&said);
        let closes = frames.iter().position(|frame| frame.first == 0x88);
        assert!(closes.is_none_or(|at| at + 1 == frames.len()), "nothing follows a close");
    });
}
