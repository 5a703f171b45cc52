//! Callbacks, in the Primus manner.

use std::sync::Arc;

use super::{Log, log_disconnections, next, websocket};
use primus::{Spark, SparkId};
use primus_tests::{
    server::Server,
    ws::{Client, Raw, WsMessage, frame},
};
use tokio::sync::Notify;

#[tokio::test]
async fn callbacks_alone_keep_a_spark_and_hear_its_end() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    let (ends, errors) = (log.clone(), log);
    server.on_connection(move |spark| {
        let (ends, errors) = (ends.clone(), errors.clone());
        async move {
            spark.on_data(|spark, message| {
                spark.write_message(message).unwrap();
            });
            spark.on_end(move |_, reason| ends.add(format!("end {reason}")));
            spark.on_error(move |_, reason| errors.add(format!("error {reason}")));
            Ok(())
        }
    });
    let mut client = Client::plain(server.address()).await;
    client.echoes("1").await;
    client.echoes("2").await;
    client.close().await;
    assert_eq!(next(&mut events).await, "end 1000 normal");
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");

    // A fault is an error first, then the end.
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send(frame(0xc1, "reserved bit")).await;
    assert_eq!(raw.closed().await.unwrap().code, 1002);
    drop(raw);
    assert_eq!(next(&mut events).await, "error 1002 protocol error");
    assert_eq!(next(&mut events).await, "end 1002 protocol error");
    assert_eq!(next(&mut events).await, "disconnected 1002 protocol error");
}

#[tokio::test]
async fn data_that_comes_before_the_callbacks_waits_for_them_in_order() {
    let server = Server::start(websocket()).await;
    let set = Arc::new(Notify::new());
    let may_set = Arc::clone(&set);
    server.on_connection(move |spark| {
        let may_set = Arc::clone(&may_set);
        async move {
            may_set.notified().await;
            spark.on_data(|spark, message| {
                spark.write_message(message).unwrap();
            });
            Ok(())
        }
    });
    let mut client = Client::plain(server.address()).await;
    for n in 0..50 {
        client.send(n.to_string()).await;
    }
    client.send_message(WsMessage::Ping("all of them".into())).await;
    assert_eq!(client.message().await, Some(WsMessage::Pong("all of them".into())));
    set.notify_one();
    for n in 0..50 {
        assert_eq!(client.text().await, n.to_string());
    }
    client.echoes("50").await;
}

#[tokio::test]
async fn callbacks_may_be_set_from_outside_the_handler() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |_: Spark| std::future::pending().await);
    let mut client = Client::resumable(server.address()).await;
    let id: SparkId = client.attach()["id"].as_str().unwrap().parse().unwrap();
    server.spark(id).unwrap().on_data(|spark, message| {
        spark.write_message(message).unwrap();
    });
    client.echoes("1").await;
}

#[tokio::test]
async fn a_panic_in_a_callback_ends_its_spark_with_1011() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |spark: Spark| {
        spark.on_data(|_, message| panic!("{message:?}"));
        Ok(())
    });
    let mut client = Client::plain(server.address()).await;
    client.send("1").await;
    assert_eq!(client.close_code().await, 1011);
}
