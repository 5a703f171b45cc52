//! How a session's end is told, and when it counts as told.

use primus_core::{CloseReason, End, EndReport};
use primus_polling::Polling;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    driver::{Server, attach, control, error, get, header, piece, post, text},
    resumable::{open, poll, poll_behind, spark},
};

#[tokio::test]
async fn the_end_is_the_last_line_and_over_when_it_was_taken() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let one = spark(&server);
    one.write("last").unwrap();
    let ending = end(&server, End { reconnect: true, ..End::default() }).await;
    let mut answer = poll(&server, &token).await.into_body();
    assert_eq!(server.primus.sessions(), 1);
    let body = piece(&mut answer).await.unwrap();
    let (last, end) = body.trim_end().split_once('\n').unwrap();
    assert_eq!(last, "\"last\"");
    assert_eq!(control(end, "end")["code"], 4002);
    assert_eq!(piece(&mut answer).await, None);
    drop(answer);
    assert_eq!(poll(&server, &token).await.status(), 404);
    let report = ending.await.unwrap();
    assert_eq!((report.ended, report.cut), (1, 0));
    let response = server.ask(post("/primus/poll?v=2", attach("null"))).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, "1"));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_took_was_not_told() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let ending = end(&server, End::default()).await;
    drop(poll(&server, &token).await);
    let report = ending.await.unwrap();
    assert_eq!((report.ended, report.cut), (0, 1));
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_is_told_again() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let one = spark(&server);
    one.write("last").unwrap();
    one.end(CloseReason::RECONNECT);
    drop(poll(&server, &token).await);
    assert_eq!(server.primus.sessions(), 1);
    let body = text(poll_behind(&server, &token, 0).await).await;
    let (last, end) = body.trim_end().split_once('\n').unwrap();
    assert_eq!((last, &control(end, "end")["code"]), ("\"last\"", &json!(4001)));
    assert_eq!(server.primus.sessions(), 0);

    // A bare client's is, too, but for the messages, of which nothing is kept.
    let response = server.ask(get("/primus/poll")).await;
    let token = header(&response, "primus-token").to_owned();
    drop(response);
    spark(&server).write("last").unwrap();
    spark(&server).end(CloseReason::RECONNECT);
    let target = format!("/primus/poll?token={token}");
    drop(server.ask(get(&target)).await);
    let response = server.ask(get(&target)).await;
    assert_eq!(response.status(), 404);
    assert!(error(response).await.starts_with("the session has ended (4001 reconnect)"));
    assert_eq!(server.primus.sessions(), 0);
}

#[tokio::test]
async fn a_client_that_ends_is_gone_at_once_wherever_its_carrier_is() {
    let server = Server::new(Polling::new());
    let mut over = server.disconnections();
    // Held: the poll is told.
    let (token, _) = open(&server).await;
    let (response, sent) =
        tokio::join!(poll(&server, &token), server.send(&token, "primus::end::"));
    let end = control(text(response).await.trim_end(), "end");
    assert_eq!((&end["code"], sent), (&json!(1000), 204));
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));
    // Parked.
    let (token, _) = open(&server).await;
    assert_eq!(server.send(&token, "primus::end::").await, 204);
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));
    assert_eq!(server.primus.sessions(), 0);
    assert_eq!(server.send(&token, "primus::end::").await, 404);
}

/// Ends the server; the sparks have been told when this returns.
async fn end(server: &Server, end: End) -> JoinHandle<EndReport> {
    let one = spark(server);
    let primus = server.primus.clone();
    let ending = tokio::spawn(async move { primus.end(end).await });
    while one.close_reason().is_none() {
        tokio::task::yield_now().await;
    }
    ending
}

#[tokio::test]
async fn a_panic_is_told_with_1011() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |_| panic!("on purpose"));
    let (token, end) = open(&server).await;
    let end = control(end.trim_end(), "end");
    assert_eq!(
        end,
        json!({"code": 1011, "reason": "handler failed", "reconnect": true, "after": 0, "recv": 0})
    );
    assert_eq!(poll(&server, &token).await.status(), 404);
    assert_eq!(server.primus.sessions(), 0);
}
