//! Hostile and broken clients: each is told what was wrong, and nobody else notices.

use std::time::Duration;

use http::StatusCode;
use primus::{Builder, Mount, Primus};
use primus_tests::{
    http::get,
    server::{Server, until},
    ws::{Client, Closed, Raw, WsMessage, frame, header, opcode},
};
use serde_json::Value;

fn websocket() -> Builder {
    Primus::builder().transformer("websocket").parser("raw")
}

/// The frame without its mask.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame[1] &= 0x7f;
    frame.extend(payload);
    frame
}

/// A header that claims `length` bytes, in the long form, with a mask.
fn claim(length: u64) -> Vec<u8> {
    let mut header = vec![opcode::BINARY, 0xff];
    header.extend(length.to_be_bytes());
    header.extend([0; 4]);
    header
}

fn close(code: u16, text: &[u8]) -> Vec<u8> {
    frame(opcode::CLOSE, [&code.to_be_bytes()[..], text].concat())
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../docs/protocol-vectors.json")).unwrap()
}

// ---- frames ----

#[tokio::test]
async fn hostile_frames_are_answered_with_the_code_that_says_why() {
    let server = Server::echo(websocket()).await;
    let mut bystander = Client::resumable(server.address()).await;
    let mut cases: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut case = |what: &str, bytes: Vec<u8>, code| cases.push((what.to_owned(), bytes, code));

    for bit in [0x40, 0x20, 0x10] {
        case("a reserved bit on data", frame(opcode::TEXT | bit, "x"), 1002);
        case("a reserved bit on a ping", frame(opcode::PING | bit, ""), 1002);
    }
    for unknown in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        case("an unknown opcode", frame(0x80 | unknown, ""), 1002);
    }
    case("unmasked text", unmasked(opcode::TEXT, b"x"), 1002);
    case("an unmasked ping", unmasked(opcode::PING, b""), 1002);
    case("an unmasked close", unmasked(opcode::CLOSE, &1000_u16.to_be_bytes()), 1002);
    for control in [opcode::PING, opcode::PONG, opcode::CLOSE] {
        case("a control frame of 126 bytes", frame(control, [b'x'; 126]), 1002);
        case("a control frame of 70,000 bytes", frame(control, [b'x'; 70_000]), 1002);
        case("a control frame in pieces", frame(control & 0x7f, ""), 1002);
    }
    case("a length of 2^62", claim(1 << 62), 1009);
    case("a length of 2^63 - 1", claim((1 << 63) - 1), 1009);
    case("a length with the top bit", claim(1 << 63), 1009);
    case("the longest length", claim(u64::MAX), 1009);
    case("a length just over the limit", claim((1 << 20) + 1), 1009);

    for text in [
        &b"\xff"[..],
        b"\x80",
        b"\xc3",
        b"a\xe2\x98",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"ok until here \xfe",
    ] {
        case("text that is not UTF-8", frame(opcode::TEXT, text), 1007);
        let (begin, end) = text.split_at(text.len() / 2);
        let pieces = [frame(0x01, begin), frame(0x80, end)].concat();
        case("the same in pieces", pieces, 1007);
    }
    let pieces = [frame(0x01, b"\xe2"), frame(0x00, b"\x98"), frame(0x80, b"")].concat();
    case("a character that never ends", pieces, 1007);

    case("a continuation of nothing", frame(0x80, "x"), 1002);
    case("the same, to go on", frame(0x00, "x"), 1002);
    let again = [frame(opcode::TEXT, ""), frame(0x80, "x")].concat();
    case("a continuation of a whole message", again, 1002);
    case("text within text", [frame(0x01, "a"), frame(opcode::TEXT, "b")].concat(), 1002);
    case("binary within text", [frame(0x01, "a"), frame(0x02, "b")].concat(), 1002);

    for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        case(&format!("a close with code {bad}"), close(bad, b""), 1002);
    }
    case("a close of one byte", frame(opcode::CLOSE, [3]), 1002);
    case("a close whose text is not UTF-8", close(1000, b"\xff"), 1007);

    for (what, bytes, code) in cases {
        let mut raw = Raw::open(server.address(), "/primus").await;
        raw.send(frame(opcode::TEXT, "good")).await;
        raw.send(&bytes).await;
        let echoes = [b"good".to_vec(), Vec::new()];
        let first = loop {
            let frame = raw.frame().await.unwrap_or_else(|| panic!("{what} broke the connection"));
            if !echoes.contains(&frame.payload) || frame.first == opcode::CLOSE {
                break frame;
            }
        };
        assert_eq!(first.first, opcode::CLOSE, "{what}: {first:?}");
        let got = first.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert_eq!(got, Some(code), "{what}: {bytes:02x?}");
        raw.gone().await;
        bystander.echoes(&what).await;
    }
    until("the end of the others", || server.sessions() == 1).await;
}

#[tokio::test]
async fn good_close_frames_are_answered_alike() {
    let server = Server::echo(websocket()).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 3000, 3999, 4000, 4999] {
        let mut raw = Raw::open(server.address(), "/primus").await;
        raw.send(close(code, "góod".as_bytes())).await;
        assert_eq!(raw.closed().await, Some(Closed { code, text: "góod".into() }));
    }
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send(frame(opcode::CLOSE, "")).await;
    assert_eq!(raw.closed().await.map(|closed| closed.code), Some(1005));
    until("the end", || server.sessions() == 0).await;
}

#[tokio::test]
async fn what_came_before_the_fault_is_answered_and_what_follows_is_not() {
    let server = Server::echo(websocket()).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    let bytes = [
        frame(opcode::TEXT, "before"),
        frame(opcode::PING, "before"),
        frame(0xc1, "fault"),
        frame(opcode::TEXT, "after"),
        frame(opcode::PING, "after"),
    ];
    raw.send(bytes.concat()).await;
    let mut seen = Vec::new();
    while let Some(frame) = raw.frame().await {
        seen.push(frame);
    }
    let firsts: Vec<u8> = seen.iter().map(|frame| frame.first).collect();
    assert!(
        firsts == [opcode::TEXT, opcode::PONG, opcode::CLOSE]
            || firsts == [opcode::PONG, opcode::TEXT, opcode::CLOSE],
        "{seen:?}"
    );
    assert!(seen[..2].iter().all(|frame| frame.payload == b"before"), "{seen:?}");
    assert_eq!(seen[2].payload[..2], 1002_u16.to_be_bytes());
}

#[tokio::test]
async fn any_cut_of_good_frames_is_good() {
    let server = Server::echo(websocket()).await;
    let stream = [
        frame(0x01, "h\u{e9}"),
        frame(opcode::PING, "p"),
        frame(0x00, ""),
        frame(0x80, "llo \u{2603}"),
        frame(opcode::BINARY, [7; 300]),
    ]
    .concat();
    for cut in 1..40 {
        let mut raw = Raw::open(server.address(), "/primus").await;
        for piece in [&stream[..cut], &stream[cut..]] {
            raw.send(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.frame().await.unwrap().first, opcode::PONG);
        assert_eq!(raw.frame().await.unwrap().payload, "h\u{e9}llo \u{2603}".as_bytes());
        assert_eq!(raw.frame().await.unwrap().payload, [7; 300]);
    }
    let mut raw = Raw::open(server.address(), "/primus").await;
    for byte in &stream {
        raw.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.frame().await.unwrap().first, opcode::PONG);
    assert_eq!(raw.frame().await.unwrap().payload, "h\u{e9}llo \u{2603}".as_bytes());
}

#[tokio::test]
async fn a_peer_that_pings_and_never_reads_is_held_up() {
    let server = Server::echo(websocket()).await;
    let mut bystander = Client::plain(server.address()).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    let pings: Vec<u8> = (0..100_000).flat_map(|_| frame(opcode::PING, [1; 125])).collect();
    let flood = tokio::time::timeout(Duration::from_millis(500), async {
        loop {
            raw.send(&pings).await;
        }
    });
    assert!(flood.await.is_err());
    bystander.echoes("still here").await;
}

#[tokio::test]
async fn a_wrong_byte_of_text_is_1007_before_its_frame_is_complete() {
    let server = Server::echo(websocket()).await;
    let good = "κόσμε".as_bytes();
    let wrong = [good, b"\xf4\x90\x80\x80edited"].concat();
    for (what, stream, rest) in [
        ("a frame", frame(opcode::TEXT, &wrong), 8),
        ("a second one", [frame(0x01, good), frame(0x80, &wrong[good.len()..])].concat(), 8),
    ] {
        let mut raw = Raw::open(server.address(), "/primus").await;
        raw.send(&stream[..stream.len() - rest]).await;
        assert_eq!(raw.closed().await.map(|closed| closed.code), Some(1007), "{what}");
    }
}

// ---- handshakes ----

const GOOD: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn faults_of_the_handshake_have_each_their_status() {
    let server = Server::echo(websocket()).await;
    let everything = Server::echo(Primus::builder()).await;
    let mut bystander = Client::plain(server.address()).await;
    let without = |name: &str| -> String {
        GOOD.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect()
    };
    let with = |name: &str, value: &str| format!("{}{name}: {value}\r\n", without(name));
    let key = "sec-websocket-key";
    for (what, method, path, headers, status, closes) in [
        ("a short key", "GET", "/primus", with(key, "c2hvcnQ="), 400, true),
        ("a long key", "GET", "/primus", with(key, "dGhlIHNhbXBsZSBub25jZSEhIQ=="), 400, true),
        (
            "a key that is no base64",
            "GET",
            "/primus",
            with(key, "!!!!!!!!!!!!!!!!!!!!!!=="),
            400,
            true,
        ),
        ("no key", "GET", "/primus", without(key), 400, true),
        ("version 8", "GET", "/primus", with("sec-websocket-version", "8"), 426, true),
        ("no version", "GET", "/primus", without("sec-websocket-version"), 426, true),
        ("another protocol", "GET", "/primus", with("upgrade", "h2c"), 426, false),
        ("no upgrade", "GET", "/primus", without("upgrade"), 426, false),
        ("no connection", "GET", "/primus", without("connection"), 426, false),
        ("POST", "POST", "/primus", GOOD.to_owned(), 404, false),
        ("a foreign path", "GET", "/elsewhere", GOOD.to_owned(), 404, true),
        ("a path that begins alike", "GET", "/primusx", GOOD.to_owned(), 404, true),
        ("a path below", "GET", "/primus/deeper", GOOD.to_owned(), 404, true),
        ("the script's path", "GET", "/primus/primus.js", GOOD.to_owned(), 200, false),
    ] {
        for server in [&server, &everything] {
            let mut raw = Raw::connect(server.address()).await;
            raw.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
            let (got, head) = raw.head().await;
            let got = got.as_u16();
            // Where there are other transformers, a POST is a message, and an odd GET is nothing.
            let expected = match (std::ptr::eq(server, &everything), what) {
                (true, "POST") => 200,
                (true, "another protocol" | "no upgrade" | "no connection") => 404,
                _ => status,
            };
            assert_eq!(got, expected, "{what}: {head}");
            if got == 426 && closes {
                assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
            }
            if closes {
                assert!(head.contains("\r\nconnection: close\r\n"), "{what}: {head}");
                raw.gone().await;
            }
        }
        bystander.echoes(what).await;
    }
    assert_eq!((server.sessions(), everything.sessions()), (1, 0));
}

#[tokio::test]
async fn what_is_no_http_is_answered_and_closed() {
    let server = Server::echo(websocket()).await;
    let mut bystander = Client::plain(server.address()).await;
    for junk in [
        &b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /primus HTTP/9.9\r\n\r\n",
        b"GET /primus HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /primus HTTP/1.1\r\n: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello\r\n\r\n",
        b"POST /primus HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame of HTTP/2, at all",
    ] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(junk).await;
        raw.gone().await;
        bystander.echoes("1").await;
    }
}

// ---- control frames ----

#[tokio::test]
async fn malformed_control_frames_are_4400_and_never_reach_the_handler() {
    let server = Server::echo(websocket()).await;
    let mut bystander = Client::resumable(server.address()).await;
    let vectors = vectors();
    let invalid = vectors["invalid_frames"].as_array().unwrap();
    assert!(invalid.len() > 20);
    // Once attached is attached, and refusing is not the client's part.
    let more = [Value::from("primus::attach::{}"), Value::from("primus::refuse::{}")];
    for text in invalid.iter().chain(&more).map(|text| text.as_str().unwrap()) {
        let mut client = Client::resumable(server.address()).await;
        client.echoes("good").await;
        client.send(text).await;
        let (texts, closed) = client.rest().await;
        assert_eq!(closed.code, 4400, "{text}");
        let [end] = &texts[..] else { panic!("{text}: {texts:?}") };
        let end: Value = serde_json::from_str(end.strip_prefix("primus::end::").unwrap()).unwrap();
        assert_eq!((&end["code"], &end["reconnect"]), (&4400.into(), &true.into()), "{text}");
        bystander.echoes("still here").await;
    }
}

#[tokio::test]
async fn bad_attaches_are_refused_with_400() {
    let server = Server::echo(websocket()).await;
    for first in [
        WsMessage::text("hello"),
        WsMessage::text(""),
        WsMessage::text("primus::ping:1::"),
        WsMessage::text("primus::attach::"),
        WsMessage::text("primus::attach::[1]"),
        WsMessage::text("primus::attach::{\"recv\":-1}"),
        WsMessage::text("primus::attach::{\"session\":{}}"),
        WsMessage::text(format!("primus::attach::{{\"auth\":{}", "[".repeat(5000))),
        WsMessage::binary(b"primus::attach::{}".to_vec()),
    ] {
        let mut client = Client::pending(server.address()).await;
        client.send_message(first.clone()).await;
        let (texts, closed) = client.rest().await;
        let refusal: Value =
            serde_json::from_str(texts[0].strip_prefix("primus::refuse::").unwrap()).unwrap();
        assert_eq!((&refusal["status"], closed.code), (&400.into(), 4400), "{first:?}");
        assert!(!refusal["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn faults_before_the_attach_have_their_code() {
    let server = Server::echo(websocket().max_fragments(4)).await;
    let many = [frame(0x01, ""), frame(0, ""), frame(0, ""), frame(0, ""), frame(0, "")].concat();
    for (what, bytes, code) in [
        ("a reserved bit", frame(0xc1, "x"), 1002),
        ("no UTF-8", frame(opcode::TEXT, b"\xff"), 1007),
        ("too big", claim(1 << 62), 1009),
        ("too many fragments", many, 1008),
    ] {
        let mut raw =
            Raw::open_as(server.address(), "/primus", "sec-websocket-protocol: primus.2\r\n").await;
        raw.send(bytes).await;
        assert_eq!(raw.closed().await.map(|closed| closed.code), Some(code), "{what}");
    }
    // Pings are answered while the attach is awaited.
    let mut client = Client::pending(server.address()).await;
    client.send_message(WsMessage::Ping("early".into())).await;
    assert_eq!(client.message().await, Some(WsMessage::Pong("early".into())));
    client.send("primus::attach::{}").await;
    assert!(client.text().await.starts_with("primus::attach::"));
}

#[tokio::test]
async fn application_text_cannot_be_taken_for_control() {
    let server = Server::echo(websocket()).await;
    let vectors = vectors();
    let control = ["primus::end::", "primus::end::{\"code\":4000}", "primus::ping:1::", "primus::"];
    // As the vectors have it, both ways.
    let mut ours = Client::resumable(server.address()).await;
    for row in vectors["websocket_data"].as_array().unwrap() {
        let Some(text) = row["frame"]["text"].as_str() else { continue };
        ours.echoes(text).await;
    }
    for text in control {
        ours.echoes(&format!("primus::data::{text}")).await;
        ours.echoes(&format!(" {text}")).await;
    }
    // Escaped in vain, it is text all the same.
    ours.send("primus::data::plain").await;
    assert_eq!(ours.text().await, "plain");
    ours.send("primus::data:b64::cHJpbXVzOjpkYXRhOjpwcmltdXM6OmVuZDo6").await;
    assert_eq!(ours.text().await, "primus::data::primus::end::");
    // A broadcast is escaped for those for whom it would be control, and for them alone.
    let mut plain = Client::plain(server.address()).await;
    for text in control {
        plain.echoes(text).await;
    }
    assert_eq!(server.write_message("primus::end::"), 2);
    assert_eq!(plain.text().await, "primus::end::");
    assert_eq!(ours.text().await, "primus::data::primus::end::");
    ours.echoes("still here").await;
}

#[tokio::test]
async fn a_classic_client_is_never_sent_what_it_would_take_for_control() {
    let server = Server::echo(Primus::builder().transformer("websocket")).await;
    let mut client = Client::classic(server.address()).await;
    // Unknown control is ignored, whatever else is data.
    client.send("\"primus::nonsense::\"").await;
    client.send("\"primus::pong::x\"").await;
    client.send("not even JSON").await;
    assert_eq!(client.text().await, "not even JSON");
    client.send("\"primus::id::\"").await;
    let id: String = serde_json::from_str(&client.text().await).unwrap();
    let id = id.strip_prefix("primus::id::").unwrap().parse().unwrap();
    assert!(server.spark(id).is_some());
    server.write("primus::server::close").unwrap();
    server.write("other").unwrap();
    assert_eq!(client.text().await, "\"other\"");
    client.echoes("1").await;
}

#[tokio::test]
async fn control_of_a_classic_client_is_in_the_form_of_the_parser() {
    let builder = Primus::builder().transformer("websocket").parser("msgpack");
    let server = Server::echo(builder.ping_interval(Duration::from_millis(50))).await;
    let mut client = Client::classic(server.address()).await;
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length >= 32, "one byte for the kind, and one for the length");
        WsMessage::binary([&[0xd9, length], text.as_bytes()].concat())
    };
    let WsMessage::Binary(ping) = client.data().await else { panic!("msgpack is binary") };
    assert_eq!(&ping[..15], b"\xbbprimus::ping::");
    client.send_message(WsMessage::binary(&b"\xaeprimus::pong::"[..])).await;
    client.send_message(WsMessage::binary(&b"\xacprimus::id::"[..])).await;
    server.write("primus::server::close").unwrap();
    let other = "primus is not what this begins with, but it is in it: primus::";
    server.write(other).unwrap();
    let mut said = Vec::new();
    while said.len() < 2 {
        match client.data().await {
            WsMessage::Binary(bytes) if bytes.starts_with(b"\xbbprimus::ping::") => {}
            message => said.push(message),
        }
    }
    let id = text(&format!("primus::id::{}", server_id(&server)));
    said.sort_by_key(|message| *message != id);
    assert_eq!(said, [id, text(other)], "and neither the pong came back nor the close went out");
    // To a raw parser bytes are bytes, whatever they say.
    let server = Server::echo(Primus::builder().transformer("websocket").parser("raw")).await;
    let mut client = Client::classic(server.address()).await;
    let bytes = WsMessage::binary(&b"primus::id::"[..]);
    client.send_message(bytes.clone()).await;
    assert_eq!(client.data().await, bytes);
}

/// The id of the one spark that there is.
fn server_id(server: &Server) -> primus::SparkId {
    server.for_each(|spark| std::ops::ControlFlow::Break(spark.id())).expect("a spark")
}

// ---- random input ----

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    /// Something like a frame: often good, sometimes with a fault.
    fn frame(&mut self) -> Vec<u8> {
        let first = match self.below(4) {
            0 => self.next() as u8,
            1 => [0x01, 0x02, 0x00, 0x80][self.below(4) as usize],
            _ => [opcode::TEXT, opcode::BINARY, opcode::PING, opcode::PONG, opcode::CLOSE]
                [self.below(5) as usize],
        };
        let payload = match self.below(4) {
            0 => self.bytes(200),
            1 => b"primus::".iter().copied().chain(self.bytes(8)).collect(),
            2 => {
                let length = self.below(70_000) as usize;
                vec![b'x'; length]
            }
            _ => Vec::new(),
        };
        let mut frame = frame(first, payload);
        if self.below(8) == 0 {
            let at = self.below(frame.len() as u64) as usize;
            frame[at] ^= 1 << self.below(8);
        }
        frame
    }
}

#[tokio::test]
async fn random_bytes_never_harm_the_server_or_anyone_else() {
    let mount = Mount::new().max_message(10_000).max_fragments(4);
    // Those of ours that are lost wait for their clients, which do not come back.
    let builder = websocket().resume_window(Duration::from_millis(100)).mount("/small", mount);
    let server = Server::echo(builder).await;
    let mut bystander = Client::resumable(server.address()).await;
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut raw = match seed % 4 {
            0 => Raw::resumable(server.address()).await,
            1 => Raw::open(server.address(), "/small").await,
            2 => Raw::open(server.address(), "/primus?_primuscb=1").await,
            _ => {
                Raw::open_as(server.address(), "/primus", "sec-websocket-protocol: primus.2\r\n")
                    .await
            }
        };
        for _ in 0..random.below(12) + 1 {
            let bytes = if random.below(3) == 0 { random.bytes(100) } else { random.frame() };
            raw.send(bytes).await;
        }
        // Half of them wait for what the server makes of it, half are gone at once.
        if seed % 2 == 0 {
            raw.send(frame(opcode::CLOSE, "")).await;
            raw.send([0xff; 16]).await;
        }
        drop(raw);
        if seed % 10 == 0 {
            bystander.echoes(&seed.to_string()).await;
        }
    }
    bystander.echoes("still here").await;
    until("the end of the others", || server.sessions() == 1).await;
    assert_eq!(server.connected(), 1);
    assert_eq!(get("/primus/spec").send(server.address()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn random_requests_never_harm_the_server_or_anyone_else() {
    let server = Server::echo(Primus::builder()).await;
    let mut bystander = Client::plain(server.address()).await;
    let good = format!("GET /primus HTTP/1.1\r\nhost: x\r\n{GOOD}\r\n").into_bytes();
    for seed in 0..200 {
        let mut random = Random(1_000 + seed);
        let mut request = good.clone();
        for _ in 0..random.below(4) + 1 {
            let at = random.below(request.len() as u64) as usize;
            match random.below(3) {
                0 => request[at] = random.next() as u8,
                1 => drop(request.remove(at)),
                _ => request.insert(at, random.next() as u8),
            }
        }
        let mut raw = Raw::connect(server.address()).await;
        raw.send(&request).await;
        raw.send(random.frame()).await;
        drop(raw);
        if seed % 10 == 0 {
            bystander.echoes(&seed.to_string()).await;
        }
    }
    bystander.echoes("still here").await;
    until("the end of the others", || server.sessions() == 1).await;
}
