//! Who is present in a room.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use primus::{CloseReason, Member, PresenceChange, Primus, Spark, State};
use primus_tests::{
    peer::Peer,
    server::{Server, until},
    ws::{Raw, frame, opcode},
};
use serde_json::json;

type Log = Arc<Mutex<Vec<String>>>;

async fn server(grace: Duration) -> (Server, Log) {
    let second = Duration::from_secs(1);
    let builder = Primus::builder().detach_grace(grace).ping_interval(second).ping_timeout(second);
    // The sweep comes every quarter of the shortest of these.
    let server = Server::start(builder.close_timeout(Duration::from_millis(80))).await;
    let log = Log::default();
    let own = Arc::clone(&log);
    server.root().on_presence(move |room, change| {
        let (sign, member) = match change {
            PresenceChange::Joined(member) => ('+', member),
            PresenceChange::Left(member) => ('-', member),
        };
        own.lock().unwrap().push(format!("{room} {sign}{} {}", member.id, member.info));
    });
    (server, log)
}

async fn connect(server: &Server) -> (Peer, Spark) {
    let client = Peer::connect(server.address(), "websocket").await;
    let spark = server.spark(client.id().parse().unwrap()).unwrap();
    (client, spark)
}

fn ada() -> Member {
    Member::new("ada").info(json!({ "name": "Ada" }))
}

fn ids(page: &primus::Page) -> Vec<&str> {
    page.members.iter().map(|member| &*member.id).collect()
}

#[tokio::test]
async fn members_have_what_others_may_know_and_are_told_once_for_all_their_sparks() {
    let (server, log) = server(Duration::from_secs(60)).await;
    let (_one, first) = connect(&server).await;
    let (_two, second) = connect(&server).await;
    let (_bot, bot) = connect(&server).await;
    first.join_as("r", ada()).unwrap();
    second.join_as("r", ada()).unwrap();
    bot.join("r").unwrap();
    assert_eq!((server.room("r").len(), server.room("r").count_members()), (3, 1));
    let page = server.room("r").members(None, 10);
    assert_eq!((page.members, page.next), (vec![ada()], None));
    assert!(first.leave("r"));
    assert_eq!(server.room("r").count_members(), 1, "one of her sparks is still there");
    assert!(second.leave("r"));
    assert_eq!(server.room("r").count_members(), 0);
    assert_eq!(*log.lock().unwrap(), [r#"r +ada {"name":"Ada"}"#, r#"r -ada {"name":"Ada"}"#]);
}

#[tokio::test]
async fn lists_are_paged_in_the_order_of_the_ids_and_rooms_are_merged() {
    let (server, _) = server(Duration::from_secs(60)).await;
    let mut clients = Vec::new();
    for (id, rooms) in [("d", "r"), ("a", "rs"), ("c", "r"), ("b", "s"), ("e", "s")] {
        let (client, spark) = connect(&server).await;
        for room in rooms.chars() {
            spark.join_as(&room.to_string(), Member::new(id)).unwrap();
        }
        clients.push(client);
    }
    let first = server.room("r").members(None, 2);
    assert_eq!((ids(&first), first.next.as_deref()), (vec!["a", "c"], Some("c")));
    let second = server.room("r").members(first.next.as_deref(), 2);
    assert_eq!((ids(&second), second.next.as_deref()), (vec!["d"], None));
    let both = server.room("r").room("s").members(None, 3);
    assert_eq!((ids(&both), both.next.as_deref()), (vec!["a", "b", "c"], Some("c")));
    let rest = server.room("r").room("s").members(both.next.as_deref(), 3);
    assert_eq!((ids(&rest), rest.next.as_deref()), (vec!["d", "e"], None));
    let shown = serde_json::to_value(server.room("r").members(None, 1)).unwrap();
    assert_eq!(shown, json!({ "members": [{ "id": "a", "info": null }], "next": "a" }));
}

#[tokio::test]
async fn who_changes_is_told_as_somebody_else() {
    let (server, log) = server(Duration::from_secs(60)).await;
    let (_client, spark) = connect(&server).await;
    spark.join_as("r", Member::new("ada")).unwrap();
    spark.join_as("r", Member::new("bob")).unwrap();
    spark.join_as("r", Member::new("bob").info("new")).unwrap();
    assert_eq!(server.room("r").members(None, 9).members, [Member::new("bob").info("new")]);
    assert_eq!(*log.lock().unwrap(), ["r +ada null", "r -ada null", "r +bob null"]);
}

#[tokio::test]
async fn a_reconnect_and_a_reload_within_the_grace_are_no_leave() {
    let (server, log) = server(Duration::from_secs(60)).await;
    let (client, spark) = connect(&server).await;
    spark.join_as("r", ada()).unwrap();
    // The connection breaks, and is back.
    let mut memory = client.cut();
    until("detached", || spark.state() == State::Detached).await;
    let mut client = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!(server.room("r").count_members(), 1);
    // The page goes, and comes anew.
    client.send("primus::end::").await;
    until("over", || spark.state() == State::Closed).await;
    assert_eq!((server.room("r").len(), server.room("r").count_members()), (0, 1));
    let (_client, spark) = connect(&server).await;
    spark.join_as("r", ada()).unwrap();
    assert_eq!(server.room("r").count_members(), 1);
    assert_eq!(*log.lock().unwrap(), [r#"r +ada {"name":"Ada"}"#]);
}

#[tokio::test]
async fn who_stays_away_for_longer_has_left_and_may_come_again() {
    let (server, log) = server(Duration::from_millis(100)).await;
    let (client, spark) = connect(&server).await;
    spark.join_as("r", ada()).unwrap();
    let mut memory = client.cut();
    until("absent", || server.room("r").count_members() == 0).await;
    assert_eq!((spark.state(), server.room("r").len()), (State::Detached, 1), "its session waits");
    let _client = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    until("present", || server.room("r").count_members() == 1).await;
    // And goes for good.
    server.room("r").end_all(&CloseReason::ENDED);
    drop(_client);
    let told = [r#"r +ada {"name":"Ada"}"#, r#"r -ada {"name":"Ada"}"#].repeat(2);
    until("told", || log.lock().unwrap().len() == 4).await;
    assert_eq!(*log.lock().unwrap(), told);
}

#[tokio::test]
async fn who_leaves_in_the_hook_of_its_own_end_is_counted_once() {
    let (server, log) = server(Duration::from_secs(60)).await;
    server.root().on_leave(|spark, room| {
        if !room.starts_with("beside ") {
            spark.leave(&format!("beside {room}"));
        }
    });
    let (mut client, spark) = connect(&server).await;
    let rooms: Vec<String> = (0..10).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        spark.join(room).unwrap();
        spark.join_as(&format!("beside {room}"), ada()).unwrap();
    }
    client.send("primus::end::").await;
    until("over", || spark.state() == State::Closed && server.room("r0").is_empty()).await;
    for room in &rooms {
        assert_eq!(server.room(&format!("beside {room}")).count_members(), 1, "for the grace");
    }
    assert!(log.lock().unwrap().iter().all(|told| told.contains(" +")), "{log:?}");
}

#[tokio::test]
async fn what_an_absent_spark_joins_and_leaves_changes_nothing_for_the_others() {
    let (server, _) = server(Duration::from_millis(100)).await;
    let (client, absent) = connect(&server).await;
    let (_other, present) = connect(&server).await;
    for spark in [&absent, &present] {
        spark.join_as("r", ada()).unwrap();
        spark.join_as("r", ada()).unwrap();
    }
    absent.join_as("s", Member::new("eve")).unwrap();
    let mut memory = client.cut();
    until("absent", || server.room("s").count_members() == 0).await;
    assert!(absent.leave("r"));
    assert_eq!(server.room("r").count_members(), 1, "by her other spark");
    absent.join_as("t", ada()).unwrap();
    assert_eq!(server.room("t").count_members(), 0);
    let _client = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    until("present", || server.room("t").count_members() == 1).await;
    assert!(absent.leave("t") && present.leave("r"));
    assert_eq!((server.room("t").count_members(), server.room("r").count_members()), (0, 0));
}

/// A client of AnyCable in the channel `Chat`, which wants to know who is there.
async fn cable(server: &Server) -> Raw {
    let headers = "sec-websocket-protocol: actioncable-v1-ext-json\r\n";
    let mut client = Raw::open_as(server.address(), "/primus", headers).await;
    for (command, answer) in [("", "welcome"), ("subscribe", "confirm_"), ("presence", "info")] {
        if !command.is_empty() {
            say(&mut client, command, &json!(null)).await;
        }
        let said = hear(&mut client).await;
        assert!(said.contains(answer), "{said}");
    }
    client
}

async fn say(client: &mut Raw, command: &str, presence: &serde_json::Value) {
    let identifier = "{\"channel\":\"Chat\"}";
    let command = json!({ "command": command, "identifier": identifier, "presence": presence });
    client.send(frame(opcode::TEXT, command.to_string())).await;
}

/// What it hears next but pings.
async fn hear(client: &mut Raw) -> String {
    loop {
        let frame = client.frame_but(&[opcode::PING]).await.unwrap();
        let said = String::from_utf8(frame.payload).unwrap();
        if !said.starts_with("{\"type\":\"ping\"") {
            return said;
        }
    }
}

#[tokio::test]
async fn who_comes_and_leaves_is_encoded_and_framed_once_for_all_clients_of_anycable() {
    let builder = Primus::builder().transformer("actioncable").actioncable_presence(true);
    let server = Server::start(builder).await;
    server.channel("Chat").unwrap().authorize(async |_| Ok(()));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(cable(&server).await);
    }
    let counts = || (server.frame_counters().encoded(), server.frame_counters().framed());
    let before = counts();
    say(&mut clients[0], "join", &json!({ "id": "ada", "info": 7 })).await;
    for client in &mut clients {
        let identifier = "{\\\"channel\\\":\\\"Chat\\\"}";
        assert_eq!(
            hear(client).await,
            format!(
                "{{\"type\":\"presence\",\"identifier\":\"{identifier}\",\
                 \"message\":{{\"id\":\"ada\",\"info\":7,\"type\":\"join\"}}}}"
            )
        );
    }
    assert_eq!(counts(), (before.0 + 1, before.1 + 1));
}
