//! The resumable dialect: attach, polls that are held, the end.

use std::{sync::Arc, time::Duration};

use primus_core::{
    AuthorizeRequest, Carriage, CloseReason, MountSettings, Rejection, Response, Session, Settings,
    handle::Spark, native::ClientAttach,
};
use primus_polling::Polling;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::driver::{Server, ask, attach, come_back, control, error, get, header, post, text};

/// Opens a session: its token, and what came with the attach.
pub(crate) async fn open(server: &Server) -> (String, String) {
    let (attached, rest) = open_attached(server).await;
    (attached["token"].as_str().unwrap().to_owned(), rest)
}

/// Opens a session: the server's attach, and what came with it.
pub(crate) async fn open_attached(server: &Server) -> (Value, String) {
    answer(server.ask(post("/primus/poll?v=2", attach("null"))).await).await
}

/// Comes back to a session.
pub(crate) async fn attach_again(
    server: &Server,
    attached: &Value,
    recv: u64,
    next: u64,
    attempt: u64,
) -> (Value, String) {
    let frame = come_back(attached, recv, next, attempt);
    answer(server.ask(post("/primus/poll?v=2", frame)).await).await
}

async fn answer(response: Response) -> (Value, String) {
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let body = text(response).await;
    let (first, rest) = body.split_once('\n').unwrap();
    (control(first, "attach"), rest.to_owned())
}

pub(crate) fn session(server: &Server, token: &str) -> Arc<Session> {
    server.mount().by_token(token).unwrap().0
}

/// A poll that says what the client has.
pub(crate) async fn poll_behind(server: &Server, token: &str, recv: u64) -> Response {
    let target = format!("/primus/poll?v=2&recv={recv}");
    server.ask(get(&target).header("primus-token", token)).await
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
    // Without a poll it is detached, and then given up.
    assert_eq!(over.recv().await, Some(CloseReason::HEARTBEAT));
    assert!((130..133).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
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
    // As much in one answer as is kept, in case that it is lost.
    assert_eq!(sizes, [1; 10]);
}

#[tokio::test]
async fn an_answer_has_no_more_than_can_be_repeated() {
    let mut mount = MountSettings::new("/primus");
    mount.limits.resume_messages = 4;
    mount.limits.resume_bytes = 30;
    let server = Server::with(Polling::new(), Settings::default(), mount);
    let (token, _) = open(&server).await;
    for number in 0..10 {
        spark(&server).write(&number).unwrap();
    }
    for text in ["twelve bytes", "twelve bytes", "twelve bytes", "twelve bytes"] {
        spark(&server).write_message(text).unwrap();
    }
    let answers = [
        (0, "0\n1\n2\n3\n"),
        (4, "4\n5\n6\n7\n"),
        (8, "8\n9\ntwelve bytes\ntwelve bytes\n"),
        (12, "twelve bytes\ntwelve bytes\n"),
    ];
    for (recv, expected) in answers {
        // Each answer is lost a few times.
        for _ in 0..3 {
            drop(poll_behind(&server, &token, recv).await);
        }
        assert_eq!(text(poll_behind(&server, &token, recv).await).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_begins_behind_recv_and_may_be_repeated() {
    let server = Server::new(Polling::new());
    let (token, _) = open(&server).await;
    let kept = session(&server, &token);
    let one = spark(&server);
    for number in 1..=3 {
        one.write(&number).unwrap();
    }
    drop(poll_behind(&server, &token, 0).await);
    assert_eq!(text(poll_behind(&server, &token, 0).await).await, "1\n2\n3\n");
    assert_eq!(text(poll_behind(&server, &token, 2).await).await, "3\n");
    assert_eq!(kept.kept(), 1);
    one.write(&4).unwrap();
    assert_eq!(text(poll_behind(&server, &token, 2).await).await, "3\n4\n");
    assert_eq!(poll_behind(&server, &token, 4).await.status(), 204);
    assert_eq!(kept.kept(), 0);

    // What was acknowledged is gone, and what was never sent nobody has.
    for recv in [3, 5] {
        let response = poll_behind(&server, &token, recv).await;
        assert_eq!(response.status(), 404);
        assert!(error(response).await.ends_with("attach anew"));
    }
    for recv in ["", "-1", "x", "01", "9007199254740993"] {
        let target = format!("/primus/poll?v=2&recv={recv}");
        let response = server.ask(get(&target).header("primus-token", &token)).await;
        assert_eq!(response.status(), 400, "{recv}");
    }
    one.write(&5).unwrap();
    assert_eq!(text(poll_behind(&server, &token, 4).await).await, "5\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_with_its_key_and_misses_nothing() {
    let server = Server::new(Polling::new());
    let mut heard = server.echo();
    let (first, _) = open_attached(&server).await;
    let token = first["token"].as_str().unwrap();
    assert_eq!(server.send(token, "1\n2").await, 204);
    assert_eq!(text(poll_behind(&server, token, 0).await).await, "1\n2\n");
    tokio::time::sleep(Duration::from_secs(60)).await;
    // It was detached, and its token is good for a POST, but not for a poll.
    assert_eq!((server.primus.sessions(), server.primus.connected()), (1, 0));
    assert_eq!(server.send(token, "3").await, 204);
    let response = poll_behind(&server, token, 2).await;
    assert_eq!(response.status(), 404);
    assert_eq!(error(response).await, "the session has lost its carrier; attach anew");

    let (second, rest) = attach_again(&server, &first, 1, 4, 1).await;
    assert_eq!((&second["resumed"], &second["generation"]), (&json!(true), &json!(2)));
    assert_eq!((&second["recv"], &second["next"]), (&json!(3), &json!(2)));
    assert_eq!(rest, "2\n3\n");
    assert_eq!(server.primus.connected(), 1);
    for number in ["1", "2", "3"] {
        assert_eq!(heard.recv().await.unwrap(), format!("Text({number:?})"));
    }
    assert!(heard.try_recv().is_err());
    assert_eq!(poll(&server, token).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_held_poll_is_404_when_a_newer_carrier_takes_the_session() {
    let server = Server::new(Polling::new());
    let (first, _) = open_attached(&server).await;
    let token = first["token"].as_str().unwrap();
    let (held, (second, _)) = tokio::join!(poll_behind(&server, token, 0), async {
        tokio::task::yield_now().await;
        spark(&server).write("for the new one").unwrap();
        attach_again(&server, &first, 0, 1, 1).await
    });
    // The message went to one of them, or to both, as numbers tell; here the new one was faster.
    assert_eq!(held.status(), 404);
    assert!(error(held).await.starts_with("another carrier has the session"));
    let again = poll_behind(&server, second["token"].as_str().unwrap(), 0).await;
    assert_eq!(text(again).await, "\"for the new one\"\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_attach_that_was_lost_loses_nothing() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |spark| {
        spark.write("welcome")?;
        std::future::pending().await
    });
    let (first, rest) = open_attached(&server).await;
    assert_eq!(rest, "\"welcome\"\n");
    for attempt in 1..4 {
        let lost = server.ask(post("/primus/poll?v=2", come_back(&first, 0, 1, attempt))).await;
        assert_eq!(lost.status(), 200);
    }
    // One that was overtaken changes nothing.
    let late = server.ask(post("/primus/poll?v=2", come_back(&first, 0, 1, 2))).await;
    assert_eq!(late.status(), 409);
    let (last, rest) = attach_again(&server, &first, 0, 1, 4).await;
    assert_eq!((&last["generation"], rest.as_str()), (&json!(5), "\"welcome\"\n"));
}

#[tokio::test]
async fn a_session_of_another_transport_goes_on_by_polling() {
    // Opened by something that knows nothing of polls.
    let server = Server::new(Polling::new());
    let head = get("/primus");
    let request: primus_core::Request = head.into();
    let asked = ClientAttach::default();
    let mount = server.mount();
    let opened = mount.attach("other", &request.head, asked, Carriage::DRIVER, false).await;
    let frame = opened.unwrap().answer.to_frame();
    spark(&server).write("kept").unwrap();
    let (attached, rest) = attach_again(&server, &control(&frame, "attach"), 0, 1, 1).await;
    assert_eq!((&attached["resumed"], rest.as_str()), (&json!(true), "\"kept\"\n"));
    let token = attached["token"].as_str().unwrap();
    assert_eq!(server.send(token, "primus::ack:1:1::\nprimus::ping:5::").await, 204);
    assert_eq!(text(poll_behind(&server, token, 1).await).await, "primus::pong:5::\n");
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
