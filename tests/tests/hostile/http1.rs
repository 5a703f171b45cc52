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

/// A body in chunks, with these headers of `Transfer-Encoding`.
fn codings(codings: &[&str]) -> String {
    let headers: Vec<String> =
        codings.iter().map(|coding| format!("transfer-encoding: {coding}")).collect();
    post(&headers.join("\r\n"), "5\r\nhello\r\n0\r\n\r\n")
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
        ("a chunk whose size ends with a bare LF", post(chunked, "5\nhello\r\n0\r\n\r\n")),
        ("another coding", codings(&["xchunked"])),
        ("another coding behind", codings(&["chunked", "xchunked"])),
        ("another coding in front", codings(&["xchunked", "chunked"])),
        ("another coding in front, in one", codings(&["xchunked, chunked"])),
        ("chunked twice", codings(&["chunked", "chunked"])),
        ("chunked twice, in one", codings(&["chunked, chunked"])),
        ("chunks of HTTP/1.0", codings(&["chunked"]).replacen("HTTP/1.1", "HTTP/1.0", 1)),
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

/// hyper reads the chunks, as RFC 9112 §6.3 wants it, and drops the length before anybody sees it: that it was there
/// shows in the end of the connection alone, so that nothing that a proxy took for a body is a request.
#[tokio::test]
async fn a_length_beside_chunks_makes_the_answer_the_last_on_its_connection() {
    const HANDSHAKE: &str = r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}"#;
    let chunks = format!("{:x}\r\n{HANDSHAKE}\r\n0\r\n\r\n", HANDSHAKE.len());
    for late in [false, true] {
        let scene = Scene::new(Primus::builder().transformers(["websocket", "bayeux"])).await;
        scene.server.authorize(move |_| async move {
            if late {
                // Until hyper has been given up for the answer.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        });
        for length in [0, 3, HANDSHAKE.len(), chunks.len(), chunks.len() + SMUGGLED.len()] {
            let length = format!("content-length: {length}");
            let chunked = "transfer-encoding: chunked";
            for headers in [[&*length, chunked], [chunked, &length]] {
                let headers =
                    [headers[0], headers[1], "content-type: application/json"].join("\r\n");
                let request = post(&headers, &chunks) + SMUGGLED;
                let answers = soon(raw(scene.to(), request)).await;
                let what = format!("late: {late}, {headers}: {answers}");
                assert!(answers.starts_with("HTTP/1.1 200 "), "{what}");
                assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{what}");
                assert!(answers.contains("\r\nconnection: close\r\n"), "{what}");
            }
        }
        assert_eq!(scene.server.sessions(), 11, "each is read once");
        scene.server.authorize(async |_| Ok(()));
    }
}

/// RFC 9112 §2.2 lets a recipient take it for one.
#[tokio::test]
async fn a_bare_lf_ends_a_line_of_a_head_and_nothing_else() {
    let mut scene = Scene::new(Primus::builder().parser("raw")).await;
    let last = "GET /primus/spec HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for (what, first) in [
        ("before a length", post(&format!("x-a: b\ncontent-length: {}", SMUGGLED.len()), "")),
        (
            "of all lines",
            post(&format!("content-length: {}", SMUGGLED.len()), "").replace("\r\n", "\n"),
        ),
    ] {
        let answers = soon(raw(scene.to(), format!("{first}{SMUGGLED}{last}"))).await;
        // What stands in the body is no request, and what stands behind it is one.
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{what}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{what}: {answers}");
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
