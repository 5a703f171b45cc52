//! Floods of HTTP/2 (RFC 9113): cheap to send, dear to answer. The connection ends, and says why.

use std::time::Duration;

use axum::{Router, routing::get};
use primus::Primus;
use primus_tests::{
    http::connect,
    narrow,
    server::{Server, soon},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::Scene;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Of answers to PING and SETTINGS.
const ACK: u8 = 1;
/// Resets that faults of a client may force (h2's default).
const RESETS: u32 = 1024;
/// ENHANCE_YOUR_CALM (RFC 9113 §7).
const CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of headers without Huffman and without a table (RFC 7541 §6.2.2).
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn request(method: &str, path: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path)])
}

/// Sends all of it, reading meanwhile, and waits for the end of the connection. What GOAWAY said last.
async fn flood(scene: &Scene, frames: impl IntoIterator<Item = Vec<u8>>) -> Option<u32> {
    let mut stream = connect(scene.to()).await;
    let (reading, mut writing) = stream.split();
    let write = async {
        let begin = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
        if writing.write_all(&begin).await.is_ok() {
            for frame in frames {
                if writing.write_all(&frame).await.is_err() {
                    break;
                }
            }
        }
    };
    let read = async {
        let mut reading = BufReader::new(reading);
        let mut code = None;
        while let Some((kind, _, payload)) = next(&mut reading).await {
            if kind == kind::GOAWAY {
                code = Some(self::code(&payload));
            }
        }
        code
    };
    // It closes while it is being written to, so its last words may be lost to a reset.
    let ((), code) = soon(async { tokio::join!(write, read) }).await;
    code
}

/// The next frame: its kind, its flags, what it carries.
async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8, Vec<u8>)> {
    let mut header = [0; 9];
    stream.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((header[3], header[4], payload))
}

/// What GOAWAY says.
fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[4..8].try_into().unwrap())
}

/// The numbers of a client's streams.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

#[tokio::test]
async fn a_flood_is_told_to_calm_down_and_its_connection_ends() {
    let mut scene = Scene::new(Primus::builder().parser("raw")).await;
    let open = |stream| frame(kind::HEADERS, END_HEADERS, stream, &request("POST", "/primus/poll"));
    let reset = |stream| frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes());

    let resets = streams(20_000).map(|stream| [open(stream), reset(stream)].concat());
    assert_eq!(flood(&scene, resets).await, Some(CALM), "rapid resets");
    scene.is_unharmed("resets").await;

    // A request without a path: each is answered with a reset of ours.
    let faulty = block(&[(":method", "GET")]);
    let faults = streams(20_000).map(|stream| frame(kind::HEADERS, END_HEADERS, stream, &faulty));
    assert_eq!(flood(&scene, faults).await, Some(CALM), "faults");
    scene.is_unharmed("faults").await;

    let begin = frame(kind::HEADERS, 0, 1, &request("GET", "/primus/spec"));
    let header = block(&[("x-more", &"y".repeat(100))]);
    let more = (0..20_000).map(|_| frame(kind::CONTINUATION, 0, 1, &header));
    assert_eq!(flood(&scene, [begin.clone()].into_iter().chain(more)).await, Some(CALM), "headers");
    scene.is_unharmed("headers without end").await;

    let more = (0..20_000).map(|_| frame(kind::CONTINUATION, 0, 1, &[]));
    assert_eq!(flood(&scene, [begin].into_iter().chain(more)).await, Some(CALM), "empty headers");
    scene.is_unharmed("empty headers without end").await;

    let more = (0..200_000).map(|_| frame(kind::DATA, 0, 1, &[]));
    assert_eq!(flood(&scene, [open(1)].into_iter().chain(more)).await, Some(CALM), "empty data");
    scene.is_unharmed("empty data without end").await;
}

/// A client that asks for far more than its window, in TCP, takes, and reads little of it: what the server
/// says from here on waits.
async fn closed_window(scene: &Scene) -> TcpStream {
    const WIDEST: u32 = (1 << 31) - 1;
    let mut stream = narrow::connect(scene.to()).await;
    let window = [&[0, 4][..], &WIDEST.to_be_bytes()].concat(); // SETTINGS_INITIAL_WINDOW_SIZE
    let more = (WIDEST - 65_535).to_be_bytes();
    let mut begin = PREFACE.to_vec();
    begin.extend(frame(kind::SETTINGS, 0, 0, &window));
    begin.extend(frame(kind::WINDOW_UPDATE, 0, 0, &more));
    begin.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/large")));
    stream.write_all(&begin).await.unwrap();
    let answer = async { while next(&mut stream).await.expect("an answer").0 != kind::DATA {} };
    soon(answer).await;
    stream
}

#[tokio::test]
async fn resets_that_a_client_forces_and_does_not_read_are_bounded() {
    let large = Router::new().route("/large", get(async || vec![0; 16 << 20]));
    let builder = Primus::builder().parser("raw").ping_interval(Duration::ZERO);
    let mut scene = Scene::of(Server::start_with(builder, large).await).await;
    // A request without a path: each is answered with a reset of ours.
    let faulty = block(&[(":method", "GET")]);
    let faults = |count| {
        let streams = streams(count + 1).skip(1);
        streams.flat_map(|stream| frame(kind::HEADERS, END_HEADERS, stream, &faulty))
    };

    // Up to the cap the connection goes on, when at last it is read from.
    let ping = frame(kind::PING, 0, 0, b"in order");
    for count in [RESETS, RESETS + 1] {
        let mut stream = closed_window(&scene).await;
        let faults: Vec<u8> = faults(count).chain(ping.clone()).collect();
        let faults = if count > RESETS { &faults[..faults.len() - ping.len()] } else { &faults };
        soon(stream.write_all(faults)).await.unwrap();
        let last = async {
            loop {
                match next(&mut stream).await.expect("it says why") {
                    (kind::PING, ACK, payload) => break Ok(payload),
                    (kind::GOAWAY, _, payload) => break Err(code(&payload)),
                    _ => {}
                }
            }
        };
        let expected = if count > RESETS { Err(CALM) } else { Ok(b"in order".to_vec()) };
        assert_eq!(soon(last).await, expected, "{count}");
        if count > RESETS {
            assert_eq!(soon(stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
        }
        drop(stream);
        scene.is_unharmed("forced resets").await;
    }

    // Whoever never reads is not read from either.
    let mut stream = closed_window(&scene).await;
    let faults: Vec<u8> = faults(2_000_000).collect();
    let taken = narrow::fill(&mut stream, &faults).await;
    assert!(taken < faults.len(), "all was taken");
    drop(stream);
    scene.is_unharmed("forced resets without end").await;
}
