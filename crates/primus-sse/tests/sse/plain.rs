//! The plain dialect: a bare `EventSource`, `curl -N` and `curl -d`.

use std::time::Duration;

use primus_core::{Body, CloseReason, Rejection};
use primus_sse::Sse;

use crate::driver::{Server, error, get, piece, post};

async fn open(server: &Server, uri: &str) -> Body {
    let response = server.ask(get(uri).header("accept", "text/event-stream")).await;
    assert_eq!(response.status(), 200);
    let mut stream = response.into_body();
    assert_eq!(piece(&mut stream).await.unwrap(), ":\n\n");
    stream
}

#[tokio::test]
async fn events_are_numbered_behind_a_token_that_sends() {
    let server = Server::new(Sse::new());
    let (sender, mut heard) = tokio::sync::mpsc::channel(16);
    server.primus.on_connection(move |mut spark| {
        let sender = sender.clone();
        async move {
            spark.write_message("a\nb\r\nc")?;
            while let Some(message) = spark.next().await {
                sender.send(message.payload().clone()).await?;
                spark.write_message(message)?;
            }
            Ok(())
        }
    });
    for uri in ["/primus/sse", "/primus", "/primus/"] {
        let mut stream = open(&server, uri).await;
        let event = piece(&mut stream).await.unwrap();
        let (id, data) = event.split_once('\n').unwrap();
        let token = id.strip_prefix("id: ").unwrap().strip_suffix(".1").unwrap();
        assert_eq!(data, "data: a\ndata: b\ndata: c\n\n");

        let target = format!("/primus/sse?token={token}");
        assert_eq!(server.status(post(&target, "primus::hi")).await, 204);
        assert_eq!(heard.recv().await.unwrap(), "primus::hi".into());
        let event = piece(&mut stream).await.unwrap();
        assert_eq!(event, format!("id: {token}.2\ndata: primus::hi\n\n"));

        let binary = post(&target, vec![0, 255]).header("content-type", "application/octet-stream");
        assert_eq!(server.status(binary).await, 204);
        assert_eq!(heard.recv().await.unwrap(), vec![0, 255].into());
        let event = piece(&mut stream).await.unwrap();
        assert_eq!(event, format!("id: {token}.3\ndata: AP8=\n\n"));

        assert_eq!(server.status(post(&target, vec![255])).await, 400);
    }
    assert_eq!(server.status(post("/primus/sse?token=AAAAAAAAAAAAAAAAAAAAAA", "x")).await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_silent_reader_is_kept_awake_and_never_given_up() {
    let server = Server::new(Sse::new());
    let mut stream = open(&server, "/primus/sse").await;
    let begin = tokio::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(piece(&mut stream).await.unwrap(), ":\n\n");
    }
    assert!(begin.elapsed() > Duration::from_secs(19 * 30));
    assert_eq!(server.primus.connected(), 1);
}

#[tokio::test]
async fn the_stream_ends_with_the_session_without_a_word() {
    let server = Server::new(Sse::new());
    let mut over = server.disconnections();
    server.primus.on_connection(async |spark| {
        spark.write("only")?;
        Err(CloseReason::ENDED.into())
    });
    let mut stream = open(&server, "/primus/sse").await;
    assert!(piece(&mut stream).await.unwrap().ends_with(".1\ndata: \"only\"\n\n"));
    assert_eq!(piece(&mut stream).await, None);
    assert_eq!(over.recv().await, Some(CloseReason::ENDED));
}

#[tokio::test]
async fn authorize_refuses_streams_and_conversations() {
    let server = Server::new(Sse::new());
    server.primus.authorize(async |request: primus_core::AuthorizeRequest| {
        assert!(request.auth.is_null());
        request.query("key").ok_or(Rejection::unauthorized("no key"))
    });
    for request in [get("/primus/sse"), post("/primus", "x"), post("/primus/sse", "x")] {
        let response = server.ask(request).await;
        assert_eq!(response.status(), 401);
        assert_eq!(error(response).await, "no key");
    }
    assert_eq!(server.primus.sessions(), 0);
    open(&server, "/primus/sse?key=k").await;
}
