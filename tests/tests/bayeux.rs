//! Bayeux reaches the machine that all clients share: rooms, events, authorize, limits, the end.

use std::{ops::ControlFlow, time::Duration};

use http::StatusCode;
use primus::{Builder, CloseReason, End, Message, Primus, Rejection, Spark};
use primus_tests::{
    http::{Answer, post},
    server::{Server, soon, until},
    ws::{Raw, frame, opcode},
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::mpsc};

fn bayeux() -> Builder {
    Primus::builder().transformer("bayeux")
}

async fn ask(server: &Server, messages: Value) -> Answer {
    post("/primus", messages.to_string())
        .header("content-type", "application/json")
        .send(server.address())
        .await
}

async fn send(server: &Server, messages: Value) -> Vec<Value> {
    let answer = ask(server, messages).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    serde_json::from_str(answer.text()).unwrap()
}

async fn handshake(server: &Server) -> Value {
    let message = json!({
        "channel": "/meta/handshake",
        "version": "1.0",
        "supportedConnectionTypes": ["long-polling"],
        "ext": { "token": "t" },
    });
    send(server, message).await.remove(0)
}

async fn client(server: &Server) -> String {
    handshake(server).await["clientId"].as_str().unwrap().to_owned()
}

async fn subscribed(server: &Server, channels: &[&str]) -> String {
    let client = client(server).await;
    let message =
        json!({ "channel": "/meta/subscribe", "clientId": client, "subscription": channels });
    assert_eq!(send(server, message).await[0]["successful"], true);
    client
}

/// What a connect of a client is answered by: its reply, then events.
async fn connect(server: &Server, client: &str, timeout: u64) -> Vec<Value> {
    let message = json!({
        "channel": "/meta/connect",
        "clientId": client,
        "connectionType": "long-polling",
        "advice": { "timeout": timeout },
    });
    send(server, message).await
}

async fn events(server: &Server, client: &str) -> Vec<Value> {
    connect(server, client, 0).await.split_off(1)
}

async fn open(builder: Builder) -> Server {
    let server = Server::echo(builder).await;
    server.root().authorize_join(async |_: Spark, _: String| Ok(()));
    server
}

// ---- rooms ----

#[tokio::test]
async fn a_write_to_a_room_reaches_the_subscribers_of_its_patterns_once() {
    let server = open(bayeux()).await;
    let all = subscribed(&server, &["/prices/ACME", "/prices/*", "/prices/**", "/**"]).await;
    let star = subscribed(&server, &["/prices/*"]).await;
    let other = subscribed(&server, &["/prices", "/*", "/prices/ACME/*"]).await;
    assert_eq!(server.room("/prices/ACME").write(&41).unwrap(), 2);
    let event = json!({ "channel": "/prices/ACME", "data": 41 });
    assert_eq!(events(&server, &all).await, std::slice::from_ref(&event));
    assert_eq!(events(&server, &star).await, [event]);
    assert!(events(&server, &other).await.is_empty());
}

#[tokio::test]
async fn a_pattern_is_a_room_of_the_mounts_of_bayeux_only() {
    let builder =
        Primus::builder().mount("/plain", primus::Mount::new().transformers(["websocket"]));
    let server = open(builder.transformer("bayeux")).await;
    let client = subscribed(&server, &["/a/*"]).await;
    assert_eq!(server.mounts()[0].room("/a/b").write(&1).unwrap(), 1);
    assert_eq!(server.mounts()[1].room("/a/b").write(&2).unwrap(), 0);
    assert_eq!(events(&server, &client).await, [json!({ "channel": "/a/b", "data": 1 })]);
}

#[tokio::test]
async fn who_is_in_a_room_by_the_application_hears_its_channel() {
    let server = open(bayeux()).await;
    server.on_connection(async |spark: Spark| {
        spark.join("/news")?;
        spark.join("lobby")?;
        std::future::pending::<primus::Result>().await
    });
    let client = client(&server).await;
    until("it is in the rooms", || server.room("lobby").len() == 1).await;
    server.room("/news").write("n").unwrap();
    server.room("lobby").emit("tick", &1).unwrap();
    server.room("/news").emit("tick", &2).unwrap();
    let heard = events(&server, &client).await;
    let tick = |n: u8| json!({ "event": "tick", "data": n });
    assert_eq!(
        heard,
        [
            json!({ "channel": "/news", "data": "n" }),
            json!({ "channel": "/primus", "data": tick(1) }),
            json!({ "channel": "/news", "data": tick(2) }),
        ]
    );
}

// ---- messages and events ----

#[tokio::test]
async fn the_direct_channel_is_the_sparks_own_messages() {
    let server = open(bayeux()).await;
    let client = subscribed(&server, &["/primus"]).await;
    let message = json!({ "channel": "/primus", "clientId": client, "data": { "n": 1 } });
    assert_eq!(send(&server, message).await[0]["successful"], true);
    let heard = connect(&server, &client, 10_000).await.split_off(1);
    assert_eq!(heard, [json!({ "channel": "/primus", "data": { "n": 1 } })]);
}

#[tokio::test]
async fn what_is_published_is_an_event_and_goes_to_nobody_unless_that_is_allowed() {
    let server = open(bayeux()).await;
    let (sender, mut receiver) = mpsc::channel(10);
    server.root().on_any(move |_: &Spark, name: &str, message: &Message| {
        sender.try_send((name.to_owned(), message.json::<Value>().unwrap())).unwrap();
    });
    let client = subscribed(&server, &["/chat"]).await;
    let message = json!({ "channel": "/chat", "clientId": client, "data": [1] });
    assert_eq!(send(&server, message.clone()).await[0]["successful"], true);
    assert_eq!(soon(receiver.recv()).await.unwrap(), ("/chat".to_owned(), json!([1])));
    assert!(events(&server, &client).await.is_empty());
    server.root().authorize_publish(async |_: Spark, room: String| match &*room {
        "/chat" => Ok(()),
        _ => Err(Rejection::forbidden("only chat")),
    });
    assert_eq!(send(&server, message).await[0]["successful"], true);
    assert_eq!(events(&server, &client).await, [json!({ "channel": "/chat", "data": [1] })]);
    let message = json!({ "channel": "/other", "clientId": client, "data": 1 });
    assert_eq!(send(&server, message).await[0]["error"], "403:/other:only chat");
}

// ---- authorize, limits ----

#[tokio::test]
async fn no_channel_is_open_to_bayeux_clients_unless_authorize_join_says_so() {
    let server = Server::echo(bayeux()).await;
    let client = client(&server).await;
    let message =
        json!({ "channel": "/meta/subscribe", "clientId": client, "subscription": "/**" });
    let reply = &send(&server, message).await[0];
    let error = "403:/**:no room is open to clients here; the application sets authorize_join";
    assert_eq!((&reply["successful"], &reply["error"]), (&json!(false), &json!(error)));
}

#[tokio::test]
async fn authorize_sees_the_ext_of_a_handshake_and_refuses_it() {
    let server = Server::echo(bayeux()).await;
    server.authorize(async |request: primus::AuthorizeRequest| {
        assert_eq!(request.auth, json!({ "token": "t" }));
        Err::<(), _>(Rejection::unauthorized("who are you"))
    });
    let reply = handshake(&server).await;
    assert_eq!(reply["error"], "401::who are you");
    assert_eq!(reply["advice"], json!({ "reconnect": "none" }));
    assert_eq!(server.mounts()[0].sessions(), 0);
}

#[tokio::test]
async fn a_full_server_takes_no_bayeux_client_more() {
    let server = Server::echo(bayeux().max_connections(1)).await;
    client(&server).await;
    let reply = handshake(&server).await;
    assert_eq!(reply["successful"], false);
    assert!(reply["error"].as_str().unwrap().starts_with("503::"), "{reply}");
    assert_eq!(reply["advice"], json!({ "reconnect": "handshake" }));
}

#[tokio::test]
async fn what_is_too_large_for_bayeux_is_refused() {
    let server = open(bayeux().max_message(1000)).await;
    let client = client(&server).await;
    let message = json!({ "channel": "/a", "clientId": client, "data": "x".repeat(1000) });
    assert_eq!(send(&server, message).await[0]["error"], "413:/a:Message too large");
    let message = json!({ "channel": "/a", "clientId": client, "data": "x".repeat(70_000) });
    assert_eq!(ask(&server, message).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(connect(&server, &client, 0).await[0]["successful"], true);
}

#[tokio::test]
async fn more_subscriptions_than_there_may_be_are_refused() {
    let server = open(bayeux().max_subscriptions(2)).await;
    let client = subscribed(&server, &["/a", "/b"]).await;
    let message =
        json!({ "channel": "/meta/subscribe", "clientId": client, "subscription": ["/b", "/c"] });
    let error = send(&server, message).await[0]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("429:/c:"), "{error}");
}

// ---- the end ----

#[tokio::test]
async fn a_bayeux_client_that_does_not_come_back_is_given_up() {
    let server = Server::echo(bayeux().bayeux_timeout(Duration::from_millis(100))).await;
    let (sender, mut receiver) = mpsc::channel(1);
    server.on_disconnection(move |_: Spark, _: CloseReason| {
        sender.try_send(()).unwrap();
        async {}
    });
    let client = client(&server).await;
    soon(receiver.recv()).await.unwrap();
    until("nothing is left", || server.mounts()[0].sessions() == 0).await;
    assert_eq!(
        connect(&server, &client, 0).await[0]["error"],
        format!("401:{client}:Unknown client")
    );
}

#[tokio::test]
async fn the_end_of_the_server_is_told_to_bayeux_clients() {
    let server = Server::echo(bayeux()).await;
    let client = client(&server).await;
    let (reply, ()) = tokio::join!(connect(&server, &client, 30_000), async {
        until("it is there", || server.connected() == 1).await;
        server.primus().end(End { reconnect: true, ..End::default() }).await;
    });
    assert_eq!(reply[0]["successful"], false);
    assert_eq!(reply[0]["advice"]["reconnect"], "handshake");
}

#[tokio::test]
async fn a_bayeux_socket_that_takes_nothing_holds_no_end_up() {
    let server = open(bayeux().close_timeout(Duration::from_millis(100))).await;
    let mut disconnections = server.disconnections();
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let others = tasks() + 1; // there will be the mount's own
    let mut socket = Raw::open(server.address(), "/primus").await;
    let client = {
        let handshake = json!({
            "channel": "/meta/handshake",
            "version": "1.0",
            "supportedConnectionTypes": ["websocket"],
        });
        let reply: Value = ask_over(&mut socket, handshake).await;
        reply["clientId"].as_str().unwrap().to_owned()
    };
    let connect = json!({
        "channel": "/meta/connect",
        "clientId": client,
        "connectionType": "websocket",
    });
    socket.send(frame(opcode::TEXT, connect.to_string())).await;
    let subscribe =
        json!({ "channel": "/meta/subscribe", "clientId": client, "subscription": "/a" });
    assert_eq!(ask_over(&mut socket, subscribe).await["successful"], true);

    // More than any socket takes from a client that does not read.
    assert_eq!(server.room("/a").write(&"x".repeat(32 << 20)).unwrap(), 1);
    server.for_each(|spark| {
        spark.end(CloseReason::ENDED);
        ControlFlow::<()>::Continue(())
    });
    soon(disconnections.recv()).await.unwrap();
    until("nothing is left of its socket", || tasks() <= others).await;
}

/// What a message is answered by over a WebSocket.
async fn ask_over(socket: &mut Raw, message: Value) -> Value {
    socket.send(frame(opcode::TEXT, message.to_string())).await;
    let answer = socket.frame().await.unwrap();
    let mut answers: Vec<Value> = serde_json::from_slice(&answer.payload).unwrap();
    answers.remove(0)
}
