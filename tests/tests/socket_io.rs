//! Socket.IO over the machine that all clients share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use primus::{AuthorizeRequest, Builder, CloseReason, Rejection, Spark, State, core::parser::Args};
use primus_tests::{
    http,
    server::{Server, until},
    ws,
};
use serde_json::{Value, json};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

fn builder() -> Builder {
    Builder::new().path("/socket.io").transformers(["socket.io"]).engine_io_3(true)
}

/// A WebSocket that has said hello to Engine.IO.
async fn socket(server: &Server, path: &str) -> ws::Client {
    let mut client = ws::Client::open(server.address(), path, &[]).await.expect("welcome");
    assert!(client.text().await.starts_with("0{"));
    client
}

/// One that is in the root.
async fn joined(server: &Server) -> ws::Client {
    let mut client = socket(server, PATH).await;
    client.send("40").await;
    assert!(client.text().await.starts_with("40{\"sid\":"));
    client
}

/// The value of a member of the JSON behind `head`.
fn member(text: &str, head: &str, name: &str) -> String {
    let json = text.strip_prefix(head).unwrap_or_else(|| panic!("{text}"));
    let json: Value = serde_json::from_str(json).expect("JSON");
    json[name].as_str().unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test]
async fn a_broadcast_is_encoded_once_for_all_clients_of_socket_io() {
    let server = Server::echo(builder()).await;
    let mut clients = join_all((0..5).map(|_| joined(&server))).await;
    let older = "/socket.io/?EIO=3&transport=websocket";
    let mut older = join_all((0..3).map(|_| socket(&server, older))).await;
    for client in &mut older {
        assert_eq!(client.text().await, "40");
    }
    until("all are there", || server.connected() == 8).await;
    let before = (server.frame_counters().encoded(), server.frame_counters().framed());
    assert_eq!(server.root().emit("tick", &Args((1, "two"))).unwrap(), 8);
    for client in clients.iter_mut().chain(&mut older) {
        assert_eq!(client.text().await, r#"42["tick",1,"two"]"#);
    }
    let counters = server.frame_counters();
    assert_eq!((counters.encoded() - before.0, counters.framed() - before.1), (1, 2));

    // A packet and its attachment are one frame for all, too, and stay together.
    assert_eq!(server.root().emit("pic", &Bytes::from_static(&[1, 2])).unwrap(), 8);
    assert_eq!(server.write(&"next").unwrap(), 8);
    for (client, typed) in
        clients.iter_mut().map(|it| (it, false)).chain(older.iter_mut().map(|it| (it, true)))
    {
        assert_eq!(client.text().await, r#"451-["pic",{"_placeholder":true,"num":0}]"#);
        let bytes: &[u8] = if typed { &[4, 1, 2] } else { &[1, 2] };
        assert_eq!(client.data().await.into_data(), bytes);
        assert_eq!(client.text().await, r#"42["message","next"]"#);
    }
    assert_eq!(server.frame_counters().framed() - before.1, 6);
}

#[tokio::test]
async fn the_handler_of_the_root_begins_when_its_client_comes_there() {
    let server = Server::start(builder()).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let counts = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        move || count.fetch_add(1, Ordering::Relaxed)
    };
    let begin = counts(&begun);
    server.on_connection(move |mut spark: Spark| {
        begin();
        async move {
            spark.emit("hello", &())?;
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let end = counts(&ended);
    server.on_disconnection(move |_, _| {
        end();
        async {}
    });
    let news = server.channel("news").unwrap();
    news.on_connection(async |mut spark: Spark| {
        spark.emit("paper", &())?;
        while spark.next().await.is_some() {}
        Ok(())
    });

    // Only there: nobody hears of the root, which does not hear of it either.
    let mut client = socket(&server, PATH).await;
    client.send("40/news,").await;
    assert!(client.text().await.starts_with("40/news,{\"sid\":"));
    assert_eq!(client.text().await, r#"42/news,["paper"]"#);
    server.root().emit("not for it", &1).unwrap();
    news.emit("for it", &2).unwrap();
    assert_eq!(client.text().await, r#"42/news,["for it",2]"#);
    assert_eq!(begun.load(Ordering::Relaxed), 0);
    drop(client);
    until("it is gone", || server.connected() == 0 && news.is_empty()).await;
    assert_eq!(ended.load(Ordering::Relaxed), 0);

    // And there later.
    let mut client = socket(&server, PATH).await;
    client.send("40/news,").await;
    client.text().await;
    client.text().await;
    client.send("40").await;
    assert!(client.text().await.starts_with("40{\"sid\":"));
    assert_eq!(client.text().await, r#"42["hello"]"#);
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    client.send("41/news,").await;
    until("it has left", || news.is_empty()).await;
    client.send("41").await;
    until("it is over", || ended.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn authorize_knows_the_auth_and_a_refusal_is_a_connect_error_with_data() {
    let server = Server::start(builder()).await;
    server.authorize(async |request: AuthorizeRequest| match request.auth["token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => Err(Rejection::unauthorized(json!({ "message": "who?", "data": { "code": 7 } }))),
    });
    server.on_connection(async |mut spark: Spark| {
        spark.emit("you", spark.user::<String>().expect("a user"))?;
        while spark.next().await.is_some() {}
        Ok(())
    });
    let mut client = socket(&server, PATH).await;
    client.send("40").await;
    assert_eq!(client.text().await, r#"44{"data":{"code":7},"message":"who?"}"#);
    client.send(r#"40{"token":"Ada"}"#).await;
    assert!(client.text().await.starts_with("40{"));
    assert_eq!(client.text().await, r#"42["you","Ada"]"#);
    // Older ones have no auth for the root.
    let mut older = socket(&server, "/socket.io/?EIO=3&transport=websocket").await;
    assert_eq!(older.text().await, r#"44{"code":7}"#);
}

#[tokio::test]
async fn who_comes_back_has_its_rooms_and_misses_nothing_and_no_stranger_does() {
    let server = Server::start(builder().socket_io_recovery(true)).await;
    let kept = Arc::new(std::sync::Mutex::new(None::<Spark>));
    let keep = Arc::clone(&kept);
    server.on_connection(move |mut spark: Spark| {
        *keep.lock().unwrap() = Some(spark.clone());
        async move {
            spark.join("blue")?;
            spark.emit("first", &())?;
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = socket(&server, PATH).await;
    client.send("40").await;
    let connected = client.text().await;
    let (sid, pid) = (member(&connected, "40", "sid"), member(&connected, "40", "pid"));
    assert_eq!(client.text().await, r#"42["first","n1"]"#);
    let spark = kept.lock().unwrap().clone().expect("a spark");
    for round in 0..3 {
        drop(client);
        until("it is away", || spark.state() == State::Detached).await;
        // The strangers before are there, too.
        assert_eq!(server.root().room("blue").emit("room", &round).unwrap(), 1 + round);
        spark.emit("own", &round).unwrap();
        // Somebody who guesses gets a session of his own, and leaves this one alone.
        let mut stranger = socket(&server, PATH).await;
        stranger.send(r#"40{"pid":"AAAAAAAAAAAAAAAAAAAAAA","offset":"n1"}"#).await;
        assert_ne!(member(&stranger.text().await, "40", "sid"), sid);
        assert_eq!(spark.state(), State::Detached);

        client = socket(&server, PATH).await;
        let offset = if round == 0 { 1 } else { 2 * round + 1 };
        client.send(format!(r#"40{{"pid":"{pid}","offset":"n{offset}"}}"#)).await;
        let connected = client.text().await;
        assert_eq!(
            (member(&connected, "40", "sid"), member(&connected, "40", "pid")),
            (sid.clone(), pid.clone())
        );
        let missed = client.text().await;
        assert!(missed.starts_with(&format!("42[\"room\",{round},\"s")), "{missed}");
        assert_eq!(client.text().await, format!(r#"42["own",{round},"n{}"]"#, 2 * round + 3));
    }
    assert_eq!(spark.id().to_string(), sid);
}

#[tokio::test]
async fn the_end_of_a_session_says_so_and_a_reconnect_does_not() {
    let server = Server::start(builder()).await;
    server.on("stop", async |spark: Spark, (): ()| spark.end(CloseReason::ENDED)).unwrap();
    server.on("again", async |spark: Spark, (): ()| spark.reconnect()).unwrap();
    let mut client = joined(&server).await;
    client.send(r#"42["stop"]"#).await;
    assert_eq!(client.text().await, "41");
    let mut client = joined(&server).await;
    client.send(r#"42["again"]"#).await;
    assert_eq!(client.close_code().await, 4001);
}

#[tokio::test]
async fn a_client_comes_into_rooms_where_authorize_join_lets_it() {
    let server = Server::start(builder()).await;
    server.root().authorize_join(async |_: Spark, room: String| match &*room {
        "open" => Ok(()),
        _ => Err(Rejection::forbidden("closed")),
    });
    server.on("x", async |(): ()| ()).unwrap();
    let mut client = joined(&server).await;
    client.send(r#"420["primus.subscribe",{"room":"open"}]"#).await;
    assert_eq!(client.text().await, "430[{}]");
    client.send(r#"421["primus.subscribe",{"room":"shut"}]"#).await;
    assert_eq!(client.text().await, r#"431[{"error":"closed","status":403}]"#);
    assert_eq!(server.room("open").emit("news", &1).unwrap(), 1);
    assert_eq!(client.text().await, r#"42["news",1]"#);
    client.send(r#"422["primus.unsubscribe",{"room":"open"}]"#).await;
    assert_eq!(client.text().await, "432[{}]");
    assert_eq!(server.room("open").emit("news", &2).unwrap(), 0);
}

#[tokio::test]
async fn beside_our_own_carriers_one_handler_has_both_and_the_script_is_there() {
    let transformers = ["websocket", "sse", "polling", "socket.io"];
    let server = Server::echo(Builder::new().transformers(transformers)).await;
    let script = http::get("/primus/primus.js").send(server.address()).await;
    assert_eq!(script.status, 200);
    let mut stock = socket(&server, "/primus/?EIO=4&transport=websocket").await;
    stock.send("40").await;
    assert!(stock.text().await.starts_with("40{"));
    let mut plain = ws::Client::open(server.address(), "/primus", &[]).await.expect("welcome");
    until("both are there", || server.connected() == 2).await;
    assert_eq!(server.write(&[1]).unwrap(), 2);
    assert_eq!(stock.text().await, r#"42["message",[1]]"#);
    assert_eq!(plain.text().await, "[1]");
    let poll = http::get("/primus/?EIO=4&transport=polling").send(server.address()).await;
    assert!(poll.text().starts_with("0{"));
}

#[tokio::test]
async fn volatile_messages_are_dropped_where_they_would_wait_and_acks_wait_for_their_time() {
    let server = Server::start(builder().socket_io_recovery(true)).await;
    let kept = Arc::new(std::sync::Mutex::new(None::<Spark>));
    let keep = Arc::clone(&kept);
    server.on_connection(move |mut spark: Spark| {
        *keep.lock().unwrap() = Some(spark.clone());
        async move {
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = socket(&server, PATH).await;
    client.send("40").await;
    let pid = member(&client.text().await, "40", "pid");
    until("the handler runs", || kept.lock().unwrap().is_some()).await;
    let spark = kept.lock().unwrap().clone().expect("a spark");
    let answer = spark.request::<Value>("name", &()).timeout(Duration::from_millis(50)).await;
    assert!(matches!(answer, Err(primus::RequestError::Timeout)));
    assert!(client.text().await.ends_with(r#"["name"]"#));
    drop(client);
    until("it is away", || spark.state() == State::Detached).await;
    assert_eq!(spark.volatile().emit("mouse", &1).unwrap(), primus::Written::Dropped);
    spark.emit("kept", "x").unwrap();
    // It has had no event, and so it has no offset; what it was asked before is not asked again.
    let mut client = socket(&server, PATH).await;
    client.send(format!(r#"40{{"pid":"{pid}"}}"#)).await;
    assert_eq!(member(&client.text().await, "40", "pid"), pid);
    assert_eq!(client.text().await, r#"42["kept","x","n2"]"#);
}
