//! The size of a message, and its pieces.

use primus::Mount;
use primus_tests::{
    server::Server,
    ws::{Client, Raw, frame, opcode},
};
use serde_json::Value;

use super::{bystander, unharmed, websocket};

/// The first byte of a text frame that is not the last of its message.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

/// One text in pieces of these sizes.
fn pieces(begins: u8, sizes: &[usize]) -> Vec<u8> {
    let last = sizes.len() - 1;
    let first = |index| match index {
        0 => begins,
        _ if index == last => ENDS,
        _ => GOES_ON,
    };
    sizes.iter().enumerate().flat_map(|(n, size)| frame(first(n), "x".repeat(*size))).collect()
}

#[tokio::test]
async fn a_message_over_max_message_is_1009_and_one_of_just_that_size_passes() {
    let server = Server::echo(websocket().max_message(1000)).await;
    let bystander = bystander(&server).await;
    let at = |size| "x".repeat(size);
    for (what, fits, too_big) in [
        ("text", frame(opcode::TEXT, at(1000)), frame(opcode::TEXT, at(1001))),
        ("binary", frame(opcode::BINARY, at(1000)), frame(opcode::BINARY, at(1001))),
        (
            "text in pieces",
            pieces(TEXT_BEGINS, &[600, 0, 400]),
            pieces(TEXT_BEGINS, &[600, 300, 101]),
        ),
        ("binary in pieces", pieces(BINARY_BEGINS, &[999, 1]), pieces(BINARY_BEGINS, &[1000, 1])),
        // Refused on what its header says, without waiting for the rest.
        ("a header alone", Vec::new(), frame(opcode::BINARY, at(1001))[..8].to_vec()),
    ] {
        for resumable in [false, true] {
            let mut raw = match resumable {
                true => Raw::resumable(server.address()).await,
                false => Raw::open(server.address(), "/primus").await,
            };
            if !fits.is_empty() {
                raw.send(&fits).await;
                assert_eq!(raw.frame().await.unwrap().payload.len(), 1000, "{what}");
            }
            raw.send(&too_big).await;
            if resumable {
                let end = raw.frame().await.unwrap().payload;
                let end = String::from_utf8(end).unwrap();
                let end: Value =
                    serde_json::from_str(end.strip_prefix("primus::end::").unwrap()).unwrap();
                assert_eq!(
                    (&end["code"], &end["reason"]),
                    (&1009.into(), &"message too big".into())
                );
            }
            let closed = raw.closed().await.unwrap_or_else(|| panic!("{what}: no close frame"));
            assert_eq!((closed.code, &*closed.text), (1009, "message too big"), "{what}");
        }
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn each_mount_has_its_own_max_message_and_tells_it() {
    let mount = Mount::new().parser("raw").max_message(5000);
    let server = Server::echo(websocket().max_message(1000).mount("/ws", mount)).await;
    for (path, max) in [("/primus", 1000), ("/ws", 5000)] {
        let headers = [("sec-websocket-protocol", "primus.2")];
        let mut client = Client::open(server.address(), path, &headers).await.ok().unwrap();
        client.send("primus::attach::{}").await;
        let attach = client.text().await;
        assert!(attach.contains(&format!("\"maxMessage\":{max}")), "{attach}");
        client.echoes(&"x".repeat(max)).await;
        client.send("x".repeat(max + 1)).await;
        assert_eq!(client.close_code().await, 1009);
    }
}

#[tokio::test]
async fn too_many_fragments_are_1008_empty_ones_included() {
    let server = Server::echo(websocket().max_fragments(8)).await;
    let bystander = bystander(&server).await;
    for (what, sizes) in [("full", [3; 9]), ("empty", [0; 9])] {
        for begins in [TEXT_BEGINS, BINARY_BEGINS] {
            let mut raw = Raw::open(server.address(), "/primus").await;
            // Pings between them do not count, and the count begins anew with each message.
            for _ in 0..2 {
                let (first, rest) = sizes.split_first().unwrap();
                raw.send(frame(begins, "x".repeat(*first))).await;
                raw.send(frame(opcode::PING, "")).await;
                raw.send(pieces(GOES_ON, &rest[1..])).await;
                assert_eq!(raw.frame().await.unwrap().first, opcode::PONG);
                let echo = raw.frame().await.unwrap().payload.len();
                assert_eq!(echo, sizes[..8].iter().sum::<usize>(), "{what}");
            }
            raw.send(pieces(begins, &sizes)).await;
            let closed = raw.closed().await.expect("a close frame");
            assert_eq!((closed.code, &*closed.text), (1008, "too many fragments"), "{what}");
        }
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn by_default_a_message_has_128_fragments_at_most_however_they_come() {
    const MOST: usize = 128;
    let server = Server::echo(websocket()).await;
    let bystander = bystander(&server).await;
    for (what, size, written) in
        [("empty", 0, usize::MAX), ("a byte", 1, usize::MAX), ("by byte", 1, 1)]
    {
        for begins in [TEXT_BEGINS, BINARY_BEGINS] {
            let mut raw = Raw::open(server.address(), "/primus").await;
            let whole = pieces(begins, &[size; MOST]);
            let open = pieces(begins, &[size; MOST + 1]);
            let (open, one_more) = open.split_at(open.len() - frame(ENDS, "x".repeat(size)).len());
            for bytes in [&whole[..], open] {
                for bytes in bytes.chunks(written.min(bytes.len())) {
                    raw.send(bytes).await;
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(raw.frame().await.unwrap().payload, b"x".repeat(size * MOST), "{what}");
            raw.send(frame(opcode::PING, "still good")).await;
            assert_eq!(raw.frame().await.unwrap().payload, b"still good", "{what}");
            raw.send(one_more).await;
            let closed = raw.closed().await.expect("a close frame");
            assert_eq!((closed.code, &*closed.text), (1008, "too many fragments"), "{what}");
        }
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn what_came_before_too_many_fragments_is_answered() {
    let server = Server::echo(websocket().max_fragments(2)).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send([frame(opcode::TEXT, "good"), pieces(TEXT_BEGINS, &[1, 1, 1])].concat()).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"good");
    assert_eq!(raw.closed().await.unwrap().code, 1008);
}
