//! The resumable dialect: attach, polls that are held, the end.

use std::{sync::Arc, time::Duration};

use primus_core::{AuthorizeRequest, CloseReason, Rejection, Response, handle::Spark};
use primus_polling::Polling;
use tokio::time::Instant;

use crate::driver::{Server, ask, attach, control, error, get, header, post, text};

/// Opens a session: its token, and what came with the attach.
pub(crate) async fn open(server: &Server) -> (String, String) {
    let response = server.ask(post("/primus/poll?v=2", attach("null"))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let body = text(response).await;
    let (first, rest) = body.split_once('\n').unwrap();
    let token = control(first, "attach")["token"].as_str().unwrap().to_owned();
    (token, rest.to_owned())
}

pub(crate) async fn poll(server: &Server, token: &str) -> Response {
    server.ask(get("/primus/poll?v=2").header("primus-token", token)).await
}

pub(crate) fn spark(server: &Server) -> Spark {
    server.primus.for_each(std::ops::ControlFlow::Break).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_attach_to_end() {
    let server = Server::new(Polling::new());
    let mut over = server.disconnections();
    server.primus.on_connection(async |mut spark| {
        spark.write("welcome")?;
        while let Some(message) = spark.next().await {
            spark.write_message(message)?;
        }
        Ok(())
    });
    // The handler's first words are in the answer to the attach, always.
    for _ in 0..50 {
        assert_eq!(open(&server).await.1, "\"welcome\"\n");
    }
    let (token, _) = open(&server).await;
    assert_eq!(server.send(&token, "1\n\nprimus::binary::AAEC/w==\n").await, 204);
    let mut echoed = String::new();
    while echoed.lines().count() < 2 {
        let response = poll(&server, &token).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&response, "cache-control"), "no-store");
        echoed += &text(response).await;
    }
    assert_eq!(echoed, "1\nprimus::binary::AAEC/w==\n");

    assert_eq!(server.send(&token, "primus::ping:7::\nprimus::pong:1::").await, 204);
    assert_eq!(text(poll(&server, &token).await).await, "primus::pong:7::\n");

    // Nobody polls: the end of the client needs no one to be told.
    assert_eq!(server.send(&token, "primus::end::").await, 204);
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));
    assert_eq!(poll(&server, &token).await.status(), 404);
    assert_eq!(server.send(&token, "1").await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_held_until_there_is_something_or_204() {
    let server = Arc::new(Server::new(Polling::new()));
    let (token, rest) = open(&server).await;
    assert_eq!(rest, "");
    let begin = Instant::now();
    let response = poll(&server, &token).await;
    assert_eq!((response.status().as_u16(), header(&response, "cache-control")), (204, "no-store"));
    assert_eq!(begin.elapsed().as_secs(), 25);

    let spark = spark(&server);
    let (response, ()) = tokio::join!(poll(&server, &token), async {
        tokio::task::yield_now().await;
        spark.write(&1).unwrap();
        spark.write(&2).unwrap();
    });
    assert_eq!(text(response).await, "1\n2\n");
    // A ping of the client is answered by the poll that is held.
    let (response, sent) =
        tokio::join!(poll(&server, &token), server.send(&token, "primus::ping:3::"));
    assert_eq!((text(response).await.as_str(), sent), ("primus::pong:3::\n", 204));
}

#[tokio::test(start_paused = true)]
async fn a_second_poll_is_409_and_leaves_the_first_alone() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let second = async {
        let response = poll(&server, &token).await;
        assert_eq!(response.status(), 409);
        assert!(error(response).await.starts_with("another poll of this session is open"));
        spark(&server).write("for the first").unwrap();
    };
    let (response, ()) = tokio::join!(poll(&server, &token), second);
    assert_eq!(text(response).await, "\"for the first\"\n");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_dropped_keeps_the_session() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    tokio::select! {
        biased;
        _ = poll(&server, &token) => panic!("there is nothing to say"),
        () = tokio::task::yield_now() => {}
    }
    spark(&server).write("kept").unwrap();
    assert_eq!(text(poll(&server, &token).await).await, "\"kept\"\n");
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_poll_is_gone() {
    let server = Server::new(Polling::new());
    let mut over = server.disconnections();
    let (token, _) = open(&server).await;
    let begin = Instant::now();
    assert_eq!(over.recv().await, Some(CloseReason::HEARTBEAT));
    assert!((10..12).contains(&begin.elapsed().as_secs()));
    assert_eq!(poll(&server, &token).await.status(), 404);

    // While it polls it stays, however long nothing is said.
    let (token, _) = open(&server).await;
    for _ in 0..10 {
        assert_eq!(poll(&server, &token).await.status(), 204);
        tokio::time::sleep(Duration::from_secs(9)).await;
    }
}

#[tokio::test]
async fn authorize_refuses_and_is_asked_once_a_session() {
    let server = Server::new(Polling::new());
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    server.primus.authorize(move |request: AuthorizeRequest| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            request
                .auth
                .as_str()
                .map(str::to_owned)
                .ok_or(Rejection::unauthorized("who?"))
        }
    });
    let response = server.ask(post("/primus/poll?v=2", attach("null"))).await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "www-authenticate")),
        (401, "Bearer")
    );
    assert_eq!(error(response).await, "who?");
    assert_eq!(server.primus.sessions(), 0);

    let response = server.ask(post("/primus/poll?v=2", attach("\"ada\""))).await;
    let token = control(text(response).await.trim_end(), "attach")["token"].clone();
    spark(&server).write(&1).unwrap();
    assert_eq!(text(poll(&server, token.as_str().unwrap()).await).await, "1\n");
    assert_eq!(spark(&server).user::<String>().unwrap(), "ada");
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_broadcast_is_framed_once_for_all_polls() {
    let server = Server::new(Polling::new());
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(open(&server).await.0);
    }
    assert_eq!(server.primus.write("hello").unwrap(), 5);
    for token in &tokens {
        assert_eq!(text(poll(&server, token).await).await, "\"hello\"\n");
    }
    let counters = server.primus.frame_counters();
    assert_eq!((counters.encoded(), counters.framed()), (1, 1));
}

#[tokio::test]
async fn a_large_backlog_comes_in_several_answers() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    for _ in 0..10 {
        spark(&server).write_message("x".repeat(100 << 10)).unwrap();
    }
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 10 {
        sizes.push(text(poll(&server, &token).await).await.lines().count());
    }
    assert_eq!(sizes, [3, 3, 3, 1]);
}

#[tokio::test]
async fn other_methods_are_405() {
    let server = Server::new(Polling::new());
    for (method, uri, allow) in [
        (http::Method::PUT, "/primus/poll", "GET, POST"),
        (http::Method::HEAD, "/primus/poll?v=2", "GET, POST"),
        (http::Method::DELETE, "/primus/send?v=2", "POST"),
    ] {
        let response = server.ask(ask(method, uri)).await;
        assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, allow), "{uri}");
    }
}
