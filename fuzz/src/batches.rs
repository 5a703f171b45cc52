//! Batches of frames by POST, and what polls answer (docs/protocol.md §4 and §8).

use std::{
    future::{Future as _, poll_fn},
    ops::ControlFlow,
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use primus_core::{
    CloseReason, Head, Payload, Request,
    native::{Frame, lines, parse},
    parser,
    request::full,
};
use primus_polling::Polling;

use crate::{heap, server, server::Server};

const TOKEN: HeaderName = HeaderName::from_static("primus-token");
/// What a server, a session and its requests may take in sum.
const BASE: usize = 1 << 20;
/// And more for a byte of a batch: it may be a frame of its own.
const EACH: usize = 8 << 10;

/// Batches, with a zero byte between any two; each is sent twice, as a proxy may do, and then there is a poll.
/// A repeated one is answered alike and delivers nothing; a malformed one ends the session. What polls answer
/// are whole frames: the echo of what was delivered.
pub fn batches(data: &[u8]) {
    let mut mount = server::mount(|limits| {
        limits.max_message = 300;
        limits.body_timeout = Duration::ZERO;
    });
    mount.parser = parser::raw();
    heap::bounded(BASE + EACH * data.len(), || {
        server::run(async {
            let server = Server::new(Polling::new(), mount);
            let (status, attach) =
                ask(&server, "/poll?v=2", None, Some(b"primus::attach::{}")).await;
            assert_eq!(status, StatusCode::OK);
            let token = token(&attach);
            let mut echoed = Vec::new();
            for batch in data.split(|byte| *byte == 0) {
                if !send(&server, &token, batch, &mut echoed).await {
                    break;
                }
            }
            assert!(server.primus.sessions() <= 1);
            end(&server, &token).await;
        });
    });
}

/// False when the session is over.
async fn send(server: &Server, token: &str, batch: &[u8], echoed: &mut Vec<Payload>) -> bool {
    let numbered = batch.starts_with(b"primus::ack:0:");
    let (status, answer) = ask(server, "/send?v=2", Some(token), Some(batch)).await;
    let heard = server.heard();
    match status.as_u16() {
        204 => assert!(answer.is_empty()),
        400 | 409 | 413 | 429 => assert!(answer.starts_with(b"{\"error\":"), "{answer:?}"),
        other => panic!("{other} {answer:?}"),
    }
    if status == 204 && numbered {
        let (again, _) = ask(server, "/send?v=2", Some(token), Some(batch)).await;
        if server.primus.sessions() == 1 {
            assert_eq!((again, server.heard().len()), (status, heard.len()));
        }
    }
    while let Some((status, answer)) = poll(server, token).await {
        match status.as_u16() {
            200 => {}
            404 => return false, // it has ended
            other => panic!("{other} {answer:?}"),
        }
        let answer = String::from_utf8(answer.into()).unwrap();
        assert!(answer.ends_with('\n'));
        for line in lines(&answer.into()) {
            if line.starts_with("primus::end::{") {
                return false; // said to clients alone
            }
            match parse(line.clone()) {
                Ok(Frame::Message(message)) if message.is_bare() => echoed.push(message.body()),
                Ok(Frame::Ack { .. } | Frame::Ping(..) | Frame::Pong(..)) => {}
                Ok(Frame::Message(_) | Frame::Refuse(_)) => {} // answers to requests
                other => panic!("{line}: {other:?}"),
            }
        }
    }
    assert_eq!(*echoed, server.heard());
    true
}

/// Ends what is left, and lets the handler return, which would keep its session for as long as the fuzzer runs.
async fn end(server: &Server, token: &str) {
    server.primus.for_each(|spark| {
        spark.end(CloseReason::ENDED);
        ControlFlow::<()>::Continue(())
    });
    while server.primus.sessions() > 0 {
        poll(server, token).await;
    }
    while !server.has_returned() {
        tokio::task::yield_now().await;
    }
}

/// A poll of a client that does not wait: `None` where there is nothing to say.
async fn poll(server: &Server, token: &str) -> Option<(StatusCode, Bytes)> {
    let mut poll = pin!(ask(server, "/poll?v=2", Some(token), None));
    for _ in 0..4 {
        // The handler has its turn, where there is one.
        tokio::task::yield_now().await;
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(poll.as_mut().poll(cx))).await {
            return Some(answer);
        }
    }
    None
}

async fn ask(
    server: &Server,
    uri: &'static str,
    token: Option<&str>,
    body: Option<&[u8]>,
) -> (StatusCode, Bytes) {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut head = Head::new(method, Uri::from_static(uri));
    if let Some(token) = token {
        head.headers.insert(TOKEN, HeaderValue::from_str(token).unwrap());
    }
    let body = body.unwrap_or_default().to_vec();
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let answer = server.serve(Request { head, body: full(body), upgrade: None }).await;
    let (answer, body) = answer.into_parts();
    (answer.status, body.collect().await.unwrap().to_bytes())
}

/// What the attach frame of the answer tells.
fn token(answer: &[u8]) -> String {
    let answer = std::str::from_utf8(answer).unwrap();
    let (_, rest) = answer.split_once("\"token\":\"").expect("there is a token");
    rest.split('"').next().unwrap_or_default().to_owned()
}
