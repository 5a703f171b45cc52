//! The head of a request, the attach, and the time that they may take.

use std::time::Duration;

use http::StatusCode;
use primus_tests::{
    server::Server,
    ws::{Client, Raw, frame, opcode},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{bystander, unharmed, websocket};

#[tokio::test]
async fn too_many_or_too_large_headers_are_431() {
    let builder = websocket().max_headers(20).max_header_bytes(8 << 10);
    let server = Server::echo(builder).await;
    let bystander = bystander(&server).await;
    // Those of the handshake are five.
    let many = |count: usize| (5..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let large = |size: usize| format!("x-large: {}\r\n", "y".repeat(size));
    for (headers, expected) in [
        (many(20), StatusCode::SWITCHING_PROTOCOLS),
        (many(21), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (many(2000), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (large(7000), StatusCode::SWITCHING_PROTOCOLS),
        (large(9000), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (large(1 << 20), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(format!(
            "GET /primus HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {headers}\r\n"
        ))
        .await;
        let (status, head) = raw.head().await;
        assert_eq!(status, expected, "{head} for {} bytes", headers.len());
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn who_takes_too_long_for_the_handshake_is_closed() {
    let limit = Duration::from_millis(150);
    let server = Server::echo(websocket().handshake_timeout(limit)).await;
    let bystander = bystander(&server).await;
    for said in ["", "GET /primus HT", "GET /primus HTTP/1.1\r\nhost: x\r\nupgrade: webso"] {
        let began = Instant::now();
        let mut raw = Raw::connect(server.address()).await;
        raw.send(said).await;
        raw.gone().await;
        let took = began.elapsed();
        assert!(took >= limit && took < limit * 6, "{said:?}: {took:?}");
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn who_does_not_attach_in_time_is_refused_with_408() {
    let limit = Duration::from_millis(150);
    let server = Server::echo(websocket().attach_timeout(limit)).await;
    let bystander = bystander(&server).await;
    let began = Instant::now();
    let mut client = Client::pending(server.address()).await;
    let (texts, closed) = client.rest().await;
    let took = began.elapsed();
    assert!(took >= limit && took < limit * 6, "{took:?}");
    let refusal: Value =
        serde_json::from_str(texts[0].strip_prefix("primus::refuse::").unwrap()).unwrap();
    assert_eq!(refusal["status"], 408);
    assert!(refusal["error"].as_str().unwrap().contains("attach_timeout"), "{refusal}");
    assert_eq!(closed.code, 4408);

    // Pings do not buy time, nor does an attach that comes byte by byte.
    let mut raw =
        Raw::open_as(server.address(), "/primus", "sec-websocket-protocol: primus.2\r\n").await;
    let began = Instant::now();
    raw.send(&frame(opcode::TEXT, "primus::attach::{}")[..10]).await;
    assert!(raw.frame().await.unwrap().payload.starts_with(b"primus::refuse::"));
    assert_eq!(raw.closed().await.unwrap().code, 4408);
    assert!(began.elapsed() < limit * 6);
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn an_attach_over_max_attach_is_1009() {
    let server = Server::echo(websocket()).await;
    let bystander = bystander(&server).await;
    let attach = |size: usize| {
        let empty = "primus::attach::{\"auth\":\"\"}";
        format!("primus::attach::{{\"auth\":\"{}\"}}", "x".repeat(size - empty.len()))
    };
    let mut client = Client::pending(server.address()).await;
    client.send(attach(8 << 10)).await;
    assert!(client.text().await.starts_with("primus::attach::"));
    // The limit was the attach's alone.
    client.echoes(&"x".repeat(100_000)).await;
    client.end().await;

    for message in [attach((8 << 10) + 1), attach(1 << 20)] {
        let mut raw =
            Raw::open_as(server.address(), "/primus", "sec-websocket-protocol: primus.2\r\n").await;
        raw.send(frame(opcode::TEXT, message)).await;
        assert_eq!(raw.closed().await.unwrap().code, 1009);
    }
    unharmed(&server, bystander).await;
}
