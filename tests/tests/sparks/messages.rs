//! Reading and writing, one message after the other.

use super::{Log, log_disconnections, next, websocket};
use futures_util::{SinkExt, StreamExt as _};
use primus::{Message, Spark};
use primus_tests::{
    server::Server,
    ws::{Client, Raw, WsMessage, frame, opcode},
};

#[tokio::test]
async fn a_handler_may_split_its_spark_and_forward_one_half_to_the_other() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    server.on_connection(async |spark: Spark| {
        let (sink, stream) = spark.split();
        stream.map(Ok).forward(sink).await?;
        Ok(())
    });
    let mut client = Client::plain(server.address()).await;
    for text in ["1", "two", ""] {
        client.echoes(text).await;
    }
    client.send_message(WsMessage::binary(vec![0, 255])).await;
    assert_eq!(client.data().await, WsMessage::binary(vec![0, 255]));
    client.close().await;
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");
}

#[tokio::test]
async fn closing_the_sink_half_ends_the_spark() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |mut spark: Spark| {
        SinkExt::send(&mut spark, Message::text("last")).await?;
        SinkExt::close(&mut spark).await?;
        std::future::pending().await
    });
    let (texts, closed) = Client::plain(server.address()).await.rest().await;
    assert_eq!((texts, closed.code), (vec!["last".to_owned()], 4000));
}

#[tokio::test]
async fn messages_keep_their_order_both_ways() {
    let server = Server::echo(websocket()).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    let sent: Vec<_> = (0..2000).map(|n| format!("{n}{}", "x".repeat(n % 300))).collect();
    let stream: Vec<u8> = sent.iter().flat_map(|text| frame(opcode::TEXT, text)).collect();
    raw.send(stream).await;
    for text in sent {
        assert_eq!(raw.frame().await.unwrap().payload, text.as_bytes());
    }
}

#[tokio::test]
async fn a_dropped_next_loses_no_message() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |mut spark: Spark| {
        loop {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                message = spark.next() => match message {
                    Some(message) => { spark.write_message(message)?; }
                    None => return Ok(()),
                },
            }
        }
    });
    let mut client = Client::plain(server.address()).await;
    for n in 0..200 {
        client.send(n.to_string()).await;
    }
    for n in 0..200 {
        assert_eq!(client.text().await, n.to_string());
    }
}
