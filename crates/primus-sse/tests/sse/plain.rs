//! The plain dialect: a bare `EventSource`, `curl -N` and `curl -d`.

use std::time::Duration;

use primus_core::{Body, CloseReason, MountSettings, Rejection, Settings};
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

/// Opens a stream as an `EventSource` does that has seen this id.
async fn come_back(server: &Server, id: &str) -> Body {
    let response = server.ask(get("/primus/sse").header("last-event-id", id)).await;
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// The token that a stream names with its next piece, which has to be one event.
async fn token(stream: &mut Body, number: u64) -> String {
    let event = piece(stream).await.unwrap();
    let id = event.strip_prefix("id: ").unwrap().split_once('\n').unwrap().0;
    id.strip_suffix(&format!(".{number}")).unwrap().to_owned()
}

#[tokio::test]
async fn an_event_source_goes_on_behind_its_last_event() {
    let server = Server::new(Sse::new());
    let mut heard = server.echo();
    let mut stream = open(&server, "/primus/sse").await;
    server.primus.write(&1).unwrap();
    let token = token(&mut stream, 1).await;
    server.primus.write(&2).unwrap();
    server.primus.write(&3).unwrap();
    let both = format!("id: {token}.2\ndata: 2\n\nid: {token}.3\ndata: 3\n\n");
    assert_eq!(piece(&mut stream).await.unwrap(), both);
    drop(stream);
    assert_eq!(server.primus.write(&4).unwrap(), 1);

    // Twice: what has not been seen is kept.
    for _ in 0..2 {
        let mut stream = come_back(&server, &format!("{token}.1")).await;
        assert_eq!(piece(&mut stream).await.unwrap(), ":\n\n");
        let rest = format!("{both}id: {token}.4\ndata: 4\n\n");
        assert_eq!(piece(&mut stream).await.unwrap(), rest);
    }
    let mut stream = come_back(&server, &format!("{token}.4")).await;
    assert_eq!(piece(&mut stream).await.unwrap(), ":\n\n");
    // The token speaks for the session as long as it lives, and the numbers go on.
    let target = format!("/primus/sse?token={token}");
    assert_eq!(server.status(post(&target, "\"hi\"")).await, 204);
    assert_eq!(heard.recv().await.unwrap(), r#"Text("\"hi\"")"#);
    let event = piece(&mut stream).await.unwrap();
    assert_eq!(event, format!("id: {token}.5\ndata: \"hi\"\n\n"));
    assert_eq!(server.primus.sessions(), 1);
}

#[tokio::test]
async fn what_cannot_be_had_again_is_told_by_an_event_of_its_own() {
    let server = Server::new(Sse::new());
    let mut stream = come_back(&server, "AAAAAAAAAAAAAAAAAAAAAA.7").await;
    let lost = piece(&mut stream).await.unwrap();
    let (id, rest) = lost.split_once('\n').unwrap();
    assert_eq!(rest, "event: primus.lost\ndata: {\"reason\":\"expired\"}\n\n");
    // Its id is that of a reader who has nothing of the new session yet.
    let id = id.strip_prefix("id: ").unwrap();
    let token = id.strip_suffix(".0").unwrap();
    drop(stream);
    server.primus.write(&1).unwrap();
    let mut stream = come_back(&server, id).await;
    assert_eq!(piece(&mut stream).await.unwrap(), ":\n\n");
    assert_eq!(piece(&mut stream).await.unwrap(), format!("id: {token}.1\ndata: 1\n\n"));
    assert_eq!(server.primus.sessions(), 1);
}

#[tokio::test]
async fn what_has_made_room_is_an_overflow() {
    let mut mount = MountSettings::new("/primus");
    mount.limits.resume_messages = 2;
    let server = Server::with(Sse::new(), Settings::default(), mount);
    let mut over = server.disconnections();
    let mut stream = open(&server, "/primus/sse").await;
    server.primus.write(&1).unwrap();
    let first = token(&mut stream, 1).await;
    for number in 2..=4 {
        server.primus.write(&number).unwrap();
        token(&mut stream, number).await;
    }
    drop(stream);
    let mut stream = come_back(&server, &format!("{first}.1")).await;
    let lost = piece(&mut stream).await.unwrap();
    assert!(
        lost.ends_with(".0\nevent: primus.lost\ndata: {\"reason\":\"overflow\"}\n\n"),
        "{lost}"
    );
    assert!(!lost.contains(&first));
    assert_eq!(over.recv().await, Some(CloseReason::TOO_SLOW));
    assert_eq!(server.primus.sessions(), 1);
}

#[tokio::test]
async fn an_id_that_was_never_ours_is_like_none() {
    let server = Server::new(Sse::new());
    for id in ["", "7", "x.1", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA.", "a.b.c"]
        .into_iter()
        .chain(["AAAAAAAAAAAAAAAAAAAAAA.-1", "AAAAAAAAAAAAAAAAAAAAAA.9007199254740993"])
    {
        assert_eq!(piece(&mut come_back(&server, id).await).await.unwrap(), ":\n\n", "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_come_back_is_given_up() {
    let server = Server::new(Sse::new());
    let mut over = server.disconnections();
    let mut stream = open(&server, "/primus/sse").await;
    server.primus.write(&1).unwrap();
    let token = token(&mut stream, 1).await;
    drop(stream);
    assert_eq!(over.recv().await, Some(CloseReason::GOING_AWAY));
    let mut stream = come_back(&server, &format!("{token}.1")).await;
    assert!(piece(&mut stream).await.unwrap().contains("{\"reason\":\"expired\"}"));
}
