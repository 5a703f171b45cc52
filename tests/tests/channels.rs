//! Channels: sub-applications over one session.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use primus::{
    ChannelRequest, CloseReason, NameError, Primus, Rejection, RequestError, Spark, State,
};
use primus_tests::{
    peer::{Peer, TRANSPORTS},
    server::{Server, until},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Enters a channel; the id of the spark there.
async fn enter(client: &mut Peer, channel: &str, auth: Value) -> Result<String, Value> {
    let args = json!({ "channel": channel, "auth": auth });
    let answer = client.ask(1, &format!("primus::request:1:primus.open::{args}")).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    match answer["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(answer),
    }
}

#[tokio::test]
async fn a_channel_has_its_own_handler_listeners_and_sparks_on_every_transport() {
    let server = Server::start(Primus::builder()).await;
    let admin = server.channel("/admin").unwrap();
    server.on_connection(async |spark: Spark| {
        spark.on_data(|spark, message| drop(spark.write_message(message)));
        Ok(())
    });
    admin.on_connection(async |mut spark: Spark| {
        spark.on("who", async |spark: Spark, (): ()| spark.channel().name().to_owned())?;
        spark.emit("hello", &spark.channel().name().to_owned())?;
        while let Some(message) = spark.next().await {
            spark.write_message(format!("admin {}", message.as_text().unwrap()))?;
        }
        Ok(())
    });
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        let id = enter(&mut client, "/admin", Value::Null).await.unwrap();
        assert_ne!(id, client.id());
        let inside = "primus::channel:%2Fadmin::";
        assert_eq!(client.text().await, format!(r#"{inside}primus::event:hello::"/admin""#));
        let spark = admin.spark(id.parse().unwrap()).unwrap();
        assert_eq!(
            (spark.channel(), spark.root().id().to_string()),
            (admin.clone(), client.id().to_owned())
        );
        client.send("1").await;
        assert_eq!(client.text().await, "1");
        client.send(&format!("{inside}2")).await;
        assert_eq!(client.text().await, format!("{inside}primus::data::admin 2"));
        client.send(&format!("{inside}primus::request:7:who::null")).await;
        assert_eq!(client.text().await, r#"primus::reply:7::"/admin""#);
        assert_eq!(admin.emit("news", &3).unwrap(), admin.len());
        assert_eq!(client.text().await, format!("{inside}primus::event:news::3"));
        assert_eq!(admin.len(), 1);
        spark.end(CloseReason::from_code(4100, "enough"));
        assert_eq!(
            client.text().await,
            format!(r#"{inside}primus::event:primus.end::{{"code":4100,"reason":"enough"}}"#)
        );
        assert_eq!(
            (spark.state(), spark.root().state(), admin.len()),
            (State::Closed, State::Open, 0)
        );
        client.send("4").await;
        assert_eq!(client.text().await, "4", "the session goes on");
    }
}

#[tokio::test]
async fn the_server_asks_within_a_channel() {
    let server = Server::start(Primus::builder()).await;
    let channel = server.channel("c").unwrap();
    channel.on("keep", async |(): ()| ()).unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    let id = enter(&mut client, "c", Value::Null).await.unwrap();
    let spark = channel.spark(id.parse().unwrap()).unwrap();
    let asking = tokio::spawn(spark.request::<u32>("age", &()).into_future());
    let frame = client.text().await;
    let id = frame.strip_prefix("primus::channel:c::primus::request:").unwrap();
    let id = id.strip_suffix(":age::null").unwrap();
    client.send(&format!("primus::reply:{id}::5")).await;
    assert_eq!(asking.await.unwrap().unwrap(), 5);
    let asking = tokio::spawn(spark.request::<u32>("age", &()).into_future());
    client.text().await;
    client.send("primus::channel:c::primus::event:primus.end::{}").await;
    assert!(matches!(asking.await.unwrap(), Err(RequestError::Closed)), "it has left");
}

#[tokio::test]
async fn who_may_enter_is_decided_by_the_channel_and_a_refusal_touches_nothing_else() {
    let server = Server::start(Primus::builder()).await;
    server.authorize(async |_| Ok("root user".to_owned()));
    let open = server.channel("open").unwrap();
    let admin = server.channel("admin").unwrap();
    for channel in [&open, &admin] {
        channel.on("whoami", async |spark: Spark, (): ()| spark.user::<String>().cloned()).unwrap();
    }
    admin.authorize(async |request: ChannelRequest| {
        assert_eq!(request.spark.user::<String>().unwrap(), "root user");
        assert_eq!(request.channel, "admin");
        match request.auth["secret"].as_str() {
            Some("xyzzy") => Ok("admin user".to_owned()),
            Some("panic") => panic!("as asked"),
            _ => Err(Rejection::forbidden("who are you?")),
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    enter(&mut client, "open", Value::Null).await.unwrap();
    let refused = enter(&mut client, "admin", json!({ "secret": "no" })).await.unwrap_err();
    assert_eq!(refused, json!({ "status": 403, "error": "who are you?" }));
    let failed = enter(&mut client, "admin", json!({ "secret": "panic" })).await.unwrap_err();
    assert_eq!(failed["status"], 500);
    let unknown = enter(&mut client, "nowhere", Value::Null).await.unwrap_err();
    assert_eq!(unknown, json!({ "status": 404, "error": "there is no channel \"nowhere\"" }));
    // What is sent to where it is not is dropped, or refused.
    client.send("primus::channel:admin::1").await;
    client.send("primus::channel:admin::primus::request:5:whoami::null").await;
    let outside =
        r#"primus::refuse:5::{"error":"this session is not in that channel","status":404}"#;
    assert_eq!(client.text().await, outside);
    client.send("primus::channel:open::primus::request:6:whoami::null").await;
    assert_eq!(client.text().await, r#"primus::reply:6::"root user""#);
    enter(&mut client, "admin", json!({ "secret": "xyzzy" })).await.unwrap();
    client.send("primus::channel:admin::primus::request:7:whoami::null").await;
    assert_eq!(client.text().await, r#"primus::reply:7::"admin user""#);
    let twice = enter(&mut client, "admin", json!({ "secret": "xyzzy" })).await.unwrap_err();
    assert_eq!(twice["status"], 409);
}

#[tokio::test]
async fn rooms_belong_to_their_channel() {
    let server = Server::start(Primus::builder()).await;
    let (one, two) = (server.channel("one").unwrap(), server.channel("two").unwrap());
    for channel in [&one, &two] {
        channel.on_connection(async |spark: Spark| {
            spark.join("r")?;
            spark.on_data(|_, _| ());
            Ok(())
        });
        channel.authorize_join(async |_: Spark, _: String| Ok(()));
    }
    let mut client = Peer::connect(server.address(), "websocket").await;
    enter(&mut client, "one", Value::Null).await.unwrap();
    enter(&mut client, "two", Value::Null).await.unwrap();
    until("both", || one.room("r").len() + two.room("r").len() == 2).await;
    assert_eq!(server.room("r").write(&"root").unwrap(), 0);
    assert_eq!(one.room("r").write(&1).unwrap(), 1);
    assert_eq!(two.room("r").emit("e", &2).unwrap(), 1);
    assert_eq!(client.text().await, "primus::channel:one::primus::data::1");
    assert_eq!(client.text().await, "primus::channel:two::primus::event:e::2");
    client.send(r#"primus::channel:one::primus::request:3:primus.subscribe::{"room":"s"}"#).await;
    assert_eq!(client.text().await, "primus::reply:3::{}");
    assert_eq!((one.room("s").len(), two.room("s").len(), server.room("s").len()), (1, 0, 0));
    one.room("s").write(&4).unwrap();
    assert_eq!(client.text().await, "primus::channel:one::primus::room:s::primus::data::4");
}

#[tokio::test]
async fn channels_of_a_pattern_are_made_as_they_are_asked_for_and_go_with_their_last_spark() {
    let server = Server::start(Primus::builder()).await;
    let documents = server.channels("/doc/*").unwrap();
    documents.on("name", async |spark: Spark, (): ()| spark.channel().name().to_owned()).unwrap();
    let mut clients = Vec::new();
    for name in ["/doc/1", "/doc/2", "/doc/1"] {
        let mut client = Peer::connect(server.address(), "websocket").await;
        enter(&mut client, name, Value::Null).await.unwrap();
        let head = format!("primus::channel:{}::", name.replace('/', "%2F"));
        client.send(&format!("{head}primus::request:9:name::null")).await;
        assert_eq!(client.text().await, format!("primus::reply:9::\"{name}\""));
        clients.push(client);
    }
    let one = server.channel("/doc/1").unwrap();
    until("two", || one.len() == 2).await;
    assert_eq!(server.channel("/doc/2").unwrap().len(), 1);
    let refused = enter(&mut clients[0], "/doc/", Value::Null).await.unwrap_err();
    assert_eq!(refused["status"], 404);
    for client in &mut clients {
        client.send("primus::end::").await;
    }
    until("empty", || one.is_empty()).await;
    until("made anew", || server.channel("/doc/1").unwrap() != one).await;
    assert!(matches!(server.channel(""), Err(NameError::Malformed(_))));
}

#[tokio::test]
async fn a_channel_ends_with_its_session_and_tells() {
    let server = Server::start(Primus::builder()).await;
    let channel = server.channel("c").unwrap();
    let log = Arc::<Mutex<Vec<String>>>::default();
    let (ended, callback) = (Arc::clone(&log), Arc::clone(&log));
    channel.on_connection(move |spark: Spark| {
        let log = Arc::clone(&callback);
        async move {
            spark.on_data(|_, _| ());
            spark.on_end(move |_, reason| {
                log.lock().unwrap().push(format!("end {}", reason.code()))
            });
            Ok(())
        }
    });
    channel.on_disconnection(move |spark, reason| {
        let line = format!(
            "{} {} {}",
            spark.channel().name(),
            reason.code(),
            spark.state() == State::Closed
        );
        ended.lock().unwrap().push(line);
        async {}
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    enter(&mut client, "c", Value::Null).await.unwrap();
    until("in", || channel.len() == 1).await;
    client.send("primus::end::").await;
    until("told", || log.lock().unwrap().len() == 2).await;
    assert_eq!(*log.lock().unwrap(), ["end 1000", "c 1000 true"]);
    assert_eq!(channel.len(), 0);

    let mut client = Peer::connect(server.address(), "websocket").await;
    enter(&mut client, "c", Value::Null).await.unwrap();
    client.send("primus::channel:c::primus::event:primus.end::{}").await;
    until("told", || log.lock().unwrap().len() == 4).await;
    assert_eq!(log.lock().unwrap()[2..], ["end 1000", "c 1000 true"]);
}

#[tokio::test]
async fn a_handler_of_a_channel_that_fails_ends_its_spark_there_alone() {
    let server = Server::start(Primus::builder()).await;
    server.channel("error").unwrap().on_connection(async |_| Err("no".into()));
    server.channel("panic").unwrap().on_connection(async |_| panic!("as asked"));
    server.channel("return").unwrap().on_connection(async |_| Ok(()));
    let mut client = Peer::connect(server.address(), "websocket").await;
    for (name, code, reason) in [
        ("error", 1011, "handler failed"),
        ("panic", 1011, "handler failed"),
        ("return", 4000, "ended"),
    ] {
        enter(&mut client, name, Value::Null).await.unwrap();
        let said = json!({ "code": code, "reason": reason });
        assert_eq!(
            client.text().await,
            format!("primus::channel:{name}::primus::event:primus.end::{said}")
        );
    }
    assert_eq!(server.sessions(), 1);
}

#[tokio::test]
async fn a_channel_survives_with_its_session_and_loses_nothing() {
    let server = Server::start(Primus::builder()).await;
    let channel = server.channel("c").unwrap();
    let (tell, mut told) = mpsc::channel(8);
    channel.on_connection(move |mut spark: Spark| {
        let tell = tell.clone();
        async move {
            while let Some(message) = spark.next().await {
                tell.send(message.decode::<u32>()?).await?;
            }
            Ok(())
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    let id = enter(&mut client, "c", Value::Null).await.unwrap();
    let spark = channel.spark(id.parse().unwrap()).unwrap();
    client.send("primus::channel:c::1").await;
    assert_eq!(told.recv().await, Some(1));
    let mut memory = client.cut();
    until("detached", || spark.state() == State::Detached).await;
    spark.write(&2).unwrap();
    let mut client = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(client.text().await, "primus::channel:c::primus::data::2");
    client.send("primus::channel:c::3").await;
    assert_eq!(told.recv().await, Some(3));
}

#[tokio::test]
async fn a_slow_channel_holds_its_own_client_up_and_nothing_is_lost() {
    let server = Server::start(Primus::builder().inbox_messages(8)).await;
    let channel = server.channel("c").unwrap();
    let (tell, mut told) = mpsc::channel(1);
    channel.on_connection(move |mut spark: Spark| {
        let tell = tell.clone();
        async move {
            while let Some(message) = spark.next().await {
                tokio::time::sleep(Duration::from_micros(200)).await;
                tell.send(message.decode::<u32>()?).await?;
            }
            Ok(())
        }
    });
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        enter(&mut client, "c", Value::Null).await.unwrap();
        let reading = async {
            for number in 0..100 {
                assert_eq!(told.recv().await, Some(number), "{transport}");
            }
        };
        let sending = async {
            for number in 0..100 {
                client.send(&format!("primus::channel:c::{number}")).await;
            }
        };
        tokio::join!(reading, sending);
    }
}

#[tokio::test]
async fn channels_of_a_session_are_bounded() {
    let server = Server::start(Primus::builder().max_channels(2)).await;
    server.channels("*").unwrap().on("keep", async |(): ()| ()).unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    enter(&mut client, "a", Value::Null).await.unwrap();
    enter(&mut client, "b", Value::Null).await.unwrap();
    let refused = enter(&mut client, "c", Value::Null).await.unwrap_err();
    let error = "this session is in too many channels (max_channels)";
    assert_eq!(refused, json!({ "status": 409, "error": error }));
}

#[tokio::test]
async fn what_one_channel_of_a_pattern_is_given_the_others_do_not_have() {
    let server = Server::start(Primus::builder()).await;
    let documents = server.channels("/doc/*").unwrap();
    documents.on("keep", async |(): ()| ()).unwrap();
    documents.authorize(async |_: ChannelRequest| -> Result<(), Rejection> {
        Err(Rejection::forbidden("not this one"))
    });
    server.channel("/doc/public").unwrap().authorize(async |_: ChannelRequest| Ok(()));
    let mut client = Peer::connect(server.address(), "websocket").await;
    enter(&mut client, "/doc/public", Value::Null).await.unwrap();
    let refused = enter(&mut client, "/doc/private", Value::Null).await.unwrap_err();
    assert_eq!(refused, json!({ "status": 403, "error": "not this one" }));
    // Nor does a refusal leave a channel behind that nobody is in.
    assert_eq!(server.channel("/doc/public").unwrap().len(), 1);
}

#[tokio::test]
async fn only_a_server_says_to_which_rooms_a_message_was_sent() {
    let server = Server::start(Primus::builder()).await;
    for transport in ["websocket", "sse"] {
        let mut client = Peer::connect(server.address(), transport).await;
        if transport == "websocket" {
            client.send("primus::room:admins::primus::event:x::1").await;
            assert_eq!(client.rest().await.1["code"], 4400);
        } else {
            let call = primus_tests::http::post("/primus/send?v=2", "primus::room:a::1");
            let answer = call.header("primus-token", client.token()).send(server.address()).await;
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
    }
}
