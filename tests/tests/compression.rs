//! Compressed WebSocket messages (RFC 7692), frame by frame.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use primus::{Builder, Mount, Primus, Spark};
use primus_tests::{
    http::{Connection, get},
    server::{Server, until},
    ws::{Client, Frame, Raw, frame, opcode},
};
use serde_json::{Value, json};

/// RSV1 on a whole message.
const COMPRESSED: u8 = 0x40;
const OFFER: &str = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";

fn compressing() -> Builder {
    Primus::builder().transformer("websocket").compression(true)
}

/// A plain client that offers compression.
async fn offering(server: &Server) -> Raw {
    Raw::open_as(server.address(), "/primus", OFFER).await
}

fn deflated(state: &mut Compress, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1000);
    state.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn once(text: impl AsRef<[u8]>) -> Vec<u8> {
    deflated(&mut Compress::new(Compression::default(), false), text.as_ref())
}

fn inflated(state: &mut Decompress, frame: &Frame) -> String {
    assert_eq!(frame.first, opcode::TEXT | COMPRESSED);
    let mut out = Vec::with_capacity(1 << 20);
    let whole = [&frame.payload[..], &[0, 0, 0xff, 0xff]].concat();
    state.decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
    String::from_utf8(out).unwrap()
}

fn read(frame: &Frame) -> String {
    inflated(&mut Decompress::new(false), frame)
}

fn large(what: &str) -> String {
    format!("\"{}\"", what.repeat(1000))
}

#[tokio::test]
async fn what_is_offered_is_answered_and_without_an_offer_or_the_option_nothing_is() {
    let on = Server::echo(compressing()).await;
    let off = Server::echo(Primus::builder().transformer("websocket")).await;
    let takeover = Server::echo(compressing().compression_takeover(true)).await;
    let neither = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for (server, offer, answer) in [
        (&on, "permessage-deflate", Some(neither)),
        (&on, "permessage-deflate; client_max_window_bits", Some(neither)),
        (&on, "permessage-deflate; server_max_window_bits=8", None),
        (&on, "x-webkit-deflate-frame", None),
        (&takeover, "permessage-deflate; client_max_window_bits", Some("permessage-deflate")),
        (&off, "permessage-deflate", None),
    ] {
        // The three dialects.
        for (path, protocol) in
            [("/primus", "echo"), ("/primus", "primus.2"), ("/primus/?_primuscb=1-0", "echo")]
        {
            let headers =
                [("sec-websocket-extensions", offer), ("sec-websocket-protocol", protocol)];
            let client = Client::open(server.address(), path, &headers).await.ok().unwrap();
            let answered = client.answer().headers().get("sec-websocket-extensions");
            assert_eq!(answered.map(|value| value.to_str().unwrap()), answer, "{path}: {offer}");
        }
    }
    let mut plain = Client::plain(on.address()).await;
    assert!(!plain.answer().headers().contains_key("sec-websocket-extensions"));
    plain.echoes(&large("plain ")).await;
}

#[tokio::test]
async fn it_is_agreed_on_over_http2_too() {
    let server = Server::echo(compressing()).await;
    let mut two = Connection::two(server.address()).await;
    get("/primus/spec").send_on(&mut two).await;
    let headers =
        [("sec-websocket-version", "13"), ("sec-websocket-extensions", "permessage-deflate")];
    let (answer, _tunnel) = two.connect_websocket("/primus", &headers).await;
    let answer = answer.header("sec-websocket-extensions");
    assert!(answer.starts_with("permessage-deflate; "), "{answer}");
}

#[tokio::test]
async fn messages_are_compressed_both_ways_from_the_threshold_on() {
    let server = Server::echo(compressing().compression_threshold(100)).await;
    let mut raw = offering(&server).await;
    for (text, compressed) in [("\"short\"".to_owned(), false), (large("long "), true)] {
        // Whether the client compresses has nothing to do with it.
        for sent in [frame(opcode::TEXT, &text), frame(opcode::TEXT | COMPRESSED, once(&text))] {
            raw.send(sent).await;
            let echo = raw.frame().await.unwrap();
            assert_eq!(echo.first & COMPRESSED != 0, compressed);
            if compressed {
                assert!(echo.payload.len() < text.len() / 10);
                assert_eq!(read(&echo), text);
            } else {
                assert_eq!(echo.payload, text.as_bytes());
            }
        }
    }
    // In pieces, with a ping between.
    let text = large("pieces ");
    let payload = once(&text);
    let (begin, end) = payload.split_at(9);
    raw.send(frame(0x01 | COMPRESSED, begin)).await;
    raw.send(frame(opcode::PING, "")).await;
    raw.send(frame(0x80, end)).await;
    assert_eq!(raw.frame().await.unwrap().first, opcode::PONG);
    assert_eq!(read(&raw.frame().await.unwrap()), text);
}

#[tokio::test]
async fn our_own_dialect_is_compressed_like_the_others() {
    let server = Server::echo(compressing()).await;
    let headers = format!("sec-websocket-protocol: primus.2\r\n{OFFER}");
    let mut raw = Raw::open_as(server.address(), "/primus", &headers).await;
    // The attach frame too, within its own bound.
    raw.send(frame(opcode::TEXT | COMPRESSED, once("primus::attach::{}"))).await;
    let attach = raw.frame().await.unwrap();
    assert!(attach.payload.starts_with(b"primus::attach::"));
    let text = large("ours ");
    raw.send(frame(opcode::TEXT | COMPRESSED, once(&text))).await;
    assert_eq!(read(&raw.frame_but(&[opcode::TEXT]).await.unwrap()), text);
    // An event, and text that has to be escaped.
    let spark = server.everyone().sparks().into_iter().next().unwrap();
    spark.emit("news", &text).unwrap();
    let event = read(&raw.frame_but(&[opcode::TEXT]).await.unwrap());
    assert!(event.starts_with("primus::event:news::"), "{event:.40}");
    spark.write_message(format!("primus::{text}")).unwrap();
    let escaped = read(&raw.frame_but(&[opcode::TEXT]).await.unwrap());
    assert_eq!(escaped, format!("primus::data::primus::{text}"));

    let mut pending = Raw::open_as(server.address(), "/primus", &headers).await;
    let bomb = once(format!("primus::attach::{{\"auth\":\"{}\"}}", "0".repeat(100_000)));
    assert!(bomb.len() < 1000);
    pending.send(frame(opcode::TEXT | COMPRESSED, bomb)).await;
    assert_eq!(pending.closed().await.unwrap().code, 1009);
}

#[tokio::test]
async fn a_broadcast_is_compressed_once_for_all_who_agreed_alike() {
    let server = Server::start(compressing()).await;
    let small = "sec-websocket-extensions: permessage-deflate; server_max_window_bits=10\r\n";
    let mut clients = Vec::new();
    for index in 0..30 {
        let headers = ["", OFFER, small][index % 3];
        clients.push(Raw::open_as(server.address(), "/primus", headers).await);
    }
    until("all are there", || server.connected() == 30).await;
    let text = "all ".repeat(1000);
    assert_eq!(server.write(&text).unwrap(), 30);
    let mut frames = Vec::new();
    for client in &mut clients {
        frames.push(client.frame().await.unwrap());
    }
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(frame, &frames[index % 3]);
        if index % 3 == 0 {
            assert_eq!(frame.payload, format!("\"{text}\"").as_bytes());
        } else {
            assert_eq!(read(frame), format!("\"{text}\""));
        }
    }
    // Once as it is, once for each of the two windows.
    let counters = server.frame_counters();
    assert_eq!((counters.encoded(), counters.framed()), (1, 3));
}

#[tokio::test]
async fn what_is_written_with_compress_false_is_not() {
    let server = Server::start(compressing()).await;
    server.on_connection(async |mut spark: Spark| {
        spark.write(&"own ".repeat(1000))?;
        spark.compress(false).write(&"own ".repeat(1000))?;
        while spark.next().await.is_some() {}
        Ok(())
    });
    let mut raw = offering(&server).await;
    assert_eq!(raw.frame().await.unwrap().first, opcode::TEXT | COMPRESSED);
    assert_eq!(raw.frame().await.unwrap().first, opcode::TEXT);
    let text = "all ".repeat(1000);
    server.everyone().compress(false).write(&text).unwrap();
    assert_eq!(raw.frame().await.unwrap().first, opcode::TEXT);
    server.everyone().write(&text).unwrap();
    assert_eq!(raw.frame().await.unwrap().first, opcode::TEXT | COMPRESSED);
}

#[tokio::test]
async fn with_context_takeover_messages_refer_to_earlier_ones_both_ways() {
    let builder = compressing().compression_takeover(true).compression_threshold(0);
    let server = Server::echo(builder).await;
    let mut raw = offering(&server).await;
    let mut ours = Compress::new(Compression::default(), false);
    let mut theirs = Decompress::new(false);
    let text = format!("\"{}\"", "0123456789abcdef+-".chars().rev().collect::<String>());
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let payload = deflated(&mut ours, text.as_bytes());
        let sent = payload.len();
        raw.send(frame(opcode::TEXT | COMPRESSED, payload)).await;
        let echo = raw.frame().await.unwrap();
        assert_eq!(inflated(&mut theirs, &echo), text);
        sizes.push((sent, echo.payload.len()));
    }
    assert!(sizes[1].0 < sizes[0].0 / 2 && sizes[1].1 < sizes[0].1 / 2, "{sizes:?}");
    // A broadcast is in the context of each.
    let mut another = offering(&server).await;
    until("both are there", || server.connected() == 2).await;
    assert_eq!(server.write_message(&*text), 2);
    let known = raw.frame().await.unwrap();
    let new = another.frame().await.unwrap();
    assert_eq!((inflated(&mut theirs, &known), read(&new)), (text.clone(), text));
    assert!(known.payload.len() < new.payload.len() / 2);
}

#[tokio::test]
async fn hostile_compression_is_answered_with_the_code_that_says_why() {
    let mount = Mount::new().parser("raw").max_message(64 << 10);
    let server = Server::echo(compressing().mount("/ws", mount)).await;
    let mut bystander = Client::plain(server.address()).await;
    let text = opcode::TEXT | COMPRESSED;
    let hello = once("hello");
    let begins = || frame(0x41, &hello[..3]);
    for (what, bytes, code) in [
        ("a bomb", frame(text, once(vec![b'0'; 10 << 20])), 1009),
        ("a byte more than allowed", frame(text, once(vec![b'0'; (64 << 10) + 1])), 1009),
        ("not deflate", frame(text, [0xff; 30]), 1007),
        ("half of a message", frame(text, &hello[..4]), 1007),
        ("not UTF-8", frame(text, once(b"abc\xff")), 1007),
        ("RSV1 on a ping", frame(opcode::PING | COMPRESSED, ""), 1002),
        ("RSV1 on a close", frame(opcode::CLOSE | COMPRESSED, ""), 1002),
        ("RSV1 on a continuation", [begins(), frame(0x80 | COMPRESSED, "")].concat(), 1002),
        ("RSV2", frame(text | 0x20, &hello), 1002),
        ("a message within one", [begins(), frame(text, &hello)].concat(), 1002),
    ] {
        let mut raw = Raw::open_as(server.address(), "/ws", OFFER).await;
        raw.send(frame(text, once("good"))).await;
        assert_eq!(raw.frame().await.unwrap().payload, b"good");
        raw.send(bytes).await;
        assert_eq!(raw.closed().await.map(|closed| closed.code), Some(code), "{what}");
        bystander.echoes("still here").await;
    }
    // As large as allowed.
    let mut raw = Raw::open_as(server.address(), "/ws", OFFER).await;
    raw.send(frame(text, once(vec![b'0'; 64 << 10]))).await;
    assert_eq!(read(&raw.frame().await.unwrap()).len(), 64 << 10);
    // Who has not agreed may not.
    let mut raw = Raw::open(server.address(), "/ws").await;
    raw.send(frame(text, &hello)).await;
    assert_eq!(raw.closed().await.unwrap().code, 1002);
}

#[tokio::test]
async fn a_session_goes_on_whatever_its_connections_agreed_on() {
    let server = Server::start(compressing().compression_takeover(true)).await;
    let mut session = Value::Null;
    let text = "kept ".repeat(1000);
    // Never acknowledged, so it comes again, in the context of each connection, or in none.
    for offer in [OFFER, OFFER, ""] {
        let headers = format!("sec-websocket-protocol: primus.2\r\n{offer}");
        let mut raw = Raw::open_as(server.address(), "/primus", &headers).await;
        let attach = match &session {
            Value::Null => json!({}),
            session => json!({ "session": session, "recv": 0, "next": 1, "sent": 0 }),
        };
        raw.send(frame(opcode::TEXT, format!("primus::attach::{attach}"))).await;
        let answer = String::from_utf8(raw.frame().await.unwrap().payload).unwrap();
        let answer: Value =
            serde_json::from_str(answer.strip_prefix("primus::attach::").unwrap()).unwrap();
        if session.is_null() {
            let spark = server.everyone().sparks().into_iter().next().unwrap();
            spark.write(&text).unwrap();
        } else {
            assert_eq!(answer["resumed"], true, "{answer}");
        }
        session = answer;
        let frame = raw.frame().await.unwrap();
        let read =
            if offer.is_empty() { String::from_utf8(frame.payload).unwrap() } else { read(&frame) };
        assert_eq!(read, format!("\"{text}\""));
    }
}
