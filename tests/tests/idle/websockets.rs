//! WebSockets: bare ones, ours, and what is left of what went through them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use primus_tests::{certificate::Certificate, weighed::Weighed, ws::opcode::TEXT};
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::{
    Kind, MANY, SOME, cheap, weigh,
    wire::{connect, frame, read_frame, send, upgrade, upgrade_on},
};

/// Bytes that rustls keeps for a connection, whether it was ever busy or not.
const RUSTLS: usize = 7720;
/// RSV1 on a whole message.
const COMPRESSED: u8 = 0x40;

/// A message of 200 KB.
fn large() -> String {
    format!("\"{}\"", "x".repeat(200_000))
}

fn plain(to: SocketAddr) -> TcpStream {
    upgrade(to, "/primus", "")
}

fn resumable(to: SocketAddr) -> TcpStream {
    let mut stream = upgrade(to, "/primus", "Sec-WebSocket-Protocol: primus.2\r\n");
    send(&mut stream, &frame(TEXT, b"primus::attach::{}"));
    assert!(read_frame(&mut stream).1.starts_with(b"primus::attach::"));
    stream
}

/// A large message goes each way.
fn be_busy(stream: &mut (impl Read + Write)) {
    let large = large();
    send(stream, &frame(TEXT, large.as_bytes()));
    assert!(read_frame(stream) == (TEXT, large.into_bytes()), "an echo");
}

fn plain_that_was_busy(to: SocketAddr) -> TcpStream {
    let mut stream = plain(to);
    be_busy(&mut stream);
    stream
}

/// One that has acknowledged what it got.
fn resumable_that_was_busy(to: SocketAddr) -> TcpStream {
    let mut stream = resumable(to);
    let large = large();
    send(&mut stream, &frame(TEXT, large.as_bytes()));
    loop {
        let (first, payload) = read_frame(&mut stream);
        if payload == large.as_bytes() {
            break;
        }
        assert!(first == TEXT && payload.starts_with(b"primus::ack:1:"), "{payload:?}");
    }
    send(&mut stream, &frame(TEXT, b"primus::ack:1::"));
    stream
}

fn fragmented(to: SocketAddr) -> TcpStream {
    let mut stream = plain(to);
    let large = large();
    let (start, rest) = large.as_bytes().split_at(50_000);
    let (middle, end) = rest.split_at(50_000);
    for (first, piece) in [(0x01, start), (0x00, middle), (0x80, end)] {
        send(&mut stream, &frame(first, piece));
    }
    assert!(read_frame(&mut stream) == (TEXT, large.into_bytes()), "an echo");
    stream
}

/// Small messages that come all at once.
fn after_a_burst(to: SocketAddr) -> TcpStream {
    let mut stream = plain(to);
    let messages = || (0..500_u32).map(|number| number.to_string().into_bytes());
    send(&mut stream, &messages().flat_map(|message| frame(TEXT, &message)).collect::<Vec<_>>());
    for message in messages() {
        assert_eq!(read_frame(&mut stream), (TEXT, message));
    }
    stream
}

/// The header of a large message, and one byte of it.
fn announcing(to: SocketAddr) -> TcpStream {
    let mut stream = plain(to);
    let whole = frame(TEXT, large().as_bytes());
    send(&mut stream, &whole[..whole.len() - 200_001]);
    stream
}

/// A large message each way, compressed.
fn compressed(to: SocketAddr) -> TcpStream {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut stream = upgrade(to, "/primus", offer);
    let large = large();
    let mut small = Vec::with_capacity(large.len());
    let mut state = Compress::new(Compression::default(), false);
    state.compress_vec(large.as_bytes(), &mut small, FlushCompress::Sync).expect("it compresses");
    small.truncate(small.len() - 4);
    send(&mut stream, &frame(TEXT | COMPRESSED, &small));
    let (first, echo) = read_frame(&mut stream);
    assert_eq!(first, TEXT | COMPRESSED);
    let mut inflated = Vec::with_capacity(large.len() + 1);
    let whole = [&echo[..], &[0, 0, 0xff, 0xff]].concat();
    let mut state = Decompress::new(false);
    state.decompress_vec(&whole, &mut inflated, FlushDecompress::Sync).expect("it inflates");
    assert!(inflated == large.as_bytes(), "an echo");
    stream
}

#[tokio::test]
async fn an_idle_websocket_costs_less_than_two_kib_also_after_large_messages() {
    let kinds: &[Kind] = &[
        ("a bare WebSocket", 1655, plain),
        ("a WebSocket that was busy", 1656, plain_that_was_busy),
        ("a WebSocket of our client", 1657, resumable),
    ];
    cheap("", MANY, kinds).await;
}

#[tokio::test]
async fn what_went_through_an_idle_websocket_leaves_nothing_on_the_heap() {
    let kinds: &[Kind] = &[
        ("a WebSocket of our client that was busy", 1653, resumable_that_was_busy),
        ("a WebSocket that got fragments", 1652, fragmented),
        ("a WebSocket after a burst", 1653, after_a_burst),
    ];
    cheap("", SOME, kinds).await;
    cheap("compression = true\n", SOME, &[("a WebSocket that compresses", 1695, compressed)]).await;
}

#[tokio::test]
async fn what_a_header_only_announces_is_not_reserved() {
    cheap("", SOME, &[("a WebSocket that announced a message", 2563, announcing)]).await;
}

#[tokio::test]
async fn an_idle_websocket_in_an_application_of_axum_costs_what_it_costs_alone() {
    let server = Weighed::start(env!("CARGO_BIN_EXE_weigh-axum"), "");
    weigh(server, SOME, "a WebSocket in axum", 1655, plain_that_was_busy).await;
}

#[tokio::test]
async fn an_idle_websocket_over_tls_costs_what_it_costs_alone_and_what_rustls_keeps() {
    let certificate = Certificate::new("idle");
    let (cert, key) = (certificate.path("cert.pem"), certificate.path("key.pem"));
    let config = format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let client = Arc::new(certificate.client(&["http/1.1"]));
    for (what, most, busy) in [
        ("a WebSocket over TLS", RUSTLS + 1655, false),
        ("a WebSocket over TLS that was busy", RUSTLS + 1655, true),
    ] {
        let server = Weighed::start(env!("CARGO_BIN_EXE_weigh"), &config);
        weigh(server, SOME, what, most, |to| {
            let name = "localhost".try_into().expect("a name");
            let tls = ClientConnection::new(Arc::clone(&client), name).expect("a client");
            let mut stream = StreamOwned::new(tls, connect(to));
            upgrade_on(&mut stream, "/primus", "");
            if busy {
                be_busy(&mut stream);
            }
            stream
        })
        .await;
    }
}
