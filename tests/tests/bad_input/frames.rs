//! Frames of WebSockets that are none.

use primus_tests::{
    server::{Server, until},
    weighed::Weighed,
    ws::{Client, Closed, Raw, frame, header, opcode},
};

use super::{claim, websocket};

/// The frame without its mask.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame[1] &= 0x7f;
    frame.extend(payload);
    frame
}

fn close(code: u16, text: &[u8]) -> Vec<u8> {
    frame(opcode::CLOSE, [&code.to_be_bytes()[..], text].concat())
}

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
    /// 13 MB.
    const PINGS: u32 = 100_000;
    /// What may wait in the server's memory: 256 KiB of pongs, and what it has read ahead.
    const MOST: usize = 512 << 10;
    let config = "transformer = \"websocket\"\nparser = \"raw\"\n";
    let mut server = Weighed::start(env!("CARGO_BIN_EXE_weigh"), config);
    let mut bystander = Client::plain(server.address()).await;
    let mut raw = Raw::narrow(server.address(), "/primus").await;
    bystander.echoes("before").await;
    let before = server.weight().heap;
    let payload = |n: u32| n.to_be_bytes().into_iter().cycle().take(125).collect::<Vec<u8>>();
    let pings: Vec<u8> = (0..PINGS).flat_map(|n| frame(opcode::PING, payload(n))).collect();

    let taken = raw.fill_up(&pings).await;
    assert!(taken < pings.len(), "the server read on");
    let more = server.weight().heap.saturating_sub(before);
    assert!(more < MOST, "{more} bytes for pongs that nobody reads");
    bystander.echoes("still here").await;

    // What comes late is all there, in its order.
    let mut rest = &pings[taken..];
    for n in 0..PINGS {
        let pong = raw.frame_meanwhile(&mut rest).await.expect("a pong");
        assert_eq!((pong.first, pong.payload), (opcode::PONG, payload(n)));
    }
    assert!(rest.is_empty());
    raw.send(frame(opcode::TEXT, "and on")).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"and on");
    bystander.echoes("after").await;
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

#[tokio::test]
async fn a_wrong_header_is_answered_without_its_payload() {
    let server = Server::echo(websocket().max_message(1 << 20)).await;
    let header = |first, length| [&header(first, length), &b"mask"[..]].concat();
    let begun = frame(0x01, "a");
    let unmasked = [&[opcode::TEXT, 0x7f][..], &100_000_u64.to_be_bytes()].concat();
    for (what, stream, code) in [
        ("a reserved bit", header(opcode::TEXT | 0x40, 100_000), 1002),
        ("an unknown opcode", header(0x83, 100_000), 1002),
        ("a ping of 126 bytes", header(opcode::PING, 126), 1002),
        ("a ping in pieces", header(opcode::PING & 0x7f, 100), 1002),
        ("a continuation of nothing", header(0x80, 100_000), 1002),
        ("text within text", [begun.clone(), header(opcode::TEXT, 100_000)].concat(), 1002),
        ("no mask", unmasked, 1002),
        ("a message over the limit", [begun, header(0x80, 1 << 20)].concat(), 1009),
    ] {
        let mut raw = Raw::open(server.address(), "/primus").await;
        raw.send(stream).await;
        assert_eq!(raw.closed().await.map(|closed| closed.code), Some(code), "{what}");
    }
}
