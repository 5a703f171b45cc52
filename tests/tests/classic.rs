//! Events, acks and channels of classic clients, as `primus-emitter` and `primus-multiplex` have them,
//! over real WebSockets.

use std::{sync::Arc, time::Duration};

use primus::{Builder, CloseReason, Message, Primus, Rejection, RequestError, Spark};
use primus_tests::{
    server::{Server, echo, soon, until},
    ws::{Client, WsMessage},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

fn websocket() -> Builder {
    Primus::builder().transformer("websocket")
}

/// Sends a value, and reads the next one.
async fn exchange(client: &mut Client, say: Value) -> Value {
    client.send(say.to_string()).await;
    value(client).await
}

async fn value(client: &mut Client) -> Value {
    serde_json::from_str(&client.text().await).expect("JSON")
}

// ---- events ----

#[tokio::test]
async fn a_classic_client_emits_and_hears_events() {
    let server = Server::echo(websocket()).await;
    server.on("say", async |spark: Spark, args: Value| drop(spark.emit("said", &args))).unwrap();
    let mut client = Client::classic(server.address()).await;
    for (data, args) in [
        (json!(["say"]), Value::Null),
        (json!(["say", {"a": 1}]), json!({"a": 1})),
        (json!(["say", 1, "two"]), json!([1, "two"])),
        (json!(["say", [1]]), json!([1])),
    ] {
        let said = exchange(&mut client, json!({ "type": 0, "data": data })).await;
        assert_eq!(said, json!({ "type": 0, "data": ["said", args] }));
    }
    server.emit("tick", &7).unwrap();
    assert_eq!(client.text().await, r#"{"type":0,"data":["tick",7]}"#);
    client.echoes(r#"{"type":0,"data":["error",1]}"#).await;
    client.echoes(r#"{"type":0,"data":["say"],"more":1}"#).await;
    client.echoes(r#"{"type":7,"data":["say"]}"#).await;
}

#[tokio::test]
async fn a_classic_client_gets_acks_and_refusals() {
    let server = Server::echo(websocket()).await;
    server.on("add", async |numbers: Vec<i64>| numbers.iter().sum::<i64>()).unwrap();
    server
        .on("refuse", async |(): ()| {
            Err::<(), _>(Rejection::new(http::StatusCode::IM_A_TEAPOT, "no coffee"))
        })
        .unwrap();
    let mut client = Client::classic(server.address()).await;
    for (data, id, answer) in [
        (json!(["add", 1, 2]), 1, json!(3)),
        (json!(["refuse"]), 2, json!({ "error": "no coffee", "status": 418 })),
        (json!(["nobody"]), 3, json!({ "error": "nobody listens for nobody", "status": 404 })),
        (json!(["add", [4, 5]]), (1_i64 << 40) - 1, json!(9)),
    ] {
        let ack = exchange(&mut client, json!({ "type": 0, "data": data, "id": id })).await;
        assert_eq!(ack, json!({ "type": 1, "data": [answer], "id": id }));
    }
    for id in ["0", "-1", "1.5", "\"1\"", "null", "1099511627776"] {
        client.echoes(&format!(r#"{{"type":0,"data":["add",[1]],"id":{id}}}"#)).await;
    }
}

#[tokio::test]
async fn a_classic_client_acknowledges() {
    let server = Server::start(websocket()).await;
    let (answers, mut arrived) = mpsc::channel(8);
    server.on_connection(move |spark: Spark| {
        let answers = answers.clone();
        async move {
            for args in [json!(1), json!([2]), json!({ "three": 3 })] {
                let answer: Result<Value, RequestError> = spark.request("ask", &args).await;
                answers.send(answer.unwrap()).await.unwrap();
            }
            Ok(())
        }
    });
    let mut client = Client::classic(server.address()).await;
    for (args, data, answer) in [
        (json!(1), json!(["one"]), json!("one")),
        (json!([2]), json!([1, [2]]), json!([1, [2]])),
        (json!({ "three": 3 }), json!([]), Value::Null),
    ] {
        let asked = value(&mut client).await;
        assert_eq!(asked["type"], 0);
        assert_eq!(asked["data"], json!(["ask", args]));
        let id = asked["id"].as_u64().unwrap();
        // Nobody waits for this one.
        let stranger = id + 1_000_000;
        client.send(json!({ "type": 1, "data": [0], "id": stranger }).to_string()).await;
        client.send(json!({ "id": id, "type": 1, "data": data }).to_string()).await;
        assert_eq!(soon(arrived.recv()).await, Some(answer));
    }
}

#[tokio::test]
async fn heads_of_rooms_and_events_of_the_protocol_are_nothing_to_a_classic_client() {
    let server = Server::start(websocket()).await;
    server.on("number", async |_: i64| ()).unwrap();
    server.on_connection(async |spark: Spark| {
        spark.join("lobby")?;
        spark.write("in")?;
        spark.on_data(|spark, message| drop(spark.write_message(message)));
        Ok(())
    });
    let mut client = Client::classic(server.address()).await;
    assert_eq!(client.text().await, "\"in\"");
    server.room("lobby").write(&json!({ "to": "lobby" })).unwrap();
    assert_eq!(client.text().await, r#"{"to":"lobby"}"#);
    server.room("lobby").emit("tick", &1).unwrap();
    assert_eq!(client.text().await, r#"{"type":0,"data":["tick",1]}"#);
    server.room("lobby").write("primus::server::close").unwrap();
    // `primus.error` would come back.
    client.send(r#"{"type":0,"data":["number","none"]}"#).await;
    client.echoes("1").await;
}

#[tokio::test]
async fn an_event_to_many_is_framed_once_for_all_classic_clients() {
    let server = Server::echo(websocket()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::classic(server.address()).await;
        client.echoes("1").await;
        clients.push(client);
    }
    let mut plain = Client::plain(server.address()).await;
    plain.echoes("1").await;
    let before = server.frame_counters().framed();
    server.emit("tick", &1).unwrap();
    for client in &mut clients {
        assert_eq!(client.text().await, r#"{"type":0,"data":["tick",1]}"#);
    }
    assert_eq!(plain.text().await, r#"{"event":"tick","data":1}"#);
    assert_eq!(server.frame_counters().framed() - before, 2);
}

#[tokio::test]
async fn with_another_parser_a_classic_client_has_neither_events_nor_channels() {
    let server = Server::echo(websocket().parser("raw")).await;
    server.on("say", async |_: String| ()).unwrap();
    server.channel("news").unwrap();
    let mut client = Client::classic(server.address()).await;
    client.echoes(r#"{"type":0,"data":["say"],"id":1}"#).await;
    client.echoes(r#"[1,"a","news"]"#).await;
    server.emit("say", "hi").unwrap();
    assert_eq!(client.text().await, "hi");
}

// ---- channels ----

#[tokio::test]
async fn a_classic_client_is_in_a_channel() {
    let server = Server::echo(websocket()).await;
    let news = server.channel("news").unwrap();
    let (log, mut left) = mpsc::channel(8);
    news.on("add", async |numbers: Vec<i64>| numbers.iter().sum::<i64>()).unwrap();
    news.on("say", async |spark: Spark, text: String| drop(spark.emit("said", &text))).unwrap();
    news.on_connection(async |spark: Spark| {
        spark.write("welcome")?;
        spark.on_data(|spark, message| drop(spark.write_message(message)));
        Ok(())
    });
    news.on_disconnection(move |_, reason| {
        log.try_send(reason.code()).unwrap();
        async {}
    });
    let mut client = Client::classic(server.address()).await;
    // The client waits for nothing.
    client.send(r#"[1,"a","news"]"#).await;
    client.send(r#"[0,"a","news",{"type":0,"data":["add",1,2],"id":7}]"#).await;
    assert_eq!(client.text().await, r#"[0,"a","news","welcome"]"#);
    assert_eq!(client.text().await, r#"[0,"a","news",{"type":1,"data":[3],"id":7}]"#);
    client.echoes(r#"[0,"a","news",{"x":[1]}]"#).await;
    client.send(r#"[0,"a","news"]"#).await;
    assert_eq!(client.text().await, r#"[0,"a","news",null]"#);
    let said = exchange(&mut client, json!([0, "a", "news", { "type": 0, "data": ["say", "é"] }]));
    assert_eq!(said.await, json!([0, "a", "news", { "type": 0, "data": ["said", "é"] }]));
    client.echoes(r#"{"in":"the root"}"#).await;
    assert_eq!(news.len(), 1);
    news.write(&[1, 2]).unwrap();
    assert_eq!(client.text().await, r#"[0,"a","news",[1,2]]"#);
    news.write_message("no JSON");
    assert_eq!(client.text().await, r#"[0,"a","news","no JSON"]"#);
    client.send(r#"[2,"a","news"]"#).await;
    assert_eq!(soon(left.recv()).await, Some(1000));
    assert_eq!(news.len(), 0);
    // What it says there now is for nobody, and so is what others say.
    client.send(r#"[0,"a","news",1]"#).await;
    news.write("later").unwrap();
    client.echoes("2").await;
}

#[tokio::test]
async fn what_a_classic_client_says_before_it_may_enter_a_channel_waits() {
    let server = Server::echo(websocket()).await;
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
    let mut client = Client::classic(server.address()).await;
    client.send(r#"[1,"a","slow"]"#).await;
    client.send(r#"[0,"a","slow",1]"#).await;
    client.echoes(r#""the root goes on""#).await;
    assert_eq!(slow.len(), 0);
    go.notify_one();
    assert_eq!(client.text().await, r#"[0,"a","slow",1]"#);

    // More than is kept: the rest waits in the socket, and all of it arrives in order.
    client.send(r#"[2,"a","slow"]"#).await;
    client.send(r#"[1,"b","slow"]"#).await;
    for n in 0..500 {
        client.send(format!(r#"[0,"b","slow",{n}]"#)).await;
    }
    client.send("\"behind\"").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.notify_one();
    let mut said = Vec::new();
    while said.len() < 501 {
        said.push(client.text().await);
    }
    // The root has a handler of its own, which waits for nobody.
    said.retain(|text| text != "\"behind\"");
    for (n, text) in said.iter().enumerate() {
        assert_eq!(*text, format!(r#"[0,"b","slow",{n}]"#));
    }
    assert_eq!(said.len(), 500);
}

#[tokio::test]
async fn a_classic_client_is_refused_and_ended_by_unsubscriptions() {
    let server = Server::echo(websocket()).await;
    let secret = server.channel("secret").unwrap();
    secret.authorize(async |_| Err::<(), _>(Rejection::forbidden("members only")));
    let news = server.channels("/doc/*").unwrap();
    news.on("bye", async |spark: Spark, (): ()| {
        spark.write("last").unwrap();
        spark.end(CloseReason::ENDED);
    })
    .unwrap();
    let mut client = Client::classic(server.address()).await;
    client.send(r#"[1,"a","secret"]"#).await;
    client.send(r#"[0,"a","secret",1]"#).await;
    assert_eq!(client.text().await, r#"[2,"a","secret"]"#);
    client.send(r#"[1,"a","/doc/1"]"#).await;
    client.send(r#"[0,"a","/doc/1",{"type":0,"data":["bye"]}]"#).await;
    assert_eq!(client.text().await, r#"[0,"a","/doc/1","last"]"#);
    assert_eq!(client.text().await, r#"[2,"a","/doc/1"]"#);
    // It may come again, by the same id.
    client.send(r#"[1,"a","/doc/1"]"#).await;
    client.send(r#"[0,"a","/doc/1",{"type":0,"data":["bye"]}]"#).await;
    assert_eq!(client.text().await, r#"[0,"a","/doc/1","last"]"#);
}

#[tokio::test]
async fn subscriptions_to_one_channel_share_a_spark() {
    let server = Server::echo(websocket()).await;
    let news = server.channel("news").unwrap();
    news.on("add", async |numbers: Vec<i64>| numbers.iter().sum::<i64>()).unwrap();
    let mut client = Client::classic(server.address()).await;
    client.send(r#"[1,"a","news"]"#).await;
    client.send(r#"[1,"b","news"]"#).await;
    until("the spark", || news.len() == 1).await;
    client.send(r#"[0,"b","news",{"type":0,"data":["add",1,2],"id":1}]"#).await;
    assert_eq!(client.text().await, r#"[0,"b","news",{"type":1,"data":[3],"id":1}]"#);
    news.write(&1).unwrap();
    assert_eq!(client.text().await, r#"[0,"a","news",1]"#);
    assert_eq!(client.text().await, r#"[0,"b","news",1]"#);
    client.send(r#"[2,"a","news"]"#).await;
    client.echoes("0").await;
    assert_eq!(news.len(), 1);
    client.send(r#"[2,"b","news"]"#).await;
    until("the end", || news.is_empty()).await;
}

#[tokio::test]
async fn a_classic_client_answers_in_a_channel() {
    let server = Server::start(websocket()).await;
    let news = server.channel("news").unwrap();
    let (answers, mut arrived) = mpsc::channel(1);
    news.on_connection(move |spark: Spark| {
        let answers = answers.clone();
        async move {
            let name: String = spark.request("name", &json!({ "full": true })).await?;
            answers.send(name).await?;
            Ok(())
        }
    });
    let mut client = Client::classic(server.address()).await;
    let asked = exchange(&mut client, json!([1, "a", "news"])).await;
    let id = asked[3]["id"].as_u64().unwrap();
    let question = json!({ "type": 0, "data": ["name", { "full": true }], "id": id });
    assert_eq!(asked, json!([0, "a", "news", question]));
    let answer = json!([0, "a", "news", { "id": id, "type": 1, "data": ["Ada"] }]);
    client.send(answer.to_string()).await;
    assert_eq!(soon(arrived.recv()).await.as_deref(), Some("Ada"));
}

#[tokio::test]
async fn arrays_that_name_no_channel_are_data_of_a_classic_client() {
    let server = Server::echo(websocket()).await;
    server.channel("news").unwrap();
    let mut client = Client::classic(server.address()).await;
    for text in [
        r#"[1,"a","other"]"#,
        r#"[1,"a","newsflash"]"#,
        r#"[0,"a","",1]"#,
        r#"[3,"a","news"]"#,
        r#"[0,"a","news",1,2]"#,
        r#"[1,7,"news"]"#,
        "[1]",
        "[",
    ] {
        client.echoes(text).await;
    }
    client.send_message(WsMessage::binary(br#"[1,"a","news"]"#.to_vec())).await;
    assert_eq!(client.data().await, WsMessage::binary(br#"[1,"a","news"]"#.to_vec()));
}

#[tokio::test]
async fn channels_of_a_classic_client_are_bounded() {
    let server = Server::echo(websocket()).await;
    let rooms = server.channels("room *").unwrap();
    rooms.on_connection(async |spark: Spark| {
        spark.on_data(|spark: &Spark, message: Message| drop(spark.write_message(message)));
        Ok(())
    });
    let mut client = Client::classic(server.address()).await;
    for n in 0..64 {
        client.send(format!(r#"[1,"a","room {n}"]"#)).await;
        client.echoes(&format!(r#"[0,"a","room {n}",{n}]"#)).await;
    }
    client.send(r#"[1,"a","room 64"]"#).await;
    assert_eq!(client.text().await, r#"[2,"a","room 64"]"#);
    client.send(r#"[1,"b","room 1"]"#).await;
    assert_eq!(client.text().await, r#"[2,"b","room 1"]"#);
    client.send(r#"[2,"a","room 1"]"#).await;
    client.send(r#"[1,"b","room 64"]"#).await;
    client.echoes(r#"[0,"b","room 64",1]"#).await;
}
