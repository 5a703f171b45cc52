//! Rooms: who is in them, and who gets what is said there.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use primus::{CloseReason, JoinError, Keep, Mount, Primus, Rejection, Spark, State};
use primus_tests::{
    http::get,
    peer::{Peer, TRANSPORTS},
    server::{Server, until},
    ws,
};
use serde_json::json;

fn spark_of(server: &Server, client: &Peer) -> Spark {
    server.spark(client.id().parse().unwrap()).unwrap()
}

async fn client(server: &Server, rooms: &[&str]) -> (Peer, Spark) {
    let client = Peer::connect(server.address(), "websocket").await;
    let spark = spark_of(server, &client);
    for room in rooms {
        spark.join(room).unwrap();
    }
    (client, spark)
}

fn names(spark: &Spark) -> BTreeSet<String> {
    spark.rooms().iter().map(|room| room.to_string()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_spark_joins_and_leaves_and_knows_its_rooms() {
    let server = Server::start(Primus::builder()).await;
    let (_client, spark) = client(&server, &["a", "b", "a"]).await;
    assert_eq!(names(&spark), set(&["a", "b"]));
    assert!(spark.is_in("a") && !spark.is_in("c"));
    assert_eq!((server.room("a").len(), server.room("c").len()), (1, 0));
    assert!(spark.leave("a") && !spark.leave("a"));
    assert_eq!(names(&spark), set(&["b"]));
    spark.join("c").unwrap();
    spark.leave_all();
    assert_eq!(names(&spark), set(&[]));
    assert!(server.room("b").is_empty());
    assert_eq!(server.root().rooms_by_name().len(), 0, "empty rooms are gone");
    for bad in ["", "a\nb", &"x".repeat(257)] {
        assert!(matches!(spark.join(bad), Err(JoinError::Name(_))), "{bad:.10}");
    }
}

#[tokio::test]
async fn a_union_of_rooms_reaches_each_once_and_is_encoded_once() {
    let server = Server::start(Primus::builder()).await;
    let (mut a, spark_a) = client(&server, &["a"]).await;
    let (mut b, _) = client(&server, &["b"]).await;
    let (mut both, _) = client(&server, &["a", "b"]).await;
    let (mut none, spark_none) = client(&server, &[]).await;
    let before = (server.frame_counters().encoded(), server.frame_counters().framed());
    assert_eq!(server.room("a").room("b").write(&1).unwrap(), 3);
    assert_eq!(server.room("a").room("b").except(&spark_a).emit("e", &2).unwrap(), 2);
    assert_eq!(server.room("a").write_message("3"), 2);
    assert_eq!(server.room("nobody").write(&4).unwrap(), 0);
    spark_none.write(&"last").unwrap();
    for (client, expected) in [
        (&mut a, vec!["1", "3"]),
        (&mut b, vec!["1", "primus::event:e::2"]),
        (&mut both, vec!["1", "primus::event:e::2", "3"]),
        (&mut none, vec!["\"last\""]),
    ] {
        for expected in expected {
            assert_eq!(client.text().await, expected);
        }
    }
    // Two values, and a payload that is encoded already; a frame of each for all.
    let counters = server.frame_counters();
    assert_eq!((counters.encoded() - before.0, counters.framed() - before.1), (2, 3));
    assert_eq!(server.room("a").room("b").len(), 3);
    let all: BTreeSet<_> =
        server.room("a").room("b").sparks().iter().map(|spark| spark.id().to_string()).collect();
    assert_eq!(all, set(&[a.id(), b.id(), both.id()]));
}

#[tokio::test]
async fn an_event_is_passed_on_as_it_came() {
    let server = Server::start(Primus::builder()).await;
    let (mut a, _) = client(&server, &["a"]).await;
    assert_eq!(server.room("a").emit_message("e", r#"{"b" : 1}"#).unwrap(), 1);
    assert!(server.room("a").emit_message("primus.e", "1").is_err());
    assert_eq!(a.text().await, r#"primus::event:e::{"b" : 1}"#);
}

#[tokio::test]
async fn all_but_a_list_and_those_of_a_filter() {
    let server = Server::start(Primus::builder()).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(client(&server, &["r"]).await);
    }
    let ids: Vec<_> = clients.iter().map(|(_, spark)| spark.id()).collect();
    assert_eq!(server.room("r").except_all([ids[0], ids[1]]).write(&1).unwrap(), 3);
    let wanted = ids[2];
    assert_eq!(server.room("r").filter(move |spark| spark.id() == wanted).write(&2).unwrap(), 1);
    let only = ids[3];
    let everyone = server.everyone().filter(move |spark| spark.id() != only);
    assert_eq!(everyone.except(&clients[0].1).write(&3).unwrap(), 3);
    server.write(&0).unwrap();
    for (index, expected) in
        [&[0][..], &[3, 0], &[1, 2, 3, 0], &[1, 0], &[1, 3, 0]].iter().enumerate()
    {
        for expected in *expected {
            assert_eq!(clients[index].0.text().await, expected.to_string(), "{index}");
        }
    }
}

#[tokio::test]
async fn selections_are_moved_and_ended() {
    let server = Server::start(Primus::builder()).await;
    let (mut one, spark) = client(&server, &["a"]).await;
    let (mut two, _) = client(&server, &["a", "b"]).await;
    assert_eq!(server.room("a").join_all("c").unwrap(), 2);
    assert_eq!(server.room("c").len(), 2);
    assert!(server.room("a").join_all("").is_err());
    assert_eq!(server.room("a").leave_all("b"), 1);
    assert_eq!(server.room("c").except(&spark).end_all(&CloseReason::from_code(4100, "go")), 1);
    assert_eq!(two.rest().await.1["code"], 4100);
    until("left", || server.room("c").len() == 1).await;
    assert_eq!(server.room("a").end_all(&CloseReason::ENDED), 1);
    assert_eq!(one.rest().await.1["code"], 4000);
}

#[tokio::test]
async fn joins_and_leaves_are_told_also_at_the_end() {
    let server = Server::start(Primus::builder()).await;
    let log = Arc::<Mutex<Vec<String>>>::default();
    let (joined, left) = (Arc::clone(&log), Arc::clone(&log));
    server.root().on_join(move |_, room| joined.lock().unwrap().push(format!("+{room}")));
    server.root().on_leave(move |_, room| left.lock().unwrap().push(format!("-{room}")));
    let (mut client, spark) = client(&server, &["a", "a", "b"]).await;
    spark.leave("a");
    spark.leave("a");
    spark.end(CloseReason::ENDED);
    client.rest().await;
    until("over", || spark.state() == State::Closed).await;
    until("left", || log.lock().unwrap().len() == 4).await;
    assert_eq!(*log.lock().unwrap(), ["+a", "+b", "-a", "-b"]);
    assert_eq!(spark.join("c"), Err(JoinError::Ended));
    assert_eq!(names(&spark), set(&["b"]), "those that it was in");
}

#[tokio::test]
async fn a_membership_survives_the_loss_of_the_connection() {
    let server = Server::start(Primus::builder()).await;
    let (client, spark) = client(&server, &["a"]).await;
    let mut memory = client.cut();
    until("detached", || spark.state() == State::Detached).await;
    assert_eq!(server.room("a").write(&"kept").unwrap(), 1);
    let mut client = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(client.text().await, "\"kept\"");
    assert!(spark.is_in("a"));
    server.room("a").write(&"live").unwrap();
    assert_eq!(client.text().await, "\"live\"");
}

#[tokio::test]
async fn a_room_name_is_a_room_name() {
    let server = Server::start(Primus::builder()).await;
    let (_client, _) = client(&server, &["a.*", "*"]).await;
    let (_other, _) = client(&server, &["a.b"]).await;
    for (room, len) in [("a.*", 1), ("*", 1), ("a.b", 1), ("a.c", 0), ("", 0)] {
        assert_eq!(server.room(room).len(), len, "{room}");
    }
}

#[tokio::test]
async fn a_room_spans_the_mounts_and_each_parser_encodes_once() {
    let mount = Mount::new().transformers(["websocket"]).parser("raw");
    let server = Server::start(Primus::builder().mount("/raw", mount)).await;
    let (mut json, _) = client(&server, &["r"]).await;
    let mut raw = Peer::open(server.address(), "websocket", "/raw", json!(null)).await.unwrap();
    spark_of(&server, &raw).join("r").unwrap();
    let encoded = server.frame_counters().encoded();
    assert_eq!(server.room("r").emit("e", "text").unwrap(), 2);
    assert_eq!(server.frame_counters().encoded() - encoded, 2);
    assert_eq!(json.text().await, "primus::event:e::\"text\"");
    assert_eq!(raw.text().await, "primus::event:e::text");
    assert_eq!(server.mount("/raw").unwrap().room("r").emit("only", "raw").unwrap(), 1);
    assert_eq!(raw.text().await, "primus::event:only::raw");
}

#[tokio::test]
async fn a_write_to_a_small_room_touches_its_members_only() {
    let server = Server::start(Primus::builder()).await;
    let mut clients = Vec::new();
    for index in 0..60 {
        clients.push(client(&server, if index < 10 { &["small"] } else { &[] }).await);
    }
    let asked = Arc::<Mutex<usize>>::default();
    let count = Arc::clone(&asked);
    let small = server.room("small").filter(move |_| {
        *count.lock().unwrap() += 1;
        true
    });
    assert_eq!(small.write(&1).unwrap(), 10);
    assert_eq!(*asked.lock().unwrap(), 10);
}

// ---- clients that join by themselves ----

fn open_prices(server: &Server) {
    server.root().authorize_join(async |_: Spark, room: String| {
        match room.starts_with("prices.") {
            true => Ok(()),
            false => Err(Rejection::forbidden("there are only prices here")),
        }
    });
}

#[tokio::test]
async fn a_client_subscribes_where_it_may_on_every_transport() {
    let server = Server::start(Primus::builder()).await;
    let mut early = Peer::connect(server.address(), "websocket").await;
    let refused = early.ask(1, r#"primus::request:1:primus.subscribe::{"room":"x"}"#).await;
    let nobody = "no room is open to clients here; the application sets authorize_join";
    assert_eq!(refused, json!({ "error": nobody, "status": 403 }).to_string());

    open_prices(&server);
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        let spark = spark_of(&server, &client);
        let refused =
            client.ask(1, r#"primus::request:1:primus.subscribe::{"room":"secrets"}"#).await;
        assert_eq!(refused, r#"{"error":"there are only prices here","status":403}"#);
        let room = r#"{"room":"prices.ACME"}"#;
        assert_eq!(
            client.ask(2, &format!("primus::request:2:primus.subscribe::{room}")).await,
            "{}"
        );
        assert_eq!(names(&spark), set(&["prices.ACME"]));
        server.room("prices.ACME").write(&101.5).unwrap();
        server.room("prices.ACME").emit("tick", &1).unwrap();
        server.room("prices.ACME").room("other").emit("tick", &2).unwrap();
        spark.write(&"plain").unwrap();
        for expected in [
            "primus::room:prices.ACME::primus::data::101.5",
            "primus::room:prices.ACME::primus::event:tick::1",
            "primus::room:prices.ACME::primus::event:tick::2",
            "\"plain\"",
        ] {
            assert_eq!(client.text().await, expected, "{transport}");
        }
        let unsubscribe = format!("primus::request:3:primus.unsubscribe::{room}");
        assert_eq!(client.ask(3, &unsubscribe).await, "{}");
        assert_eq!((names(&spark), server.room("prices.ACME").len()), (set(&[]), 0));
    }
}

#[tokio::test]
async fn what_the_application_joined_a_client_does_not_leave() {
    let server = Server::start(Primus::builder()).await;
    open_prices(&server);
    let (mut client, spark) = client(&server, &["prices.A"]).await;
    let room = r#"{"room":"prices.A"}"#;
    assert_eq!(client.ask(1, &format!("primus::request:1:primus.subscribe::{room}")).await, "{}");
    assert_eq!(client.ask(2, &format!("primus::request:2:primus.unsubscribe::{room}")).await, "{}");
    assert!(spark.is_in("prices.A"));
    server.room("prices.A").write(&1).unwrap();
    assert_eq!(client.text().await, "1", "nobody subscribes, so nothing is said of the room");
}

#[tokio::test]
async fn subscribe_and_unsubscribe_keep_their_order() {
    let server = Server::start(Primus::builder()).await;
    server.root().authorize_join(async |_: Spark, _: String| {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Ok(())
    });
    let (mut client, spark) = client(&server, &[]).await;
    for (id, what) in [(1, "subscribe"), (2, "unsubscribe"), (3, "subscribe"), (4, "unsubscribe")] {
        client.send(&format!(r#"primus::request:{id}:primus.{what}::{{"room":"r"}}"#)).await;
    }
    for id in 1..=4 {
        assert_eq!(client.text().await, format!("primus::reply:{id}::{{}}"));
    }
    assert!(!spark.is_in("r"));
}

#[tokio::test]
async fn bad_and_too_many_subscriptions_are_refused() {
    let server = Server::start(Primus::builder().max_subscriptions(2)).await;
    server.root().authorize_join(async |_: Spark, _: String| Ok(()));
    let (mut client, spark) = client(&server, &[]).await;
    for (args, status) in [
        ("[]", 400),
        ("{}", 400),
        (r#"{"room":7}"#, 400),
        (r#"{"room":""}"#, 400),
        (r#"{"room":"a","since":1}"#, 400),
        (r#"{"room":"a","last":-1}"#, 400),
        ("{", 400),
    ] {
        let refused = client.ask(1, &format!("primus::request:1:primus.subscribe::{args}")).await;
        let refused: serde_json::Value = serde_json::from_str(&refused).unwrap();
        assert_eq!(refused["status"], status, "{args}: {refused}");
    }
    let long = format!(r#"{{"room":"{}"}}"#, "x".repeat(20_000));
    let refused = client.ask(1, &format!("primus::request:1:primus.subscribe::{long}")).await;
    assert_eq!(refused, r#"{"error":"the arguments are over 8192 bytes","status":400}"#);
    let refused = client.ask(1, "primus::request:1:primus.conquer::{}").await;
    assert_eq!(refused, r#"{"error":"there is no request primus.conquer","status":404}"#);
    for room in ["a", "b"] {
        let ask = format!(r#"primus::request:1:primus.subscribe::{{"room":"{room}"}}"#);
        assert_eq!(client.ask(1, &ask).await, "{}");
    }
    let refused = client.ask(1, r#"primus::request:1:primus.subscribe::{"room":"c"}"#).await;
    let error = "this client subscribed to too many rooms (max_subscriptions)";
    assert_eq!(refused, json!({ "error": error, "status": 429 }).to_string());
    // One that it has already costs nothing more.
    assert_eq!(client.ask(1, r#"primus::request:1:primus.subscribe::{"room":"a"}"#).await, "{}");
    assert_eq!(names(&spark), set(&["a", "b"]));
}

#[tokio::test]
async fn a_bare_event_stream_subscribes_by_its_url() {
    let server = Server::start(Primus::builder()).await;
    open_prices(&server);
    let refused = get("/primus/sse?subscribe=secrets").send(server.address()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error()),
        (403, "there are only prices here".to_owned())
    );
    until("nobody", || server.sessions() == 0).await;

    let mut stream = get("/primus?subscribe=prices.A&subscribe=prices.B")
        .header("accept", "text/event-stream")
        .open(server.address())
        .await;
    until("both rooms", || server.room("prices.B").len() == 1).await;
    assert_eq!(server.room("prices.A").emit("tick", &json!({ "p": 1 })).unwrap(), 1);
    assert_eq!(server.room("prices.B").write(&2).unwrap(), 1);
    assert_eq!(server.room("prices.C").write(&3).unwrap(), 0);
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let line = stream.line().await.unwrap();
        if line.starts_with("event:") || line.starts_with("data:") {
            lines.push(line);
        }
    }
    assert_eq!(lines, ["event: tick", r#"data: {"p":1}"#, "data: 2"]);
}

#[tokio::test]
async fn a_subscription_survives_with_its_session() {
    let server = Server::start(Primus::builder()).await;
    open_prices(&server);
    let (mut client, spark) = client(&server, &[]).await;
    client.ask(1, r#"primus::request:1:primus.subscribe::{"room":"prices.A"}"#).await;
    let mut memory = client.cut();
    until("detached", || spark.state() == State::Detached).await;
    server.room("prices.A").write(&1).unwrap();
    let mut client = Peer::come_back(server.address(), "polling", &mut memory).await.unwrap();
    assert_eq!(client.text().await, "primus::room:prices.A::primus::data::1");
    // A client of the plain dialect is in no way bothered by what others hear of the room.
    let mut plain = ws::Client::plain(server.address()).await;
    until("both", || server.sessions() == 2).await;
    server.everyone().join_all("prices.A").unwrap();
    server.room("prices.A").write(&2).unwrap();
    server.room("prices.A").emit("tick", &3).unwrap();
    assert_eq!(plain.text().await, "2");
    assert_eq!(plain.text().await, r#"{"event":"tick","data":3}"#);
}

// ---- what a spark leaves behind ----

#[tokio::test]
async fn hooks_of_rooms_may_write_to_them_also_where_history_is_kept() {
    let server = Server::start(Primus::builder().resume_messages(4)).await;
    server.root().keep("open", Keep::messages(100)).unwrap();
    server.root().authorize_join(async |_: Spark, _: String| Ok(()));
    let (joins, leaves) = (server.primus(), server.primus());
    server.root().on_join(move |_, room| drop(joins.room(room).emit("joined", &())));
    server.root().on_leave(move |_, room| drop(leaves.room(room).emit("left", &())));
    let mut away = Peer::connect(server.address(), "websocket").await;
    away.send(r#"primus::request:1:primus.subscribe::{"room":"open"}"#).await;
    assert_eq!(away.text().await, "primus::room:open@1::primus::event:joined::null");
    assert!(away.text().await.starts_with("primus::reply:1::"));
    let gone = spark_of(&server, &away);
    away.cut();
    until("detached", || gone.state() == State::Detached).await;
    // More than is kept for who is away: it ends in the midst of a message to the room.
    for number in 0..8 {
        server.room("open").write(&number).unwrap();
    }
    until("over", || gone.state() == State::Closed).await;
    assert_eq!(server.room("open").len(), 0);
    let names: Vec<_> = server
        .root()
        .history("open", 100)
        .iter()
        .filter_map(|it| it.event().map(String::from))
        .collect();
    assert_eq!(names, ["joined", "left"]);
}

#[tokio::test]
async fn who_has_ended_joins_nothing_and_is_forgotten() {
    let server =
        Server::start(Primus::builder().handler_grace(std::time::Duration::from_millis(50))).await;
    server.on("forever", async |(): ()| std::future::pending::<()>().await).unwrap();
    let user = Arc::new(());
    let weak = Arc::downgrade(&user);
    let given = Mutex::new(Some(user));
    server.authorize(move |_| {
        let user = given.lock().unwrap().take();
        async move { Ok(user) }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    let spark = spark_of(&server, &client);
    client.send("primus::request:1:forever::null").await;
    let own = spark.clone();
    spark
        .on("own", move |(): ()| {
            let _held = own.clone();
            async {}
        })
        .unwrap();
    client.send("primus::end::").await;
    until("over", || spark.state() == State::Closed).await;
    assert_eq!(spark.join("r"), Err(JoinError::Ended));
    assert_eq!(server.room("r").len(), 0);
    drop((spark, client));
    until("the session and what its listeners held are gone", || weak.upgrade().is_none()).await;
}

#[tokio::test]
async fn a_transform_that_looks_at_the_spark_sees_what_is_replayed() {
    let builder = Primus::builder().transform_out_per_spark(|_, message| {
        if message.as_text() == Some("\"secret\"") {
            message.replace_payload("\"…\"");
        }
        primus::Flow::Pass
    });
    let server = Server::start(builder).await;
    server.root().authorize_join(async |_: Spark, _: String| Ok(()));
    server.root().keep("r", Keep::messages(5)).unwrap();
    server.room("r").write(&"secret").unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send(r#"primus::request:1:primus.subscribe::{"room":"r","last":5}"#).await;
    assert_eq!(client.text().await, "primus::room:r@1::primus::data::\"…\"");
}
