//! Floods of HTTP/2 (RFC 9113): cheap to send, dear to answer. The connection ends, and says why.

use primus::Primus;
use primus_tests::{http::connect, server::soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::Scene;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const CONTINUATION: u8 = 9;
}

const END_HEADERS: u8 = 4;
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
        let mut header = [0; 9];
        while reading.read_exact(&mut header).await.is_ok() {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; length as usize];
            if reading.read_exact(&mut payload).await.is_err() {
                break;
            }
            if header[3] == kind::GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
        code
    };
    // It closes while it is being written to, so its last words may be lost to a reset.
    let ((), code) = soon(async { tokio::join!(write, read) }).await;
    code
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
