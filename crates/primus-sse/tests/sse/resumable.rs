//! The resumable dialect: `POST /primus/sse?v=2`, whose answer is the stream.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use primus_core::{AuthorizeRequest, Body, CloseReason, Rejection, handle::Spark};
use primus_sse::Sse;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::driver::{
    Server, attach, come_back, control, error, header, is_waiting, piece, post, said, text,
};

async fn open(server: &Server) -> (Body, String) {
    let (stream, attached) = open_attached(server, attach("null")).await;
    (stream, attached["token"].as_str().unwrap().to_owned())
}

async fn open_attached(server: &Server, attach: String) -> (Body, Value) {
    let response = server.ask(post("/primus/sse?v=2", attach)).await;
    assert_eq!(response.status(), 200);
    let mut stream = response.into_body();
    let attached = control(&frame(&mut stream).await.unwrap(), "attach");
    (stream, attached)
}

/// The data of the next piece, which has to be one event.
async fn frame(stream: &mut Body) -> Option<String> {
    let event = piece(stream).await?;
    let data = event.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n"));
    let data = data.filter(|data| !data.contains('\n'));
    Some(data.unwrap_or_else(|| panic!("not one event: {event:?}")).to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_session_from_attach_to_end() {
    let server = Server::new(Sse::new());
    let mut heard = server.echo();
    let mut over = server.disconnections();
    let response = server.ask(post("/primus/sse?v=2", attach("null"))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(header(&response, "cache-control"), "no-cache, no-transform");
    assert_eq!(header(&response, "x-accel-buffering"), "no");
    assert!(!response.headers().contains_key("connection"));
    let mut stream = response.into_body();

    let attached = control(&frame(&mut stream).await.unwrap(), "attach");
    let token = attached["token"].as_str().unwrap();
    assert_eq!((token.len(), &attached["generation"]), (22, &json!(1)));
    assert_eq!((&attached["ping"], &attached["timeout"]), (&json!(30_000), &json!(10_000)));
    assert_eq!((&attached["maxMessage"], &attached["reason"]), (&json!(1 << 20), &json!(null)));
    assert_eq!(server.primus.connected(), 1);

    assert_eq!(
        server.send(token, "{\"a\":1}\nprimus::binary::AAEC/w==\nprimus::data:b64::YQpi").await,
        204
    );
    assert_eq!(heard.recv().await.unwrap(), r#"Text("{\"a\":1}")"#);
    assert_eq!(heard.recv().await.unwrap(), r#"Binary(b"\0\x01\x02\xff")"#);
    assert_eq!(heard.recv().await.unwrap(), r#"Text("a\nb")"#);
    // What was written together leaves together.
    let expected =
        "data: {\"a\":1}\n\ndata: primus::binary::AAEC/w==\n\ndata: primus::data:b64::YQpi\n\n";
    assert_eq!(piece(&mut stream).await.unwrap(), expected);

    let ping = frame(&mut stream).await.unwrap();
    assert!(ping.starts_with("primus::ping:"), "{ping}");
    let spark = spark(&server);
    assert_eq!(spark.latency(), None);
    assert_eq!(server.send(token, ping.replace("ping", "pong")).await, 204);
    assert!(spark.latency().is_some());

    assert_eq!(server.send(token, "primus::ping:41::\nprimus::ping:42::").await, 204);
    let pongs = "data: primus::pong:41::\n\ndata: primus::pong:42::\n\n";
    assert_eq!(piece(&mut stream).await.unwrap(), pongs);

    assert_eq!(server.send(token, "7\nprimus::end::").await, 204);
    assert_eq!(heard.recv().await.unwrap(), r#"Text("7")"#);
    let end = control(&frame(&mut stream).await.unwrap(), "end");
    assert_eq!(
        end,
        json!({"code": 1000, "reason": "normal", "reconnect": false, "after": 0, "recv": 4})
    );
    assert_eq!(piece(&mut stream).await, None);
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));
    assert_eq!(server.send(token, "8").await, 404);
}

fn spark(server: &Server) -> Spark {
    server.primus.for_each(std::ops::ControlFlow::Break).unwrap()
}

#[tokio::test]
async fn authorize_sees_auth_and_refuses_before_anything_exists() {
    let server = Server::new(Sse::new());
    server.primus.on_connection(async |_| panic!("no handler may run"));
    server.primus.authorize(async |request: AuthorizeRequest| -> Result<(), _> {
        assert_eq!((request.transformer, &*request.mount), ("sse", "/primus"));
        Err(match request.auth["key"].as_str() {
            Some(key) => Rejection::forbidden(format!("{key} is not enough")),
            None => Rejection::unauthorized("no key").authenticate("Bearer realm=\"chat\""),
        })
    });
    let response = server.ask(post("/primus/sse?v=2", attach("null"))).await;
    assert_eq!(response.status(), 401);
    assert_eq!(header(&response, "www-authenticate"), "Bearer realm=\"chat\"");
    assert_eq!(error(response).await, "no key");
    let response = server.ask(post("/primus/sse?v=2", attach(r#"{"key":"k"}"#))).await;
    assert_eq!(response.status(), 403);
    assert_eq!(error(response).await, "k is not enough");
    assert_eq!(server.primus.sessions(), 0);
}

#[tokio::test]
async fn a_bad_attach_is_400_and_a_resume_is_told_why_not() {
    let server = Server::new(Sse::new());
    for body in
        ["", "primus::ping:1::", "primus::attach::{", "{}", "primus::nonsense", "primus::attach::7"]
    {
        assert_eq!(server.status(post("/primus/sse?v=2", body)).await, 400, "{body}");
    }
    assert_eq!(server.status(post("/primus/sse?v=2", "x".repeat(9000))).await, 413);
    let body = r#"primus::attach::{"session":{"id":"i","key":"k","generation":3}}"#;
    let response = server.ask(post("/primus/sse?v=2", body)).await;
    let attached = control(&frame(&mut response.into_body()).await.unwrap(), "attach");
    assert_eq!((&attached["resumed"], &attached["reason"]), (&json!(false), &json!("unknown")));
}

#[tokio::test]
async fn a_broadcast_is_framed_once_for_all_streams() {
    let server = Server::new(Sse::new());
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(open(&server).await.0);
    }
    assert_eq!(server.primus.write("hello").unwrap(), 5);
    for stream in &mut streams {
        assert_eq!(frame(stream).await.unwrap(), "\"hello\"");
    }
    let counters = server.primus.frame_counters();
    assert_eq!((counters.encoded(), counters.framed()), (1, 1));
}

#[tokio::test]
async fn a_panic_ends_its_spark_and_nothing_else() {
    let server = Server::new(Sse::new());
    let mut over = server.disconnections();
    server.primus.on_connection(async |mut spark| {
        let message = spark.next().await;
        assert!(message.is_none(), "on purpose");
        Ok(())
    });
    let (mut stream, token) = open(&server).await;
    let (mut other, _) = open(&server).await;
    assert_eq!(server.send(&token, "1").await, 204);
    let end = control(&frame(&mut stream).await.unwrap(), "end");
    assert_eq!((&end["code"], &end["reconnect"]), (&json!(1011), &json!(true)));
    assert_eq!(piece(&mut stream).await, None);
    assert_eq!(over.recv().await, Some(CloseReason::HANDLER_FAILED));
    assert_eq!(server.primus.sessions(), 1);
    assert!(is_waiting(&mut other));
}

#[tokio::test(start_paused = true)]
async fn the_session_is_over_when_the_end_was_taken_and_waits_when_the_stream_is_lost() {
    let server = Server::new(Sse::new());
    let mut over = server.disconnections();
    let (mut stream, _) = open(&server).await;
    let one = spark(&server);
    one.write("last").unwrap();
    one.end(CloseReason::RECONNECT);
    let both = piece(&mut stream).await.unwrap();
    assert!(
        both.starts_with("data: \"last\"\n\ndata: primus::end::{\"after\":0,\"code\":4001"),
        "{both}"
    );
    assert_eq!(server.primus.sessions(), 1); // taken, and perhaps not written yet
    assert_eq!(text(primus_core::Response::new(stream)).await, "");
    assert_eq!(server.primus.sessions(), 0);
    assert_eq!(over.recv().await, Some(CloseReason::RECONNECT));

    let begin = tokio::time::Instant::now();
    let (stream, token) = open(&server).await;
    drop(stream);
    assert_eq!(server.send(&token, "1").await, 204);
    assert_eq!(over.recv().await, Some(CloseReason::GOING_AWAY));
    assert!((120..123).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(server.send(&token, "1").await, 404);
}

#[tokio::test]
async fn a_client_that_ends_is_gone_at_once_though_its_stream_is_lost() {
    let server = Server::new(Sse::new());
    let mut over = server.disconnections();
    let (stream, token) = open(&server).await;
    drop(stream);
    assert_eq!(server.send(&token, "primus::end::").await, 204);
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));

    let (stream, token) = open(&server).await;
    assert_eq!(server.send(&token, "primus::end::").await, 204);
    drop(stream);
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));
    assert_eq!(server.primus.sessions(), 0);
}

#[tokio::test]
async fn a_client_comes_back_and_the_stream_begins_with_what_it_lacks() {
    let server = Server::new(Sse::new());
    let (mut stream, first) = open_attached(&server, attach("null")).await;
    let one = spark(&server);
    for number in 1..=3 {
        one.write(&number).unwrap();
    }
    // Taken from the session, and lost on the way.
    assert_eq!(piece(&mut stream).await.unwrap(), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    drop(stream);
    one.write(&4).unwrap();
    let (mut stream, second) = open_attached(&server, come_back(&first, 1, 1, 1)).await;
    assert_eq!((&second["resumed"], &second["generation"]), (&json!(true), &json!(2)));
    assert_eq!((&second["recv"], &second["next"]), (&json!(0), &json!(2)));
    assert_eq!(piece(&mut stream).await.unwrap(), "data: 2\n\ndata: 3\n\ndata: 4\n\n");

    // A carrier that is replaced while it is there ends, and takes nothing with it.
    let (mut third, attached) = open_attached(&server, come_back(&second, 4, 1, 2)).await;
    assert_eq!(attached["resumed"], true);
    assert!(stream.frame().await.unwrap().is_err());
    drop(stream);
    one.write(&5).unwrap();
    assert_eq!(frame(&mut third).await.unwrap(), "5");
    // The pongs of a new carrier are its own.
    let old = second["token"].as_str().unwrap();
    assert_eq!(server.send(old, "primus::ping:1::").await, 404);
    let new = attached["token"].as_str().unwrap();
    assert_eq!(server.send(new, "primus::ping:2:5::").await, 204);
    assert_eq!(frame(&mut third).await.unwrap(), "primus::pong:2::");
}

#[tokio::test(start_paused = true)]
async fn who_answers_no_ping_is_detached() {
    let server = Server::new(Sse::new());
    let (mut stream, token) = open(&server).await;
    let begin = tokio::time::Instant::now();
    let mut pings = 0;
    while let Ok(piece) = stream.frame().await.unwrap() {
        assert!(piece.into_data().unwrap().starts_with(b"data: primus::ping:"));
        pings += 1;
    }
    assert!(pings > 0 && begin.elapsed() > Duration::from_secs(40));
    assert!(begin.elapsed() < Duration::from_secs(42));
    assert_eq!(server.primus.sessions(), 1);
    assert_eq!(server.send(&token, "1").await, 204);
}

#[tokio::test(start_paused = true)]
async fn a_busy_handler_makes_the_post_wait_and_then_429() {
    let server = Server::new(Sse::new());
    let wake = Arc::new(Notify::new());
    let woken = Arc::clone(&wake);
    server.primus.on_connection(move |mut spark| {
        let woken = Arc::clone(&woken);
        async move {
            woken.notified().await;
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let (mut stream, token) = open(&server).await;
    let batch = vec!["1"; 100].join("\n");
    let request = post("/primus/send?v=2", batch).header("primus-token", &token);
    let response = server.ask(request).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, "1"));
    assert_eq!(said(response).await["recv"], 64);
    wake.notify_one();
    // While the application was behind, silence of the client did not count; now it does again.
    while stream.frame().await.unwrap().is_ok() {}
    assert_eq!((server.primus.sessions(), server.primus.connected()), (1, 1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((server.primus.sessions(), server.primus.connected()), (1, 0));
}
