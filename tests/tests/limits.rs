//! Limits: each one is met, is told in its own words, and harms nobody else.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use primus::{Builder, Mount, Overflow, Primus, Spark, SparkId, WriteError, Written};
use primus_tests::{
    http::{Connection, get, post},
    server::{Server, echo, soon, until},
    ws::{Answer, Client, Raw, WsMessage, frame, opcode},
};
use serde_json::Value;
use tokio::time::Instant;

/// The first byte of a text frame that is not the last of its message.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

fn websocket() -> Builder {
    Primus::builder().transformer("websocket").close_timeout(Duration::from_secs(1))
}

/// Another session, which must not notice anything.
async fn bystander(server: &Server) -> Client {
    let mut client = Client::resumable(server.address()).await;
    client.echoes("before").await;
    client
}

/// Nothing has happened to it, and a new session is as good as ever.
async fn unharmed(server: &Server, mut bystander: Client) {
    bystander.echoes("after").await;
    let mut another = Client::plain(server.address()).await;
    another.echoes("new").await;
    another.close().await;
    bystander.end().await;
    until("the end of all sessions", || server.sessions() == 0).await;
}

fn spark(server: &Server, client: &Client) -> Spark {
    let id: SparkId = client.attach()["id"].as_str().unwrap().parse().unwrap();
    server.spark(id).unwrap()
}

// ---- messages ----

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
async fn what_came_before_too_many_fragments_is_answered() {
    let server = Server::echo(websocket().max_fragments(2)).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send([frame(opcode::TEXT, "good"), pieces(TEXT_BEGINS, &[1, 1, 1])].concat()).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"good");
    assert_eq!(raw.closed().await.unwrap().code, 1008);
}

// ---- the head of a request, and time ----

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

// ---- how many ----

fn turned_away(answer: &Answer, status: StatusCode, option: &str) {
    assert_eq!(answer.status(), status);
    let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(after > 0);
    let body = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
    assert!(body.is_empty() || body.contains(option), "{body}");
}

#[tokio::test]
async fn more_than_max_pending_are_turned_away_until_one_attaches() {
    let server = Server::echo(websocket().max_pending(2)).await;
    let bystander = bystander(&server).await;
    let headers = [("sec-websocket-protocol", "primus.2")];
    let mut first = Client::pending(server.address()).await;
    let second = Client::pending(server.address()).await;
    let answer = Client::open(server.address(), "/primus", &headers).await.err().unwrap();
    turned_away(&answer, StatusCode::SERVICE_UNAVAILABLE, "max_pending");
    // Others need no place there.
    Client::plain(server.address()).await.echoes("1").await;

    first.send("primus::attach::{}").await;
    assert!(first.text().await.starts_with("primus::attach::"));
    let mut third = Client::pending(server.address()).await;
    // Who goes without a word gives its place back as well.
    drop(second);
    let mut tries = 0;
    let mut fourth = loop {
        match Client::open(server.address(), "/primus", &headers).await {
            Ok(client) => break client,
            Err(_) => tries += 1,
        }
        assert!(tries < 1000, "the place of who went is never given back");
        tokio::task::yield_now().await;
    };
    for client in [&mut third, &mut fourth] {
        client.send("primus::attach::{}").await;
        assert!(client.text().await.starts_with("primus::attach::"));
        client.echoes("1").await;
    }
    for client in [first, third, fourth] {
        client.end().await;
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn more_than_max_connections_are_503_until_one_goes() {
    let server = Server::echo(Primus::builder().max_connections(2)).await;
    let to = server.address();
    let bystander = bystander(&server).await;
    let mut second = Client::plain(to).await;
    for path in ["/primus", "/primus?_primuscb=1"] {
        let answer = Client::open(to, path, &[]).await.err().unwrap();
        turned_away(&answer, StatusCode::SERVICE_UNAVAILABLE, "max_connections");
    }
    for call in [
        get("/primus/sse"),
        get("/primus/poll"),
        post("/primus/sse?v=2", "primus::attach::{}"),
        post("/primus", "hello"),
    ] {
        let answer = soon(call.send(to)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "5");
        assert!(answer.error().contains("max_connections"), "{answer:?}");
    }
    let mut ours = Client::pending(to).await;
    ours.send("primus::attach::{}").await;
    let (texts, closed) = ours.rest().await;
    assert!(texts[0].starts_with("primus::refuse::{"), "{texts:?}");
    assert_eq!(closed.code, 4503);

    second.echoes("still here").await;
    second.close().await;
    until("a free place", || server.sessions() == 1).await;
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn who_comes_when_all_places_are_streams_is_told_as_well() {
    let server = Server::echo(Primus::builder().max_connections(2)).await;
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::one(server.address()).await;
        let stream = soon(get("/primus/sse").open_on(&mut connection)).await;
        assert_eq!(stream.status, StatusCode::OK);
        connections.push((connection, stream));
    }
    let answer = Client::open(server.address(), "/primus", &[]).await.err().unwrap();
    turned_away(&answer, StatusCode::SERVICE_UNAVAILABLE, "max_connections");
}

#[tokio::test]
async fn more_than_max_connections_per_address_are_429_where_loopback_counts() {
    for count in [false, true] {
        let builder = websocket().max_connections_per_address(2).count_loopback(count);
        let server = Server::echo(builder).await;
        let to = server.address();
        let bystander = bystander(&server).await;
        let mut second = Client::plain(to).await;
        if count {
            let answer = Client::open(to, "/primus", &[]).await.err().unwrap();
            turned_away(&answer, StatusCode::TOO_MANY_REQUESTS, "max_connections_per_address");
            let mut ours = Client::pending(to).await;
            ours.send("primus::attach::{}").await;
            let (texts, closed) = ours.rest().await;
            assert!(texts[0].contains("\"status\":429"), "{texts:?}");
            assert_eq!(closed.code, 4429);
        } else {
            for _ in 0..5 {
                Client::plain(to).await.echoes("welcome").await;
            }
        }
        second.echoes("still here").await;
        second.close().await;
        until("a free place", || server.sessions() == 1).await;
        unharmed(&server, bystander).await;
    }
}

// ---- bytes queued for a spark ----

const PIECE: usize = 100_000;
/// The next to be written does not count for `max_queued`.
const MOST: usize = 6 * PIECE;

/// The n-th message that is written: its number, and padding.
fn numbered(n: u32) -> Bytes {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.resize(PIECE, 0);
    bytes.into()
}

/// Writes to a client that does not read until `enough`; what became of each message.
async fn flood(
    spark: &Spark,
    enough: impl Fn(&[Result<Written, WriteError>]) -> bool,
) -> Vec<Result<Written, WriteError>> {
    let mut results = Vec::new();
    while !enough(&results) {
        assert!(results.len() < 2000, "the client must be reading");
        results.push(spark.write_message(numbered(results.len() as u32)));
        // The connection takes what it can in between.
        tokio::task::yield_now().await;
    }
    results
}

/// Sends an echo, and reads the numbers that come before it.
async fn numbers_before_echo(client: &mut Client) -> Vec<usize> {
    client.send("alive").await;
    let mut numbers = Vec::new();
    loop {
        match client.data().await {
            WsMessage::Binary(bytes) => {
                assert_eq!(bytes.len(), PIECE);
                numbers.push(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
            }
            WsMessage::Text(text) if text == "alive" => return numbers,
            other => panic!("{other:?}"),
        }
    }
}

fn flooding(overflow: Overflow) -> Builder {
    websocket().overflow(overflow).max_message(PIECE).max_queued(5 * PIECE).pressure(2 * PIECE)
}

#[tokio::test]
async fn a_client_that_does_not_read_is_ended_with_4005_by_the_policy_disconnect() {
    let server = Server::echo(flooding(Overflow::Disconnect)).await;
    let bystander = bystander(&server).await;
    let mut client = Client::resumable(server.address()).await;
    let spark = spark(&server, &client);
    let results = flood(&spark, |results| results.iter().any(Result::is_err)).await;
    let last = results.len() - 1;
    assert!(matches!(results[last], Err(WriteError::TooSlow(_))), "{:?}", results[last]);
    assert!(matches!(results[last - 1], Ok(Written::Pressured)), "{:?}", results[last - 1]);
    assert!(matches!(spark.write("x"), Err(WriteError::Ended(_))));
    assert_eq!(spark.close_reason().unwrap().code(), 4005);
    // Once it reads, it learns why.
    let (end, code) = client.end_frame().await;
    assert_eq!(code, 4005);
    assert_eq!((&end["reason"], &end["reconnect"]), (&"too slow".into(), &true.into()));
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn a_client_that_never_reads_again_is_gone_after_the_close_timeout() {
    let builder = flooding(Overflow::Disconnect).close_timeout(Duration::from_millis(200));
    let server = Server::echo(builder).await;
    let bystander = bystander(&server).await;
    let client = Client::resumable(server.address()).await;
    let spark = spark(&server, &client);
    flood(&spark, |results| results.iter().any(Result::is_err)).await;
    until("its end", || server.spark(spark.id()).is_none()).await;
    assert_eq!(spark.close_reason().unwrap().code(), 4005);
    unharmed(&server, bystander).await;
    drop(client);
}

#[tokio::test]
async fn the_newest_messages_are_dropped_by_the_policy_drop_newest() {
    let server = Server::echo(flooding(Overflow::DropNewest)).await;
    let bystander = bystander(&server).await;
    let mut client = Client::attentive(server.address()).await;
    let spark = spark(&server, &client);
    let dropped = |result: &&Result<Written, WriteError>| matches!(result, Ok(Written::Dropped));
    let results = flood(&spark, |all| all.iter().filter(dropped).count() == 10).await;
    assert_eq!(spark.queued(), MOST);
    // It got exactly what was not said to be dropped.
    let kept = results.iter().enumerate().filter(|(_, result)| !dropped(result));
    let kept: Vec<usize> = kept.map(|(n, _)| n).collect();
    assert!(results.iter().all(Result::is_ok));
    let mut numbers = Vec::new();
    while numbers.len() < kept.len() {
        let WsMessage::Binary(bytes) = client.data().await else { panic!("a number") };
        numbers.push(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
    }
    assert_eq!(numbers, kept);
    client.echoes("alive").await;
    client.end().await;
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn the_oldest_messages_are_dropped_by_the_policy_drop_oldest() {
    let server = Server::echo(flooding(Overflow::DropOldest)).await;
    let bystander = bystander(&server).await;
    let mut client = Client::attentive(server.address()).await;
    let spark = spark(&server, &client);
    let results = flood(&spark, |all| all.len() == 200).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(spark.queued(), MOST);
    let numbers = numbers_before_echo(&mut client).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(numbers.len() < 200, "nothing was dropped");
    assert!(numbers.ends_with(&[196, 197, 198, 199]), "{numbers:?}");
    client.end().await;
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn one_message_of_the_largest_size_always_has_room() {
    for overflow in [Overflow::Disconnect, Overflow::DropNewest, Overflow::DropOldest] {
        let builder = websocket().max_queued(1000).pressure(1000).overflow(overflow);
        let server = Server::echo(builder.max_message(1 << 20)).await;
        let mut client = Client::attentive(server.address()).await;
        for _ in 0..3 {
            client.echoes(&"x".repeat(1 << 20)).await;
        }
    }
}

// ---- what waits for a handler ----

#[tokio::test]
async fn behind_a_busy_handler_nothing_more_is_read_and_nothing_is_lost() {
    let server = Server::start(websocket().inbox_messages(4)).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = std::sync::Arc::clone(&gate);
    server.on_connection(move |spark| {
        let gate = std::sync::Arc::clone(&opened);
        async move {
            gate.acquire().await?.forget();
            echo(spark).await
        }
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    let message = |n: u8| frame(opcode::BINARY, [n; 50_000]);
    // A ping behind five messages is not seen: four are in the inbox, the fifth waits.
    raw.send([message(0), message(1), message(2), frame(opcode::PING, "seen")].concat()).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"seen");
    raw.send([message(3), message(4), frame(opcode::PING, "unseen")].concat()).await;
    // The socket's own buffers are finite, so a client that goes on is held up.
    let flood = (5..250).flat_map(message).collect::<Vec<u8>>();
    assert!(
        tokio::time::timeout(Duration::from_millis(200), raw.send(&flood)).await.is_err(),
        "12 MB were taken though nobody reads"
    );
    gate.add_permits(1);
    for n in 0..4 {
        let echoed = raw.frame().await.unwrap();
        assert_eq!((echoed.first, echoed.payload[0]), (opcode::BINARY, n));
    }
    assert_eq!(raw.frame_but(&[opcode::BINARY]).await.unwrap().payload, b"unseen");
}

#[tokio::test]
async fn a_burst_of_small_messages_that_fills_the_inbox_arrives_whole() {
    for inbox in [1, 2, 3, 64] {
        let server = Server::echo(websocket().inbox_messages(inbox)).await;
        let burst = |count: u8| (0..count).flat_map(|n| frame(opcode::BINARY, [n]));
        let mut plain = Raw::open(server.address(), "/primus").await;
        plain.send(burst(200).collect::<Vec<u8>>()).await;
        for n in 0..200 {
            assert_eq!(plain.frame().await.unwrap().payload, [n]);
        }
        // Also one that does not wait for the answer to its attach.
        let headers = "sec-websocket-protocol: primus.2\r\n";
        let mut ours = Raw::open_as(server.address(), "/primus", headers).await;
        let attach = frame(opcode::TEXT, "primus::attach::{}");
        ours.send(attach.into_iter().chain(burst(5)).collect::<Vec<u8>>()).await;
        assert_eq!(ours.frame().await.unwrap().first, opcode::TEXT);
        for n in 0..5 {
            assert_eq!(ours.frame().await.unwrap().payload, [n]);
        }
    }
}
