//! Heads and bodies of HTTP/1.1 that two readers may take differently, or that do not end.

use std::time::Duration;

use http::StatusCode;
use primus::Primus;
use primus_tests::{
    http::raw,
    server::{soon, until},
    ws::Raw,
};
use tokio::time::Instant;

use super::{Scene, websocket};

/// What a server must not answer when it stands in a body, and what it may when it stands behind one.
const SMUGGLED: &str = "GET /primus/spec HTTP/1.1\r\nhost: smuggled\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /primus HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_400_and_the_last_on_its_connection() {
    let mut scene = Scene::new(Primus::builder().parser("raw")).await;
    let chunked = "transfer-encoding: chunked";
    for (what, request) in [
        ("a length with a sign", post("content-length: +5", "hello")),
        ("two lengths in one", post("content-length: 5, 5", "hello")),
        ("two lengths that differ", post("content-length: 5\r\ncontent-length: 6", "hello")),
        ("a length below nought", post("content-length: -1", "hello")),
        ("a length in hexadecimal", post("content-length: 0x5", "hello")),
        ("a length that overflows", post("content-length: 18446744073709551621", "hello")),
        ("no length", post("content-length:", "hello")),
        ("a chunk whose size overflows", post(chunked, "10000000000000005\r\nhello\r\n0\r\n\r\n")),
        ("a chunk with a sign", post(chunked, "+5\r\nhello\r\n0\r\n\r\n")),
        ("a chunk without a size", post(chunked, "\r\nhello\r\n0\r\n\r\n")),
        ("not chunked in the end", post("transfer-encoding: chunked, identity", "hello")),
        (
            "another coding",
            post("transfer-encoding: chunked\r\ntransfer-encoding: xchunked", "5\r\nhello\r\n"),
        ),
        ("a space before the colon", post("content-length : 5", "hello")),
        ("a folded header", post("x-a: b\r\n c: d\r\ncontent-length: 5", "hello")),
        ("a bare CR", post("x-a: b\rcontent-length: 5", "hello")),
        ("a NUL", post("x-a: b\0c\r\ncontent-length: 5", "hello")),
    ] {
        let answers = soon(raw(scene.to(), request + SMUGGLED)).await;
        assert!(answers.starts_with("HTTP/1.1 400 "), "{what}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{what}: {answers}");
        scene.is_unharmed(what).await;
    }
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_a_body() {
    let mut scene = Scene::new(Primus::builder().parser("raw")).await;
    let last = "GET /primus/spec HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let length = SMUGGLED.len();
    for (what, first) in [
        (
            "of a GET",
            format!("GET /primus/spec HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"),
        ),
        (
            "of a GET, in a chunk",
            format!(
                "GET /primus/spec HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n"
            ),
        ),
    ] {
        let end = if first.contains("chunked") { "\r\n0\r\n\r\n" } else { "" };
        let answers = soon(raw(scene.to(), format!("{first}{SMUGGLED}{end}{last}"))).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{what}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{what}: {answers}");
        scene.is_unharmed(what).await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_431_however_small_its_pieces_are() {
    let mut scene = Scene::new(websocket().max_header_bytes(8 << 10)).await;
    for piece in [1, 7, 500] {
        let mut raw = Raw::connect(scene.to()).await;
        raw.send("GET /primus HTTP/1.1\r\nhost: x\r\nx-endless: ").await;
        for _ in 0..(9 << 10) / piece {
            raw.send("y".repeat(piece)).await;
            tokio::task::yield_now().await;
        }
        let status = raw.head().await.0;
        assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{piece}");
        drop(raw);
        scene.is_unharmed("still here").await;
    }
}

#[tokio::test]
async fn who_sends_a_head_byte_by_byte_has_no_more_time_for_it() {
    let limit = Duration::from_millis(200);
    let mut scene = Scene::new(websocket().handshake_timeout(limit)).await;
    let began = Instant::now();
    let mut client = Raw::connect(scene.to()).await;
    client.send("GET /primus HTTP/1.1\r\nhost: x\r\nx-endless: ").await;
    let drip = async {
        loop {
            client.send("y").await;
            // It is time that is tested.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let over = || super::tasks() <= scene.tasks && began.elapsed() >= limit;
    tokio::select! {
        () = drip => unreachable!("it has no end"),
        () = until("the end of its task", over) => {}
    }
    scene.is_unharmed("still here").await;
}
