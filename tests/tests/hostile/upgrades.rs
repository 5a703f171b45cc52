//! The opening handshake of a WebSocket, and what comes right behind it.

use std::time::Duration;

use http::StatusCode;
use primus_tests::{
    http::connect,
    ws::{Raw, frame, opcode},
};
use tokio::io::AsyncWriteExt as _;

use super::{Scene, websocket};

/// The default of `max_headers`.
const MAX_HEADERS: usize = 64;

fn handshake(headers: &str) -> Vec<u8> {
    format!(
        "GET /primus HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into()
}

#[tokio::test]
async fn frames_behind_the_handshake_are_judged_as_any_others() {
    let mut scene = Scene::new(websocket()).await;
    for (what, behind) in [
        ("RSV2", frame(opcode::TEXT | 0x20, "x")),
        ("RSV3", frame(opcode::TEXT | 0x10, "x")),
        ("another handshake", handshake("")),
    ] {
        for dialect in ["", "sec-websocket-protocol: primus.2\r\n"] {
            let mut raw = Raw::connect(scene.to()).await;
            raw.send([handshake(dialect), behind.clone()].concat()).await;
            assert_eq!(raw.head().await.0, StatusCode::SWITCHING_PROTOCOLS, "{what}");
            assert_eq!(raw.closed().await.map(|closed| closed.code), Some(1002), "{what}");
            drop(raw);
            scene.is_unharmed(what).await;
        }
    }
}

#[tokio::test]
async fn an_upgrade_to_http2_is_refused_and_a_reset_right_behind_it_harms_nobody() {
    let mut scene = Scene::new(websocket()).await;
    let upgrade = "GET /primus HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let mut raw = Raw::connect(scene.to()).await;
    raw.send(upgrade).await;
    assert_eq!(raw.head().await.0, StatusCode::UPGRADE_REQUIRED);
    drop(raw);
    for upgrade in [upgrade.as_bytes(), &handshake("")] {
        let mut stream = connect(scene.to()).await;
        stream.write_all(upgrade).await.unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
        scene.is_unharmed("after a reset").await;
    }
}

#[tokio::test]
async fn a_websockets_url_without_an_upgrade_is_426() {
    let mut scene = Scene::new(websocket()).await;
    for path in ["/primus", "/primus/", "/primus?transport=websocket&EIO=4"] {
        let mut raw = Raw::connect(scene.to()).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!(raw.head().await.0, StatusCode::UPGRADE_REQUIRED, "{path}");
        drop(raw);
        scene.is_unharmed(path).await;
    }
}

#[tokio::test]
async fn an_origin_with_control_characters_is_no_origin() {
    let mut scene = Scene::new(websocket()).await;
    for (origin, status) in [
        ("http://x\0", StatusCode::BAD_REQUEST),
        ("http://x\x01", StatusCode::BAD_REQUEST),
        ("http://\x7fx", StatusCode::BAD_REQUEST),
        // A space is none, and not of the same origin either.
        ("http://\tx", StatusCode::FORBIDDEN),
        ("http://x\u{80}", StatusCode::FORBIDDEN),
    ] {
        let mut raw = Raw::connect(scene.to()).await;
        raw.send(handshake(&format!("origin: {origin}\r\n"))).await;
        assert_eq!(raw.head().await.0, status, "{origin:?}");
        drop(raw);
        scene.is_unharmed(origin.trim_end_matches('\0')).await;
    }
}

#[tokio::test]
async fn what_is_no_subprotocol_or_extension_is_passed_over() {
    let mut scene = Scene::new(websocket().compression(true).max_header_bytes(64 << 10)).await;
    let spaces = " ".repeat(50_000);
    for header in [
        format!("sec-websocket-protocol: a b{spaces},{spaces}c d"),
        format!("sec-websocket-protocol: \"{}", "\\c".repeat(20_000)),
        "sec-websocket-protocol: ünïcode, \u{1f980}".into(),
        "sec-websocket-extensions: constructor".into(),
        "sec-websocket-extensions: __proto__, toString; valueOf=1".into(),
        "sec-websocket-extensions: permessage-deflate; constructor".into(),
        format!("sec-websocket-extensions: permessage-deflate; b=\"{}", "\\c".repeat(20_000)),
        format!("sec-websocket-extensions: {}", "permessage-deflate; x=\"".repeat(2000)),
    ] {
        let mut raw = Raw::connect(scene.to()).await;
        raw.send(handshake(&format!("{header}\r\n"))).await;
        let what = &header[..header.len().min(60)];
        let (status, head) =
            tokio::time::timeout(Duration::from_secs(5), raw.head()).await.unwrap();
        assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS, "{what}");
        assert!(!head.contains("sec-websocket-protocol"), "{head}");
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
        raw.send(frame(opcode::TEXT, what)).await;
        assert_eq!(raw.frame().await.unwrap().payload, what.as_bytes());
        drop(raw);
        scene.is_unharmed(what).await;
    }
}

#[tokio::test]
async fn a_pong_is_what_the_ping_was_byte_by_byte() {
    let mut scene = Scene::new(websocket()).await;
    let mut raw = Raw::open(scene.to(), "/primus").await;
    for length in 0..=125_u8 {
        let payload: Vec<u8> = (0..length).map(|n| n.wrapping_mul(7) ^ length).collect();
        raw.send(frame(opcode::PING, &payload)).await;
        let pong = raw.frame().await.unwrap();
        assert_eq!((pong.first, pong.payload), (opcode::PONG, payload));
    }
    raw.send(frame(opcode::PING, [0; 126])).await;
    assert_eq!(raw.closed().await.map(|closed| closed.code), Some(1002));
    drop(raw);
    scene.is_unharmed("still here").await;
}

#[tokio::test]
async fn a_handshake_with_more_headers_than_may_be_is_431() {
    let mut scene = Scene::new(websocket()).await;
    let good = String::from_utf8(handshake("")).unwrap();
    let (line, headers) = good.split_once("\r\n").unwrap();
    let room = MAX_HEADERS - headers.trim_end().lines().count();
    for (more, status) in [
        (room, StatusCode::SWITCHING_PROTOCOLS),
        (room + 1, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (2000, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let junk = "x: 1\r\n".repeat(more);
        for (what, head) in [
            ("behind", handshake(&junk)),
            // Of such a head the upgrade would be lost to who keeps the first headers only.
            ("in front", format!("{line}\r\n{junk}{headers}").into()),
        ] {
            let mut raw = Raw::connect(scene.to()).await;
            raw.send(head).await;
            let (answer, head) = raw.head().await;
            assert_eq!(answer, status, "{more} {what}");
            if status.is_client_error() {
                assert!(head.contains("\r\nconnection: close\r\n"), "{more} {what}: {head}");
                raw.gone().await;
            }
            drop(raw);
            scene.is_unharmed(what).await;
        }
    }
}

#[tokio::test]
async fn drafts_of_websocket_are_not_spoken() {
    let mut scene = Scene::new(websocket()).await;
    for keys in [
        "",
        "sec-websocket-key1: 4 @1  46546xW%0l 1 5\r\nsec-websocket-key2: 12998 5 Y3 1  .P00\r\n",
    ] {
        let mut raw = Raw::connect(scene.to()).await;
        raw.send(format!(
            "GET /primus HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n{keys}\r\n^n:ds[4U"
        ))
        .await;
        // A length of such a draft, without end.
        raw.send([&[0x80][..], &[0xff; 100_000]].concat()).await;
        assert_eq!(raw.head().await.0, StatusCode::UPGRADE_REQUIRED);
        raw.gone().await;
        scene.is_unharmed(keys).await;
    }
}
