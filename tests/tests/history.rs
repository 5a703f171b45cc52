//! What rooms keep, and who gets it.

use std::time::Duration;

use primus::{Keep, NotAvailable, Position, Primus, Spark};
use primus_tests::{
    peer::Peer,
    server::{Server, until},
};
use serde_json::{Value, json};

async fn server(keep: Keep) -> Server {
    let server = Server::start(Primus::builder()).await;
    server.root().authorize_join(async |_: Spark, _: String| Ok(()));
    server.root().keep("r", keep).unwrap();
    server
}

fn texts(messages: &[primus::Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| match message.event() {
            Some(name) => format!("{name} {}", message.as_text().unwrap()),
            None => message.as_text().unwrap().to_owned(),
        })
        .collect()
}

async fn subscribe(client: &mut Peer, args: Value) -> (Vec<String>, Value) {
    client.send(&format!("primus::request:1:primus.subscribe::{args}")).await;
    let mut before = Vec::new();
    loop {
        let frame = client.text().await;
        match frame.strip_prefix("primus::reply:1::") {
            Some(answer) => return (before, serde_json::from_str(answer).unwrap()),
            None => before.push(frame),
        }
    }
}

#[tokio::test]
async fn a_room_keeps_the_last_messages_with_or_without_members() {
    let server = server(Keep::messages(3)).await;
    let begin = server.root().position("r").unwrap();
    assert_eq!(begin.offset, 0);
    for number in 1..=5 {
        assert_eq!(server.room("r").emit("n", &number).unwrap(), 0);
    }
    server.room("r").write(&"plain").unwrap();
    let here = server.root().position("r").unwrap();
    assert_eq!((here.offset, &here.epoch), (6, &begin.epoch));
    assert_eq!(texts(&server.root().history("r", 10)), ["n 4", "n 5", "\"plain\""]);
    assert_eq!(texts(&server.root().history("r", 1)), ["\"plain\""]);
    let at = |offset| Position { epoch: here.epoch.clone(), offset };
    assert_eq!(texts(&server.root().since("r", &at(4)).unwrap()), ["n 5", "\"plain\""]);
    assert_eq!(texts(&server.root().since("r", &at(6)).unwrap()), [""; 0]);
    assert_eq!(server.root().since("r", &at(2)).unwrap_err(), NotAvailable);
    assert_eq!(server.root().since("r", &at(7)).unwrap_err(), NotAvailable);
    let other = Position { epoch: "other".to_owned(), offset: 5 };
    assert_eq!(server.root().since("r", &other).unwrap_err(), NotAvailable);
    assert_eq!(server.root().since("unknown", &at(6)).unwrap_err(), NotAvailable);
    server.root().keep("r", None).unwrap();
    assert_eq!(server.root().position("r"), None);
    assert_eq!(server.root().rooms_by_name().len(), 0);
}

#[tokio::test]
async fn volatile_messages_are_not_kept() {
    let server = server(Keep::messages(3)).await;
    let mut client = Peer::connect(server.address(), "websocket").await;
    subscribe(&mut client, json!({ "room": "r" })).await;
    assert_eq!(server.room("r").volatile().emit("typing", &"Ada").unwrap(), 1);
    server.room("r").emit("said", &1).unwrap();
    assert_eq!(client.text().await, "primus::room:r::primus::event:typing::\"Ada\"");
    assert_eq!(client.text().await, "primus::room:r@1::primus::event:said::1");
    assert_eq!(texts(&server.root().history("r", 9)), ["said 1"]);
}

#[tokio::test]
async fn bytes_and_age_bound_a_history_too() {
    let server = server(Keep::messages(100).bytes(100)).await;
    for _ in 0..10 {
        server.room("r").write(&"x".repeat(30)).unwrap();
    }
    // With its head a message has over 60 bytes, so there is no room for a second one.
    assert_eq!(server.root().history("r", 100).len(), 1);
    server.root().keep("r", Keep::messages(100).age(Duration::ZERO)).unwrap();
    server.room("r").write(&"old at once").unwrap();
    until("its time is over", || server.root().history("r", 100).is_empty()).await;
}

#[tokio::test]
async fn who_joins_asks_for_the_last_messages() {
    let server = server(Keep::messages(50)).await;
    for number in 1..=5 {
        server.room("r").emit("n", &number).unwrap();
    }
    let mut client = Peer::connect(server.address(), "websocket").await;
    let (before, answer) = subscribe(&mut client, json!({ "room": "r", "last": 2 })).await;
    let head = "primus::room:r@";
    assert_eq!(
        before,
        [format!("{head}4::primus::event:n::4"), format!("{head}5::primus::event:n::5")]
    );
    assert_eq!((&answer["offset"], &answer["recovered"]), (&json!(5), &json!(true)));
    server.room("r").emit("n", &6).unwrap();
    assert_eq!(client.text().await, format!("{head}6::primus::event:n::6"));

    let mut other = Peer::connect(server.address(), "websocket").await;
    let (before, answer) = subscribe(&mut other, json!({ "room": "r" })).await;
    assert_eq!((before.len(), &answer["offset"], answer.get("recovered")), (0, &json!(6), None));
    let (before, answer) = subscribe(&mut other, json!({ "room": "r", "last": 100 })).await;
    assert_eq!((before.len(), &answer["recovered"]), (6, &json!(true)), "as many as there are");
}

#[tokio::test]
async fn a_long_history_comes_whole_or_not_at_all() {
    let server = server(Keep::messages(1_000).bytes(16 << 20)).await;
    let long = "x".repeat(500);
    for _ in 0..400 {
        server.room("r").write(&long).unwrap();
    }
    // More than is good to queue at once, and less than may be.
    for transport in ["websocket", "sse", "polling"] {
        let mut client = Peer::connect(server.address(), transport).await;
        let (before, answer) = subscribe(&mut client, json!({ "room": "r", "last": 400 })).await;
        assert_eq!((before.len(), &answer["recovered"]), (400, &json!(true)), "{transport}");
    }
    // More than may be queued.
    for _ in 0..3 {
        server.room("r").write(&"y".repeat(500_000)).unwrap();
    }
    let mut client = Peer::connect(server.address(), "websocket").await;
    let (before, answer) = subscribe(&mut client, json!({ "room": "r", "last": 400 })).await;
    assert_eq!((before.len(), &answer["recovered"]), (0, &json!(false)));
}

#[tokio::test]
async fn who_comes_back_too_late_gets_all_of_it_or_a_plain_no() {
    let server = server(Keep::messages(3)).await;
    let mut client = Peer::connect(server.address(), "websocket").await;
    let (_, answer) = subscribe(&mut client, json!({ "room": "r" })).await;
    drop(client);
    for number in 1..=3 {
        server.room("r").write(&number).unwrap();
    }
    let since = |offset: u64| json!({ "room": "r", "since": { "epoch": answer["epoch"], "offset": offset } });
    let mut client = Peer::connect(server.address(), "sse").await;
    let (before, now) = subscribe(&mut client, since(0)).await;
    let said = |number: u64| format!("primus::room:r@{number}::primus::data::{number}");
    assert_eq!(before, [said(1), said(2), said(3)]);
    assert_eq!((&now["offset"], &now["recovered"]), (&json!(3), &json!(true)));

    server.room("r").write(&4).unwrap();
    let mut client = Peer::connect(server.address(), "polling").await;
    let (before, now) = subscribe(&mut client, since(0)).await;
    assert_eq!(before, [""; 0], "nothing of it");
    assert_eq!((&now["offset"], &now["recovered"]), (&json!(4), &json!(false)));
    let mut wrong = since(3);
    wrong["since"]["epoch"] = json!("another run");
    let (before, now) = subscribe(&mut client, wrong).await;
    assert_eq!((before.len(), &now["recovered"]), (0, &json!(false)));
    let (before, now) = subscribe(
        &mut client,
        json!({ "room": "without", "since": { "epoch": "e", "offset": 0 } }),
    )
    .await;
    assert_eq!((before.len(), now), (0, json!({ "recovered": false })));
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_by_those_who_join_while_others_speak() {
    let server = server(Keep::messages(100_000)).await;
    let speaker = server.primus();
    let speaking = tokio::spawn(async move {
        for number in 1..=2_000_u64 {
            speaker.room("r").write(&number).unwrap();
            if number % 20 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Peer::connect(server.address(), "websocket").await;
        let (before, _) = subscribe(&mut client, json!({ "room": "r", "last": 5 })).await;
        clients.push((client, before));
    }
    speaking.await.unwrap();
    server.room("r").write(&"end").unwrap();
    for (mut client, mut heard) in clients {
        loop {
            let frame = client.text().await;
            if frame.ends_with("\"end\"") {
                break;
            }
            heard.push(frame);
        }
        let numbers: Vec<u64> =
            heard.iter().map(|frame| frame.rsplit("::").next().unwrap().parse().unwrap()).collect();
        let first = numbers.first().copied().unwrap_or(2_001);
        let expected: Vec<u64> = (first..=2_000).collect();
        assert_eq!(numbers, expected);
    }
}

#[tokio::test]
async fn a_message_to_several_rooms_has_its_place_in_each() {
    let server = server(Keep::messages(10)).await;
    server.root().keep("s", Keep::messages(10)).unwrap();
    server.room("s").write(&0).unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    let spark = server.spark(client.id().parse().unwrap()).unwrap();
    spark.join("r").unwrap();
    assert_eq!(server.room("s").room("r").room("t").emit("e", &1).unwrap(), 1);
    assert_eq!(client.text().await, "primus::room:r@1,s@2::primus::event:e::1");
    assert_eq!(texts(&server.root().history("r", 9)), ["e 1"]);
    assert_eq!(texts(&server.root().history("s", 9)), ["0", "e 1"]);
}

#[tokio::test]
async fn the_hook_of_a_join_may_write_to_the_room() {
    let server = server(Keep::messages(3)).await;
    server.root().on_join(|spark, room| {
        spark.channel().room(room).emit("joined", &()).unwrap();
    });
    server.room("r").write(&"before").unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    let asked = subscribe(&mut client, json!({ "room": "r", "last": 3 }));
    let (before, answer) = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    assert_eq!(
        before,
        [
            "primus::room:r@1::primus::data::\"before\"",
            "primus::room:r@2::primus::event:joined::null"
        ]
    );
    assert_eq!(answer["offset"], 1);
}
