//! The plain dialect: `fetch` and `curl` alone.

use primus_core::{CloseReason, Response};
use primus_polling::Polling;

use crate::{
    driver::{Server, error, get, header, post, text},
    resumable::spark,
};

async fn open(server: &Server) -> (String, String) {
    let response = server.ask(get("/primus/poll")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let token = header(&response, "primus-token").to_owned();
    assert_eq!(token.len(), 22);
    (token, text(response).await)
}

async fn poll(server: &Server, token: &str) -> Response {
    server.ask(get(&format!("/primus/poll?token={token}"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_as_lines() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |mut spark| {
        spark.write("welcome")?;
        spark.write_message(vec![0, 255])?;
        while let Some(message) = spark.next().await {
            spark.write_message(message)?;
        }
        Ok(())
    });
    let (token, first) = open(&server).await;
    assert_eq!(first, "\"welcome\"\nAP8=\n");
    let target = format!("/primus/poll?token={token}");
    // Control frames are nothing to a plain client, either way.
    assert_eq!(server.status(post(&target, "primus::end::")).await, 204);
    assert_eq!(text(poll(&server, &token).await).await, "primus::end::\n");

    let batch =
        post(&target, "1\r\n2\n\n3").header("content-type", "Application/X-NDJSON; charset=utf-8");
    assert_eq!(server.status(batch).await, 204);
    let mut echoed = String::new();
    while echoed.lines().count() < 3 {
        echoed += &text(poll(&server, &token).await).await;
    }
    assert_eq!(echoed, "1\n2\n3\n");
    let binary = post("/primus", vec![0, 255]).header("primus-token", &token);
    assert_eq!(server.status(binary.header("content-type", "application/octet-stream")).await, 204);
    assert_eq!(text(poll(&server, &token).await).await, "AP8=\n");
}

#[tokio::test]
async fn an_empty_first_answer_is_200_and_a_silent_handler_is_no_error() {
    let server = Server::new(Polling::new());
    assert_eq!(open(&server).await.1, "");
}

#[tokio::test]
async fn the_end_is_404_after_the_last_messages() {
    let server = Server::new(Polling::new());
    let mut over = server.disconnections();
    let (token, _) = open(&server).await;
    let one = spark(&server);
    one.write("last").unwrap();
    one.end(CloseReason::ENDED);
    assert_eq!(text(poll(&server, &token).await).await, "\"last\"\n");
    assert_eq!(poll(&server, &token).await.status(), 404);
    assert_eq!(over.recv().await, Some(CloseReason::ENDED));

    // A poll that is held learns it at once.
    let (token, _) = open(&server).await;
    let end = async { spark(&server).end(CloseReason::RECONNECT) };
    let (response, ()) = tokio::join!(poll(&server, &token), end);
    assert_eq!(response.status(), 404);
    let expected = "the session has ended (4001 reconnect); open a new one, without a token";
    assert_eq!(error(response).await, expected);
    assert_eq!(over.recv().await, Some(CloseReason::RECONNECT));
    assert_eq!(server.primus.sessions(), 0);
}

#[tokio::test]
async fn a_session_that_ends_at_once_says_its_words() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |spark| {
        spark.write("bye")?;
        Ok(())
    });
    let (token, words) = open(&server).await;
    assert_eq!(words, "\"bye\"\n");
    assert_eq!(poll(&server, &token).await.status(), 404);
    assert_eq!(server.primus.sessions(), 0);
}

#[tokio::test]
async fn an_unknown_token_is_404() {
    let server = Server::new(Polling::new());
    for token in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(poll(&server, token).await.status(), 404);
    }
    assert_eq!(server.status(get("/primus/poll?v=2")).await, 404);
}
