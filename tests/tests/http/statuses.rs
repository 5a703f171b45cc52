//! What bad requests are answered with: each status of `docs/protocol.md` §4, and the server goes on.

use std::time::Duration;

use futures_util::future::select;
use http::Method;
use primus::{Builder, Primus};
use primus_tests::{
    http::{Answer, Call, connect, get, post, post_stream, raw},
    peer::Peer,
    server::{Server, soon},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HTTP: [&str; 2] = ["sse", "polling"];

async fn start(builder: Builder) -> Server {
    Server::echo(builder).await
}

/// A status with an error in JSON that says what was wrong.
#[track_caller]
fn is(answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.error().contains(says), "`{}` does not say `{says}`", answer.error());
}

/// A batch for the session of a peer.
async fn send(server: &Server, peer: &Peer, batch: impl Into<bytes::Bytes>) -> Answer {
    let call = post("/primus/send?v=2", batch).header("primus-token", peer.token());
    call.send(server.address()).await
}

#[tokio::test]
async fn a_malformed_batch_is_400_delivers_nothing_and_ends_the_session_with_4400() {
    let server = start(Primus::builder()).await;
    for transport in HTTP {
        for batch in [
            "\"first\"\nprimus::nonsense::",
            "\"first\"\nprimus::ping:x::",
            "\"first\"\nprimus::binary::!",
            "\"first\"\nprimus::attach::{}",
            "\"first\"\nprimus::end::\n\"behind the end\"",
        ] {
            let mut peer = Peer::connect(server.address(), transport).await;
            is(&send(&server, &peer, batch).await, 400, "the session has ended");
            let (messages, end) = peer.rest().await;
            assert_eq!((messages.len(), end["code"].as_u64()), (0, Some(4400)), "{batch}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf8_is_400_and_the_session_goes_on() {
    let server = start(Primus::builder()).await;
    for transport in HTTP {
        let mut peer = Peer::connect(server.address(), transport).await;
        is(&send(&server, &peer, &b"\"\xff\""[..]).await, 400, "not UTF-8");
        peer.send("\"on\"").await;
        assert_eq!(peer.text().await, "\"on\"");
    }
    is(&post("/primus", &b"\xc3"[..]).send(server.address()).await, 400, "not UTF-8");
}

#[tokio::test]
async fn a_bad_attach_is_400_and_makes_no_session() {
    let server = start(Primus::builder()).await;
    for transport in ["sse", "poll"] {
        let path = format!("/primus/{transport}?v=2");
        for body in
            ["", "{}", "\"data\"", "primus::ping:1::", "primus::attach::", "primus::attach::[]"]
        {
            is(&post(&path, body).send(server.address()).await, 400, "");
        }
        is(&post(&path, &b"primus::attach::{\xff}"[..]).send(server.address()).await, 400, "UTF-8");
    }
    is(&post("/primus/send", "x").send(server.address()).await, 400, "/send?v=2");
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn unknown_and_ended_sessions_are_404() {
    let server = start(Primus::builder()).await;
    let to = server.address();
    let mut tokens = vec!["x".to_owned(), "A".repeat(22)];
    for transport in HTTP {
        let mut ended = Peer::connect(to, transport).await;
        ended.send("primus::end::").await;
        tokens.push(ended.token().to_owned());
    }
    for token in &tokens {
        for call in [
            post("/primus/send?v=2", "\"x\""),
            get("/primus/poll?v=2"),
            get("/primus/poll"),
            post("/primus/poll", "\"x\""),
            post("/primus/sse", "\"x\""),
            post("/primus", "\"x\""),
        ] {
            let answer = call.header("primus-token", token).send(to).await;
            is(&answer, 404, "open a new one, without a token");
        }
    }
    is(&post("/primus/send?v=2", "\"x\"").send(to).await, 404, "unknown");
    is(&get("/primus/poll?v=2").send(to).await, 404, "unknown");
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_would_do() {
    let server = start(Primus::builder()).await;
    for (method, path, allow) in [
        (Method::PUT, "/primus/sse", "GET, POST"),
        (Method::DELETE, "/primus/sse", "GET, POST"),
        (Method::GET, "/primus/sse?v=2", "POST"),
        (Method::PUT, "/primus/poll", "GET, POST"),
        (Method::PATCH, "/primus/poll?v=2", "GET, POST"),
        (Method::GET, "/primus/send?v=2", "POST"),
        (Method::PUT, "/primus/send?v=2", "POST"),
    ] {
        let answer = Call::new(method.clone(), path, "").send(server.address()).await;
        is(&answer, 405, "this URL takes");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let builder = Primus::builder()
        .body_timeout(Duration::from_millis(50))
        .attach_timeout(Duration::from_millis(50));
    let server = start(builder).await;
    let peer = Peer::connect(server.address(), "sse").await;
    for path in ["/primus", "/primus/sse?v=2", "/primus/poll?v=2", "/primus/send?v=2"] {
        let (call, _never_sent) = post_stream(path);
        let answer = call.header("primus-token", peer.token());
        // The token means another thing without `v=2`, and there the body does not come either.
        is(&answer.send(server.address()).await, 408, "did not arrive within 50ms");
    }
}

#[tokio::test]
async fn two_polls_at_once_are_409_and_the_first_goes_on() {
    let server = start(Primus::builder()).await;
    let to = server.address();
    let peer = Peer::connect(to, "polling").await;
    let poll = || {
        let call = get("/primus/poll?v=2").header("primus-token", peer.token());
        Box::pin(call.send(to))
    };
    // Either may be the first to arrive; the other is told at once.
    let (refused, held) = soon(select(poll(), poll())).await.factor_first();
    is(&refused, 409, "have one at a time");
    let (again, held) = soon(select(poll(), held)).await.factor_first();
    is(&again, 409, "have one at a time");
    assert_eq!(server.write("to all").unwrap(), 1);
    assert_eq!(soon(held).await.text(), "\"to all\"\n");
}

#[tokio::test]
async fn two_posts_at_once_are_409_and_the_first_goes_on() {
    let server = start(Primus::builder()).await;
    let to = server.address();
    for transport in HTTP {
        let mut peer = Peer::connect(to, transport).await;
        let (first, body) = post_stream("/primus/send?v=2");
        let first = first.header("primus-token", peer.token());
        let first = tokio::spawn(first.send(to));
        // It is under way once its body is being read.
        body.send("\"fir".into()).await.unwrap();
        let refused = loop {
            let answer = send(&server, &peer, "\"second\"").await;
            if answer.status != 204 {
                break answer;
            }
            assert_eq!(peer.text().await, "\"second\"");
        };
        is(&refused, 409, "another POST of this session is under way");
        body.send("st\"".into()).await.unwrap();
        drop(body);
        assert_eq!(soon(first).await.unwrap().status, 204);
        assert_eq!(peer.text().await, "\"first\"");
    }
}

#[tokio::test]
async fn a_poll_of_a_session_that_has_a_stream_is_409() {
    let server = start(Primus::builder()).await;
    let mut peer = Peer::connect(server.address(), "sse").await;
    let poll = get("/primus/poll?v=2").header("primus-token", peer.token());
    is(&poll.send(server.address()).await, 409, "has an event stream");
    peer.send("\"on\"").await;
    assert_eq!(peer.text().await, "\"on\"");
}

#[tokio::test]
async fn too_much_is_413_and_the_session_goes_on() {
    let server = start(Primus::builder().max_message(64).max_post_items(4)).await;
    let most = "1".repeat(64);
    for transport in HTTP {
        let mut peer = Peer::connect(server.address(), transport).await;
        is(&send(&server, &peer, "1".repeat(65)).await, 413, "65 bytes is over 64 (max_message)");
        is(&send(&server, &peer, "1".repeat(9000)).await, 413, "(max_message)");
        is(&send(&server, &peer, "1\n2\n3\n4\n5").await, 413, "more than 4 (max_post_items)");
        is(&send(&server, &peer, "\n\n\n\n\n").await, 413, "(max_post_items)");
        assert_eq!(send(&server, &peer, "1\n2\n3\n4\n").await.status, 204);
        peer.memory.sent += 4;
        for expected in ["1", "2", "3", "4"] {
            assert_eq!(peer.text().await, expected);
        }
        peer.send(&most).await;
        assert_eq!(peer.text().await, most);
    }
    is(&post("/primus", "1".repeat(65)).send(server.address()).await, 413, "more than 64 bytes");
    let (call, body) = post_stream("/primus");
    let answer = tokio::spawn(call.send(server.address()));
    let _ = body.send("1".repeat(65).into()).await;
    is(&soon(answer).await.unwrap(), 413, "more than 64 bytes");
    let lines = post("/primus", "1\n2\n3\n4\n5").header("content-type", "application/x-ndjson");
    is(&lines.send(server.address()).await, 413, "(max_post_items)");
    let attach = format!("primus::attach::{{\"auth\":\"{}\"}}", "x".repeat(9000));
    is(&post("/primus/sse?v=2", attach).send(server.address()).await, 413, "(max_attach)");
    assert_eq!(server.mount("/primus").unwrap().sessions(), HTTP.len(), "those of the two peers");
}

#[tokio::test]
async fn a_declared_length_is_refused_before_the_body_comes() {
    let server = start(Primus::builder().max_message(64)).await;
    let mut stream = connect(server.address()).await;
    let head = "POST /primus HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    soon(stream.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_431() {
    let server = start(Primus::builder().max_headers(32).max_header_bytes(8 << 10)).await;
    let to = server.address();
    let ask = async |count: usize, size: usize| {
        let more: String =
            (0..count).map(|index| format!("x-{index}: {}\r\n", "v".repeat(size))).collect();
        raw(to, format!("GET /primus/spec HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n"))
            .await
    };
    assert!(ask(30, 1).await.starts_with("HTTP/1.1 200 "));
    assert!(ask(31, 1).await.starts_with("HTTP/1.1 431 "));
    assert!(ask(1, 7000).await.starts_with("HTTP/1.1 200 "));
    assert!(ask(1, 9000).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_full_server_is_503_with_retry_after_and_lets_others_in_when_there_is_room() {
    let server = start(Primus::builder().max_connections(1)).await;
    let mut first = Peer::connect(server.address(), "polling").await;
    for call in
        [get("/primus/poll"), post("/primus/poll?v=2", "primus::attach::{}"), post("/primus", "1")]
    {
        let answer = call.send(server.address()).await;
        is(&answer, 503, "the server is full (max_connections)");
        assert_eq!(answer.header("retry-after"), "5");
    }
    first.send("primus::end::").await;
    assert_eq!(get("/primus/poll").send(server.address()).await.status, 200);
}
