//! SockJS reaches the machine that all clients share: rooms, events, authorize, limits, counts, the end.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use primus::{Builder, End, Primus, Rejection, Spark};
use primus_tests::{
    http::{Open, get, post},
    server::{Server, echo, soon, until},
};
use tokio::sync::Notify;

fn sockjs() -> Builder {
    Primus::builder().transformer("sockjs")
}

/// An open stream, behind its prelude and the first frame.
async fn stream(server: &Server, id: &str) -> Open {
    let mut stream =
        post(&format!("/primus/0/{id}/xhr_streaming"), "").open(server.address()).await;
    assert_eq!(stream.line().await.unwrap(), "h".repeat(2048));
    assert_eq!(stream.line().await.unwrap(), "o");
    stream
}

async fn poll(server: &Server, id: &str) -> String {
    let answer = post(&format!("/primus/0/{id}/xhr"), "").send(server.address()).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.text().to_owned()
}

async fn send(server: &Server, id: &str, body: &str) -> StatusCode {
    post(&format!("/primus/0/{id}/xhr_send"), body.to_owned()).send(server.address()).await.status
}

// ---- broadcasts, rooms, events ----

#[tokio::test]
async fn a_broadcast_is_framed_once_for_all_streams_of_a_transport() {
    let server = Server::echo(sockjs()).await;
    let mut streams = Vec::new();
    for id in 0..5 {
        streams.push(stream(&server, &id.to_string()).await);
    }
    let path = "/primus/0/events/eventsource";
    let mut events = get(path).open(server.address()).await;
    until("all are there", || server.connected() == 6).await;
    let before = server.frame_counters().framed();
    assert_eq!(server.write("to all").unwrap(), 6);
    for stream in &mut streams {
        assert_eq!(stream.line().await.unwrap(), r#"a["\"to all\""]"#);
    }
    for line in ["\r", "data: o\r", "\r", "data: a[\"\\\"to all\\\"\"]\r", "\r"] {
        assert_eq!(events.line().await.unwrap(), line);
    }
    // Lines, and events.
    assert_eq!(server.frame_counters().framed() - before, 2);
}

#[tokio::test]
async fn what_waits_for_a_poll_is_one_frame() {
    let server = Server::echo(sockjs()).await;
    assert_eq!(poll(&server, "a").await, "o\n");
    for n in 0..3 {
        server.write(&n).unwrap();
    }
    assert_eq!(poll(&server, "a").await, "a[\"0\",\"1\",\"2\"]\n");
}

#[tokio::test]
async fn a_sockjs_client_gets_events_as_plain_clients_do() {
    let server = Server::echo(sockjs()).await;
    let mut stream = stream(&server, "a").await;
    until("it is there", || server.connected() == 1).await;
    server.emit("news", &[1, 2]).unwrap();
    assert_eq!(stream.line().await.unwrap(), r#"a["{\"event\":\"news\",\"data\":[1,2]}"]"#);
}

#[tokio::test]
async fn a_sockjs_client_is_in_rooms() {
    let server = Server::start(sockjs()).await;
    server.on_connection(async |spark: Spark| {
        spark.join("lobby")?;
        spark.write("in")?;
        std::future::pending().await
    });
    assert_eq!(poll(&server, "a").await, "o\n");
    assert_eq!(poll(&server, "a").await, "a[\"\\\"in\\\"\"]\n");
    assert_eq!(server.room("lobby").write("hello").unwrap(), 1);
    assert_eq!(poll(&server, "a").await, "a[\"\\\"hello\\\"\"]\n");
}

#[tokio::test]
async fn bytes_are_base64_for_a_sockjs_client() {
    let server = Server::start(sockjs()).await;
    server.on_connection(async |spark: Spark| {
        spark.write_message(vec![0, 255])?;
        std::future::pending().await
    });
    assert_eq!(poll(&server, "a").await, "o\n");
    assert_eq!(poll(&server, "a").await, "a[\"AP8=\"]\n");
}

// ---- who may, and how many ----

#[tokio::test]
async fn authorize_refuses_a_sockjs_session_by_status_before_it_exists() {
    let server = Server::echo(sockjs()).await;
    server.authorize(async |request| match request.query("key").as_deref() {
        Some("good") => Ok(()),
        _ => Err(Rejection::unauthorized("who are you?")),
    });
    for name in ["xhr", "xhr_streaming"] {
        let refused = post(&format!("/primus/0/a/{name}"), "").send(server.address()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.error(), "who are you?");
        assert_eq!(refused.header("access-control-allow-origin"), "*");
    }
    assert_eq!(server.connected(), 0);
    let opened = post("/primus/0/a/xhr?key=good", "").send(server.address()).await;
    assert_eq!(opened.text(), "o\n");
}

#[tokio::test]
async fn a_full_server_takes_no_sockjs_session_more() {
    let server = Server::echo(sockjs().max_connections(1)).await;
    assert_eq!(poll(&server, "a").await, "o\n");
    let refused = post("/primus/0/b/xhr", "").send(server.address()).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    // That of the one who is there goes on.
    assert_eq!(send(&server, "a", "[\"1\"]").await, StatusCode::NO_CONTENT);
    assert_eq!(poll(&server, "a").await, "a[\"1\"]\n");
}

#[tokio::test]
async fn a_session_of_one_mount_is_none_of_another() {
    let other = primus::Mount::new().transformers(["sockjs"]);
    let server = Server::echo(sockjs().mount("/other", other)).await;
    assert_eq!(poll(&server, "a").await, "o\n");
    let send = post("/other/0/a/xhr_send", "[\"1\"]").send(server.address()).await;
    assert_eq!(send.status, StatusCode::NOT_FOUND);
    let opened = post("/other/0/a/xhr", "").send(server.address()).await;
    assert_eq!(opened.text(), "o\n");
}

#[tokio::test]
async fn pages_of_foreign_origins_get_no_sockjs_session() {
    let server = Server::echo(sockjs().origins(["https://friend.test"])).await;
    for (origin, status) in [
        ("https://friend.test", StatusCode::OK),
        ("https://evil.test", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
    ] {
        let path = format!("/primus/0/{}/xhr", origin.len());
        let opened = post(&path, "").header("origin", origin).send(server.address()).await;
        assert_eq!(opened.status, status, "{origin}");
        let allowed = status == StatusCode::OK;
        let expected = if allowed { origin } else { "" };
        assert_eq!(opened.header("access-control-allow-origin"), expected);
        let preflight = primus_tests::http::Call::new(http::Method::OPTIONS, &path, "")
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let answer = preflight.send(server.address()).await;
        let expected = if allowed { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, expected);
    }
    // A script of another page has no origin, and is told by other marks.
    let script = |referrer| {
        get("/primus/0/j/jsonp?c=x")
            .header("sec-fetch-site", "cross-site")
            .header("referer", referrer)
    };
    let evil = script("https://evil.test/").send(server.address()).await;
    assert_eq!(evil.status, StatusCode::FORBIDDEN);
    let friend = script("https://friend.test/").send(server.address()).await;
    assert_eq!(friend.text(), "/**/x(\"o\");\r\n");
}

#[tokio::test]
async fn what_waits_for_a_channel_is_bounded_over_posts_and_none_of_it_is_lost() {
    let builder = sockjs()
        .inbox_messages(4)
        .body_timeout(Duration::from_secs(2))
        .sockjs_disconnect_delay(Duration::from_secs(60));
    let server = Server::echo(builder).await;
    let slow = server.channel("slow").unwrap();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    slow.authorize(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(())
        }
    });
    slow.on_connection(echo);
    let opened = post("/primus/0/a/xhr?_primuscb=1", "").send(server.address()).await;
    assert_eq!(opened.text(), "o\n");
    let say = async |text: &str| send(&server, "a", &serde_json::to_string(&[text]).unwrap()).await;
    assert_eq!(say(r#"[1,"i","slow"]"#).await, StatusCode::NO_CONTENT);
    let said = |n| format!(r#"[0,"i","slow",{n}]"#);
    for n in 0..4 {
        assert_eq!(say(&said(n)).await, StatusCode::NO_CONTENT);
    }
    // Nobody decides, so there is no room, for as long as a body may take.
    assert_eq!(say(&said(4)).await, StatusCode::TOO_MANY_REQUESTS);
    // Who waits is let in by the decision.
    let answers = async {
        go.notify_one();
        let mut answers = Vec::new();
        while answers.len() < 5 {
            let frame = poll(&server, "a").await;
            let texts: Vec<String> = serde_json::from_str(&frame[1..]).expect(&frame);
            answers.extend(texts);
        }
        answers
    };
    let last = said(4);
    let (late, answers) = tokio::join!(say(&last), answers);
    assert_eq!(late, StatusCode::NO_CONTENT);
    assert_eq!(answers, (0..5).map(said).collect::<Vec<_>>());
}

// ---- time ----

#[tokio::test]
async fn a_sockjs_client_that_is_told_nothing_gets_heartbeats() {
    let server = Server::echo(sockjs().sockjs_heartbeat(Duration::from_millis(50))).await;
    let mut stream = stream(&server, "a").await;
    assert_eq!(stream.line().await.unwrap(), "h");
    assert_eq!(stream.line().await.unwrap(), "h");
    assert_eq!(poll(&server, "b").await, "o\n");
    assert_eq!(poll(&server, "b").await, "h\n");
}

#[tokio::test]
async fn a_session_without_a_receiver_is_over_after_the_delay() {
    let server = Server::echo(sockjs().sockjs_disconnect_delay(Duration::from_millis(100))).await;
    let mut disconnections = server.disconnections();
    assert_eq!(poll(&server, "a").await, "o\n");
    assert_eq!(soon(disconnections.recv()).await, Some(4004));
    assert_eq!(server.connected(), 0);
    assert_eq!(send(&server, "a", "[\"1\"]").await, StatusCode::NOT_FOUND);
    assert_eq!(poll(&server, "a").await, "o\n");
}

#[tokio::test]
async fn a_lost_receiver_ends_its_session_at_once() {
    let server = Server::echo(sockjs()).await;
    let mut disconnections = server.disconnections();
    drop(stream(&server, "a").await);
    assert_eq!(soon(disconnections.recv()).await, Some(1001));
    assert_eq!(server.connected(), 0);
}

// ---- the end ----

#[tokio::test]
async fn the_end_of_the_server_is_told_to_sockjs_clients() {
    let server = Server::echo(sockjs()).await;
    let mut stream = stream(&server, "a").await;
    assert_eq!(poll(&server, "b").await, "o\n");
    until("both are there", || server.connected() == 2).await;
    let primus = server.primus();
    let report = tokio::spawn(async move { primus.end(End::default()).await });
    assert_eq!(poll(&server, "b").await, "c[4003,\"server ended\"]\n");
    assert_eq!(stream.line().await.unwrap(), "c[4003,\"server ended\"]");
    assert_eq!(stream.line().await, None);
    let report = soon(report).await.unwrap();
    assert_eq!((report.ended, report.cut), (2, 0), "{report:?}");
}

#[tokio::test]
async fn the_end_of_a_spark_is_a_normal_closure_to_a_sockjs_client() {
    let server = Server::start(sockjs()).await;
    server.on_connection(async |spark: Spark| {
        spark.write("last")?;
        Ok(())
    });
    assert_eq!(poll(&server, "a").await, "o\n");
    assert_eq!(poll(&server, "a").await, "a[\"\\\"last\\\"\"]\n");
    for _ in 0..2 {
        assert_eq!(poll(&server, "a").await, "c[1000,\"Normal closure\"]\n");
    }
    // What the client sent meanwhile is no fault of it.
    assert_eq!(send(&server, "a", "[\"1\"]").await, StatusCode::NO_CONTENT);
}
