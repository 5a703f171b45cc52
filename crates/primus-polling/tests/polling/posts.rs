//! Every status of a POST to a session.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use primus_core::{CloseReason, MountSettings, Settings};
use primus_polling::Polling;
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    driver::{Server, Stalled, attach, channel, control, error, get, header, post, said, text},
    resumable::{attach_again, open, open_attached, poll, session, spark},
};

/// A server whose messages may have ten bytes, and whose batches three items.
fn small() -> Server {
    let mut mount = MountSettings::new("/primus");
    mount.limits.max_message = 10;
    mount.limits.max_post_items = 3;
    mount.limits.max_attach = 100;
    Server::with(Polling::new(), Settings::default(), mount)
}

#[tokio::test]
async fn a_frame_that_breaks_the_protocol_is_400_and_the_end() {
    for batch in [
        "1\nprimus::nonsense",
        "1\nprimus::attach::{}",
        "1\nprimus::refuse::{}",
        "1\nprimus::end::\n2",
        "1\nprimus::binary::%",
    ] {
        let server = Server::new(Polling::new());
        let mut heard = server.echo();
        let (token, _) = open(&server).await;
        let request = post("/primus/send?v=2", batch).header("primus-token", &token);
        let response = server.ask(request).await;
        assert_eq!(response.status(), 400, "{batch}");
        let error = error(response).await;
        assert!(error.ends_with("; the session has ended"), "{error}");
        let response = server.ask(get("/primus/poll?v=2").header("primus-token", &token)).await;
        let end = control(text(response).await.trim_end(), "end");
        assert_eq!(end["code"], CloseReason::BAD_CONTROL.code());
        assert!(heard.try_recv().is_err(), "nothing of the batch is delivered");
        assert_eq!(server.send(&token, "1").await, 404);
    }
}

#[tokio::test]
async fn what_is_too_large_is_413_and_the_session_goes_on() {
    let server = small();
    let mut heard = server.echo();
    let (token, _) = open(&server).await;
    assert_eq!(server.send(&token, "0123456789").await, 204);
    assert_eq!(server.send(&token, "primus::data:b64::MDEyMzQ1Njc4OQ==").await, 204);
    for batch in ["0123456789a", "1\n\n\n2", "primus::data::0123456789a"] {
        assert_eq!(server.send(&token, batch).await, 413, "{batch}");
    }
    assert_eq!(server.send(&token, "x".repeat(16 + (8 << 10) + 1)).await, 413);
    let declared = post("/primus/send?v=2", "").header("primus-token", &token);
    let declared = declared.header("content-length", "99999").body(Stalled.boxed_unsync());
    let response = server.ask(declared).await;
    assert_eq!(response.status(), 413);
    assert!(error(response).await.contains("(max_message)"));
    let target = format!("/primus/poll?token={token}");
    assert_eq!(server.status(post(&target, "0123456789a")).await, 413);
    let lines = post(&target, "1\n2\n3\n4").header("content-type", "application/x-ndjson");
    assert_eq!(server.status(lines).await, 413);
    assert_eq!(server.send(&token, "1\n2\n3\n").await, 204);
    for text in ["0123456789", "0123456789", "1", "2", "3"] {
        assert_eq!(heard.recv().await.unwrap(), format!("Text({text:?})"));
    }
    let attach = attach(&format!("{:?}", "x".repeat(100)));
    assert_eq!(server.status(post("/primus/poll?v=2", attach)).await, 413);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_400_and_the_session_goes_on() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    assert_eq!(server.send(&token, vec![b'1', 0xff]).await, 400);
    assert_eq!(server.status(post("/primus/poll?v=2", vec![0xff])).await, 400);
    assert_eq!(server.send(&token, "1").await, 204);
}

#[tokio::test]
async fn an_unknown_session_is_404() {
    let server = Server::new(Polling::new());
    let response = server.ask(post("/primus/send?v=2", "1")).await;
    assert_eq!(response.status(), 404);
    assert!(error(response).await.starts_with("the session is unknown or has ended"));
    assert_eq!(server.send("AAAAAAAAAAAAAAAAAAAAAA", "1").await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_408() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let stalled = |uri: &str| post(uri, "").body(Stalled.boxed_unsync());
    let begin = tokio::time::Instant::now();
    // Polls meanwhile: a session needs them to live.
    let request = stalled("/primus/send?v=2").header("primus-token", &token);
    let poll = server.ask(get("/primus/poll?v=2").header("primus-token", &token));
    let (sent, polled) = tokio::join!(server.status(request), poll);
    assert_eq!((sent, polled.status().as_u16()), (408, 204));
    assert_eq!(server.status(stalled("/primus/poll?v=2")).await, 408);
    assert_eq!(server.status(stalled("/primus")).await, 408);
    assert_eq!(begin.elapsed().as_secs(), 25 + 10 + 10);
    assert_eq!(server.primus.sessions(), 1); // a one-shot opens none before it has its body
}

#[tokio::test(start_paused = true)]
async fn a_second_post_is_409_and_leaves_the_first_alone() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let stalled = post("/primus/send?v=2", "").body(Stalled.boxed_unsync());
    let first = server.status(stalled.header("primus-token", &token));
    let (first, second) = tokio::join!(first, async {
        tokio::task::yield_now().await;
        let target = format!("/primus?token={token}");
        (server.send(&token, "1").await, server.status(post(&target, "1")).await)
    });
    assert_eq!((first, second), (408, (409, 409)));
}

#[tokio::test(start_paused = true)]
async fn a_busy_handler_is_429_with_what_was_received() {
    let server = Server::new(Polling::new());
    let wake = Arc::new(Notify::new());
    let woken = Arc::clone(&wake);
    server.primus.on_connection(move |mut spark| {
        let woken = Arc::clone(&woken);
        async move {
            woken.notified().await;
            while let Some(message) = spark.next().await {
                spark.write_message(message)?;
            }
            Ok(())
        }
    });
    let (token, _) = open(&server).await;
    let frames: Vec<String> = (0..70).map(|number: u32| number.to_string()).collect();
    let batch = format!("primus::pong:1::\n{}", frames.join("\n"));
    let request = post("/primus/send?v=2", batch).header("primus-token", &token);
    let poll = || server.ask(get("/primus/poll?v=2").header("primus-token", &token));
    let (response, _) = tokio::join!(server.ask(request), poll());
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, "1"));
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert!(!response.headers().contains_key("primus-accepted"));
    let said = said(response).await;
    assert!(said["error"].as_str().unwrap().starts_with("the application is behind"));
    assert_eq!(said["recv"], 64);

    // The rest waits until the handler has come back, and nothing is lost or doubled, though half
    // of it is sent again.
    let rest = format!("primus::ack:0:33::\n{}", frames[32..].join("\n"));
    let (status, ()) = tokio::join!(server.send(&token, rest), async { wake.notify_one() });
    assert_eq!(status, 204);
    let mut echoed = String::new();
    while echoed.lines().count() < 70 {
        echoed += &text(poll().await).await;
    }
    assert_eq!(echoed.lines().collect::<Vec<_>>(), frames);
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_is_404() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |mut spark| {
        spark.next().await;
        std::future::pending().await
    });
    let (token, _) = open(&server).await;
    let request = post("/primus/send?v=2", vec!["1"; 70].join("\n")).header("primus-token", &token);
    let (response, ()) = tokio::join!(server.ask(request), async {
        spark(&server).end(CloseReason::ENDED);
    });
    assert_eq!(response.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_plain_post_to_a_busy_handler_is_429_with_how_many_were_accepted() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |_| std::future::pending().await);
    let response = server.ask(get("/primus/poll")).await;
    let target = format!("/primus/poll?token={}", header(&response, "primus-token"));
    let lines = vec!["1"; 70].join("\n");
    let many = post(&target, lines).header("content-type", "application/x-ndjson");
    let response = server.ask(many).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, "1"));
    let said = said(response).await;
    assert_eq!((&said["accepted"], &said["recv"]), (&json!(64), &json!(null)));
}

#[tokio::test]
async fn a_batch_may_be_repeated_and_one_with_a_gap_is_409() {
    let server = Server::new(Polling::new());
    let mut heard = server.echo();
    let (token, _) = open(&server).await;
    let batch = "primus::ack:0:1::\n\"a\"\n\"b\"";
    for _ in 0..3 {
        assert_eq!(server.send(&token, batch).await, 204);
    }
    // What is new in a batch that overlaps is taken.
    assert_eq!(server.send(&token, "primus::ack:0:2::\n\"b\"\n\"c\"").await, 204);
    // One that does not say where it begins goes on.
    assert_eq!(server.send(&token, "\"d\"").await, 204);

    for batch in
        ["primus::ack:0:6::\n\"f\"", "primus::ack:0:6::", "\"e\"\nprimus::ack:0:9::\n\"i\""]
    {
        let request = post("/primus/send?v=2", batch).header("primus-token", &token);
        let response = server.ask(request).await;
        assert_eq!(response.status(), 409, "{batch}");
        assert_eq!(header(&response, "cache-control"), "no-store");
        let said = said(response).await;
        assert_eq!(said["recv"], 4, "nothing of it is kept");
        assert!(said["error"].as_str().unwrap().starts_with("messages are missing"));
    }
    assert_eq!(server.send(&token, "primus::ack:0:5::\n\"e\"").await, 204);
    for letter in ["a", "b", "c", "d", "e"] {
        assert_eq!(heard.recv().await.unwrap(), format!("Text({:?})", format!("{letter:?}")));
    }
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn a_batch_acknowledges_by_ack_ping_and_pong() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let session = session(&server, &token);
    let one = spark(&server);
    for (number, frame) in
        ["primus::ack:1::", "primus::ping:1:2::", "primus::pong:1:3::"].into_iter().enumerate()
    {
        one.write("x").unwrap();
        assert!(text(poll(&server, &token).await).await.contains("\"x\"\n"));
        assert_eq!(session.kept(), 3);
        assert_eq!(server.send(&token, frame).await, 204);
        assert_eq!(session.kept(), 0, "{number}");
    }
    // What was acknowledged before is no news.
    assert_eq!(server.send(&token, "primus::ack:0::").await, 204);
}

#[tokio::test]
async fn what_was_never_sent_cannot_be_acknowledged() {
    for frame in
        ["primus::ack:1::", "primus::ack:1:1::", "primus::ping:1:1::", "primus::pong:1:1::"]
    {
        let server = Server::new(Polling::new());
        let mut heard = server.echo();
        let (token, _) = open(&server).await;
        let request = post("/primus/send?v=2", format!("7\n{frame}"));
        let response = server.ask(request.header("primus-token", &token)).await;
        assert_eq!(response.status(), 400, "{frame}");
        let said = error(response).await;
        assert_eq!(said, "it acknowledges too much; the session has ended");
        let end = control(text(poll(&server, &token).await).await.trim_end(), "end");
        assert_eq!((&end["code"], &end["recv"]), (&json!(4400), &json!(0)));
        assert!(heard.try_recv().is_err(), "nothing of the batch is delivered");
    }
}

#[tokio::test(start_paused = true)]
async fn the_post_of_an_older_carrier_is_404_and_in_nobodys_way() {
    let server = Server::new(Polling::new());
    let (attached, _) = open_attached(&server).await;
    let old = attached["token"].as_str().unwrap();
    let kept = session(&server, old);
    let (sender, body) = channel();
    let late = post("/primus/send?v=2", "").body(body).header("primus-token", old);
    let (late, ()) = tokio::join!(server.status(late), async {
        tokio::task::yield_now().await;
        let (attached, _) = attach_again(&server, &attached, 0, 1, 1).await;
        let new = attached["token"].as_str().unwrap();
        assert_ne!(old, new);
        assert_eq!(server.send(new, "\"new\"").await, 204);
        assert_eq!(server.send(old, "\"old\"").await, 404);
        sender.send("primus::nonsense".into()).unwrap();
    });
    assert_eq!(late, 404);
    assert_eq!(kept.recv(), 1);
    assert!(spark(&server).close_reason().is_none(), "it has no say any more");
}
