//! How a session's end is told, and when it counts as told.

use primus_core::{End, EndReport};
use primus_polling::Polling;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    driver::{Server, attach, control, header, piece, post},
    resumable::{open, poll, spark},
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

#[tokio::test]
async fn an_end_that_nobody_took_was_not_told() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let ending = end(&server, End::default()).await;
    drop(poll(&server, &token).await);
    let report = ending.await.unwrap();
    assert_eq!((report.ended, report.cut), (0, 1));
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
        json!({"code": 1011, "reason": "handler failed", "reconnect": true, "after": 0})
    );
    assert_eq!(poll(&server, &token).await.status(), 404);
    assert_eq!(server.primus.sessions(), 0);
}
