//! The resumable dialect: `POST /primus/sse?v=2`, whose answer is the stream.

use std::{sync::Arc, time::Duration};

use primus_core::{AuthorizeRequest, Body, CloseReason, Rejection, handle::Spark};
use primus_sse::Sse;
use serde_json::json;
use tokio::sync::Notify;

use crate::driver::{Server, attach, control, error, header, is_waiting, piece, post, text};

async fn open(server: &Server) -> (Body, String) {
    let response = server.ask(post("/primus/sse?v=2", attach("null"))).await;
    assert_eq!(response.status(), 200);
    let mut stream = response.into_body();
    let attached = control(&frame(&mut stream).await.unwrap(), "attach");
    (stream, attached["token"].as_str().unwrap().to_owned())
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
    assert_eq!(end, json!({"code": 1000, "reason": "normal", "reconnect": false, "after": 0}));
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

#[tokio::test]
async fn the_session_is_over_when_the_end_was_taken_or_the_stream_is_lost() {
    let server = Server::new(Sse::new());
    let mut over = server.disconnections();
    let (mut stream, _) = open(&server).await;
    let spark = spark(&server);
    spark.write("last").unwrap();
    spark.end(CloseReason::RECONNECT);
    let both = piece(&mut stream).await.unwrap();
    assert!(
        both.starts_with("data: \"last\"\n\ndata: primus::end::{\"after\":0,\"code\":4001"),
        "{both}"
    );
    assert_eq!(server.primus.sessions(), 1); // taken, and perhaps not written yet
    assert_eq!(text(primus_core::Response::new(stream)).await, "");
    assert_eq!(server.primus.sessions(), 0);
    assert_eq!(over.recv().await, Some(CloseReason::RECONNECT));

    let (stream, token) = open(&server).await;
    drop(stream);
    assert_eq!(over.recv().await, Some(CloseReason::GOING_AWAY));
    assert_eq!(server.send(&token, "1").await, 404);
}

#[tokio::test(start_paused = true)]
async fn who_answers_no_ping_is_given_up() {
    let server = Server::new(Sse::new());
    let (mut stream, _) = open(&server).await;
    let begin = tokio::time::Instant::now();
    let mut pings = 0;
    let end = loop {
        match frame(&mut stream).await.unwrap() {
            ping if ping.starts_with("primus::ping:") => pings += 1,
            frame => break control(&frame, "end"),
        }
    };
    assert_eq!((&end["code"], end["reconnect"] == true), (&json!(4004), true));
    assert!(pings > 0 && begin.elapsed() > Duration::from_secs(40));
    assert!(begin.elapsed() < Duration::from_secs(42));
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
    assert_eq!(header(&response, "primus-accepted"), "64");
    wake.notify_one();
    // While the application was behind, silence of the client did not count; now it does again.
    loop {
        let frame = frame(&mut stream).await.unwrap();
        if frame.starts_with("primus::end::") {
            assert_eq!(control(&frame, "end")["code"], 4004);
            break;
        }
    }
}
