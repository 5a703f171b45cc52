//! Events both ways, and who listens to them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use primus::{Builder, Flow, NameError, Primus, Rejection, Spark, State, WriteError, Written};
use primus_tests::{
    http::get,
    peer::{Peer, TRANSPORTS},
    server::{Server, soon, until},
    ws,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// What has happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn only(server: &Server) -> Spark {
    until("a spark", || server.sessions() == 1).await;
    server.everyone().sparks().remove(0)
}

#[tokio::test]
async fn an_event_of_the_server_has_its_name_and_arguments_on_every_transport() {
    let server = Server::start(Primus::builder()).await;
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        let spark = server.spark(client.id().parse().unwrap()).unwrap();
        assert_eq!(spark.emit("moved", &(3, 4)).unwrap(), Written::Queued);
        assert_eq!(spark.emit("a:b ☃", &json!({ "c": "d" })).unwrap(), Written::Queued);
        assert_eq!(server.emit("all", &()).unwrap(), server.sessions());
        assert_eq!(client.text().await, "primus::event:moved::[3,4]");
        assert_eq!(client.text().await, r#"primus::event:a%3Ab%20%E2%98%83::{"c":"d"}"#);
        assert_eq!(client.text().await, "primus::event:all::null");
    }
}

#[tokio::test]
async fn an_event_stream_and_bare_clients_see_events_in_their_own_way() {
    let server = Server::start(Primus::builder()).await;
    let mut stream = get("/primus/sse").open(server.address()).await;
    let mut socket = ws::Client::plain(server.address()).await;
    until("both", || server.sessions() == 2).await;
    server.emit("tick", &json!({ "a": 1 })).unwrap();
    server.write("plain").unwrap();
    assert_eq!(socket.text().await, r#"{"event":"tick","data":{"a":1}}"#);
    assert_eq!(socket.text().await, r#""plain""#);
    let mut lines = Vec::new();
    while lines.len() < 7 {
        let line = stream.line().await.unwrap();
        if !line.starts_with(':') && !line.is_empty() {
            lines.push(line.split_once(".").map_or(line.clone(), |(id, number)| {
                if id.starts_with("id: ") { format!("id {number}") } else { line.clone() }
            }));
        }
        if lines.len() == 5 {
            break;
        }
    }
    assert_eq!(lines, ["id 1", "event: tick", r#"data: {"a":1}"#, "id 2", r#"data: "plain""#]);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Chat {
    user: User,
    text: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct User {
    age: u8,
}

#[tokio::test]
async fn listeners_are_typed_and_hear_events_in_their_order_on_every_transport() {
    for transport in TRANSPORTS {
        let server = Server::start(Primus::builder()).await;
        let log = Log::default();
        let own = log.clone();
        server.on_connection(move |spark| {
            let log = own.clone();
            async move {
                let heard = log.clone();
                spark.on("chat", move |chat: Chat| {
                    let heard = heard.clone();
                    async move {
                        // However long one takes, the next waits for it.
                        tokio::time::sleep(Duration::from_millis(u64::from(chat.user.age))).await;
                        heard.say(format!("{} {}", chat.user.age, chat.text));
                    }
                })?;
                spark.on("whoami", async |spark: Spark, (): ()| {
                    spark.emit("you", &()).unwrap() == Written::Queued
                })?;
                Ok(())
            }
        });
        let mut client = Peer::connect(server.address(), transport).await;
        for (age, text) in [(40, "first"), (1, "second"), (20, "third")] {
            client
                .send(&format!(r#"primus::event:chat::{{"user":{{"age":{age}}},"text":"{text}"}}"#))
                .await;
        }
        client.send("primus::event:whoami::null").await;
        assert_eq!(client.text().await, "primus::event:you::null");
        assert_eq!(log.all(), ["40 first", "1 second", "20 third"], "{transport}");
        // Listeners alone keep a spark.
        assert_eq!(only(&server).await.state(), State::Open);
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_with_the_path_of_the_field() {
    let server = Server::start(Primus::builder()).await;
    server.on("chat", async |_: Chat| ()).unwrap();
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        let wrong = r#"{"user":{"age":"old"},"text":"x"}"#;
        client.send(&format!("primus::event:chat::{wrong}")).await;
        let told = client.text().await;
        let told: Value =
            serde_json::from_str(told.strip_prefix("primus::event:primus.error::").unwrap())
                .unwrap();
        assert_eq!((&told["event"], &told["status"]), (&json!("chat"), &json!(400)));
        let error = told["error"].as_str().unwrap();
        assert!(error.starts_with("the arguments of chat do not fit: "), "{error}");
        assert!(error.contains("user.age: invalid type: string \"old\", expected u8"), "{error}");

        let refused = client.ask(1, &format!("primus::request:1:chat::{wrong}")).await;
        let refused: Value = serde_json::from_str(&refused).unwrap();
        assert_eq!(refused, json!({ "status": 400, "error": error }));
        // And goes on.
        let fine = r#"primus::request:2:chat::{"user":{"age":7},"text":"x"}"#;
        assert_eq!(client.ask(2, fine).await, "null");
    }
}

#[tokio::test]
async fn catch_all_listeners_see_what_comes_and_what_goes() {
    let server = Server::start(Primus::builder()).await;
    let log = Log::default();
    let own = log.clone();
    server.on_connection(move |spark| {
        let log = own.clone();
        async move {
            let (into, out) = (log.clone(), log);
            spark.on_any(move |_, name, message| {
                into.say(format!("in {name} {}", message.as_text().unwrap()));
            });
            spark.on_any_outgoing(move |_, name, message| {
                out.say(format!("out {name} {}", message.as_text().unwrap()));
            });
            spark.on("a", async |n: u8| n + 1)?;
            Ok(())
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("primus::event:unheard::1").await;
    assert_eq!(client.ask(5, "primus::request:5:a::2").await, "3");
    let spark = only(&server).await;
    spark.write(&"no event").unwrap();
    spark.emit("b", &3).unwrap();
    server.emit("c", &4).unwrap();
    assert_eq!(client.text().await, r#""no event""#);
    assert_eq!(client.text().await, "primus::event:b::3");
    assert_eq!(client.text().await, "primus::event:c::4");
    assert_eq!(log.all(), ["in unheard 1", "in a 2", "out b 3", "out c 4"]);
}

#[tokio::test]
async fn reserved_and_malformed_names_are_refused_on_both_sides() {
    let server = Server::start(Primus::builder()).await;
    let mut client = Peer::connect(server.address(), "websocket").await;
    let spark = only(&server).await;
    for name in ["data", "open", "reconnect scheduled", "incoming::open", "primus.end"] {
        let reserved = NameError::Reserved(name.to_owned());
        assert_eq!(spark.on(name, async |(): ()| ()), Err(reserved.clone()));
        assert_eq!(server.on(name, async |(): ()| ()), Err(reserved.clone()));
        let emitted = spark.emit(name, &()).unwrap_err();
        assert!(matches!(emitted, WriteError::Name(name) if name == reserved));
        assert!(server.emit(name, &()).is_err());
        let error = spark.request::<()>(name, &()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the event name {name:?} is reserved; choose another one")
        );
        // A client that is not ours may send one: nobody listens.
        client
            .send(&format!("primus::event:{}::1", name.replace(':', "%3A").replace(' ', "%20")))
            .await;
    }
    for name in ["", "line\nbreak", &"x".repeat(257)] {
        assert!(matches!(spark.emit(name, &()), Err(WriteError::Name(NameError::Malformed(_)))));
    }
    spark.emit("fine", &()).unwrap();
    assert_eq!(client.text().await, "primus::event:fine::null");
}

#[tokio::test]
async fn listeners_of_all_sparks_and_of_one() {
    let server = Server::start(Primus::builder()).await;
    server.on("who", async |_: Value| "all").unwrap();
    server.on("what", async |_: Value| "common").unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    let spark = only(&server).await;
    spark.on("who", async |_: Value| "this one").unwrap();
    assert_eq!(client.ask(1, "primus::request:1:who::0").await, r#""this one""#);
    assert_eq!(client.ask(2, "primus::request:2:what::0").await, r#""common""#);
    assert!(spark.off("who") && !spark.off("who"));
    assert_eq!(client.ask(3, "primus::request:3:who::0").await, r#""all""#);
    assert!(server.off("who"));
    let refused = client.ask(4, "primus::request:4:who::0").await;
    assert_eq!(refused, r#"{"error":"nobody listens for who","status":404}"#);
}

#[tokio::test]
async fn a_reader_of_messages_and_listeners_share_a_spark() {
    let server = Server::start(Primus::builder()).await;
    let (tell, mut told) = mpsc::channel(16);
    let go_on = Arc::new(Notify::new());
    let (own, gate) = (tell.clone(), Arc::clone(&go_on));
    server.on_connection(move |mut spark| {
        let (tell, gate) = (own.clone(), Arc::clone(&gate));
        async move {
            let heard = tell.clone();
            spark.on("e", move |n: u32| {
                let heard = heard.clone();
                async move { heard.send(format!("event {n}")).await.unwrap() }
            })?;
            while let Some(message) = spark.next().await {
                tell.send(format!("data {}", message.as_text().unwrap())).await.unwrap();
                gate.notified().await;
            }
            Ok(())
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    for frame in ["1", "2", "primus::event:e::3", "primus::event:e::4"] {
        client.send(frame).await;
    }
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(soon(told.recv()).await.unwrap());
    }
    // The reader is busy with its first message; listeners do not wait for it.
    assert_eq!(heard, ["data 1", "event 3", "event 4"]);
    go_on.notify_one();
    assert_eq!(soon(told.recv()).await.unwrap(), "data 2");
}

#[tokio::test]
async fn callbacks_and_listeners_hear_things_in_the_order_in_which_they_were_sent() {
    let server = Server::start(Primus::builder()).await;
    let log = Log::default();
    let own = log.clone();
    server.on_connection(move |spark| {
        let log = own.clone();
        async move {
            let heard = log.clone();
            spark.on_data(move |_, message| heard.say(message.as_text().unwrap()));
            spark.on("e", move |n: u32| {
                let log = log.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    log.say(format!("event {n}"));
                }
            })?;
            Ok(())
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    for frame in ["1", "primus::event:e::2", "3", "primus::event:e::4", "5"] {
        client.send(frame).await;
    }
    until("all", || log.all().len() == 5).await;
    assert_eq!(log.all(), ["1", "event 2", "3", "event 4", "5"]);
}

#[tokio::test]
async fn events_pass_the_transforms_with_their_names() {
    let log = Log::default();
    let (into, out, each) = (log.clone(), log.clone(), log.clone());
    let builder: Builder = Primus::builder()
        .transform_in(move |_, message| {
            into.say(format!("in {:?}", message.event().as_deref()));
            if message.event().as_deref() == Some("dropped") { Flow::Drop } else { Flow::Pass }
        })
        .transform_out(move |message| {
            out.say(format!("out {:?}", message.event().as_deref()));
            if message.as_text() == Some("1") {
                message.replace_payload("11");
            }
            Flow::Pass
        })
        .transform_out_per_spark(move |_, message| {
            each.say(format!("each {:?}", message.event().as_deref()));
            if message.event().as_deref() == Some("secret") { Flow::Drop } else { Flow::Pass }
        });
    let server = Server::start(builder).await;
    server.on("dropped", async |_: Value| "never").unwrap();
    server.on("echo", async |value: Value| value).unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("primus::event:dropped::0").await;
    assert_eq!(client.ask(1, "primus::request:1:echo::1").await, "11");
    let spark = only(&server).await;
    assert_eq!(spark.emit("secret", &0).unwrap(), Written::Dropped);
    assert_eq!(server.emit("secret", &0).unwrap(), 0);
    assert_eq!(server.emit("public", &1).unwrap(), 1);
    assert_eq!(client.text().await, "primus::event:public::11");
    let said = log.all();
    assert_eq!(said[..2], ["in Some(\"dropped\")", "in Some(\"echo\")"]);
    assert_eq!(said[2..4], ["out None", "each None"], "an answer has no name");
}

#[tokio::test]
async fn volatile_and_conflated_events() {
    let server = Server::start(Primus::builder()).await;
    let client = Peer::connect(server.address(), "websocket").await;
    let spark = only(&server).await;
    let mut memory = client.cut();
    until("detached", || spark.state() == State::Detached).await;
    assert_eq!(spark.volatile().emit("typing", &"Ada").unwrap(), Written::Dropped);
    for price in 1..=5 {
        spark.conflate("ACME").emit("price", &price).unwrap();
    }
    spark.compress(false).emit("kept", &()).unwrap();
    assert_eq!(server.everyone().volatile().emit("typing", &"Ada").unwrap(), 0);
    let mut client = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!(client.text().await, "primus::event:price::5");
    assert_eq!(client.text().await, "primus::event:kept::null");
}

#[tokio::test]
async fn a_listener_that_fails_tells_its_client_and_nobody_what_failed() {
    let server = Server::start(Primus::builder()).await;
    server
        .on("fail", async |(): ()| -> primus::Result { Err("the password is xyzzy".into()) })
        .unwrap();
    server
        .on("no", async |(): ()| -> primus::Result {
            Err(Rejection::new(http::StatusCode::CONFLICT, json!({ "taken": true })).into())
        })
        .unwrap();
    server
        .on("bye", async |(): ()| -> primus::Result { Err(primus::CloseReason::RECONNECT.into()) })
        .unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("primus::event:fail::null").await;
    assert_eq!(
        client.text().await,
        r#"primus::event:primus.error::{"error":"the listener of fail failed","event":"fail","status":500}"#
    );
    assert_eq!(
        client.ask(1, "primus::request:1:fail::null").await,
        r#"{"error":"the listener of fail failed","status":500}"#
    );
    assert_eq!(
        client.ask(2, "primus::request:2:no::null").await,
        r#"{"error":{"taken":true},"status":409}"#
    );
    client.send("primus::event:bye::null").await;
    assert_eq!(client.rest().await.1["code"], 4001);
}

#[tokio::test]
async fn a_panic_in_a_listener_ends_its_spark_and_nothing_else() {
    let server = Server::start(Primus::builder()).await;
    server.on("panic", async |(): ()| -> primus::Result { panic!("as asked") }).unwrap();
    server.on("fine", async |(): ()| "fine").unwrap();
    let mut bad = Peer::connect(server.address(), "websocket").await;
    let mut good = Peer::connect(server.address(), "websocket").await;
    bad.send("primus::event:panic::null").await;
    assert_eq!(bad.rest().await.1["code"], 1011);
    assert_eq!(good.ask(1, "primus::request:1:fine::null").await, r#""fine""#);
}

#[tokio::test]
async fn binary_arguments_travel_on_every_transport() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let server = Server::start(Primus::builder()).await;
    let (tell, mut told) = mpsc::channel(4);
    server.on_connection(move |spark| {
        let tell = tell.clone();
        async move {
            spark.on_any(move |spark, name, message| {
                let _ = tell.try_send((name.to_owned(), message.payload().clone()));
                spark.write_message(b"primus::raw".to_vec()).unwrap();
            });
            Ok(())
        }
    });
    let frame = b"primus::event:blob::\x00\xff";
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        if transport == "websocket" {
            let mut socket = ws::Client::resumable(server.address()).await;
            socket.send_message(ws::WsMessage::Binary(frame.to_vec().into())).await;
            // What looks like a head is escaped, bytes as text.
            let back = socket.data().await.into_data();
            assert_eq!(&back[..], b"primus::data::primus::raw");
        } else {
            client.send(&format!("primus::binary::{}", STANDARD.encode(frame))).await;
            let escaped = STANDARD.encode("primus::data::primus::raw");
            assert_eq!(client.text().await, format!("primus::binary::{escaped}"));
        }
        let (name, payload) = soon(told.recv()).await.unwrap();
        assert_eq!((&*name, payload.as_bytes()), ("blob", &b"\x00\xff"[..]), "{transport}");
    }
}
