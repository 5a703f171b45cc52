//! One carrier follows another, and nothing is lost or repeated.

use std::time::Duration;

use primus::{Builder, CloseReason};
use primus_tests::{
    http,
    peer::{Peer, TRANSPORTS},
    server::{soon, until},
};
use serde_json::json;
use tokio::sync::oneshot;

use super::{detached, server};

#[tokio::test]
async fn over_any_two_transports_nothing_is_lost_or_repeated_and_the_handler_goes_on() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for first in TRANSPORTS {
        for second in TRANSPORTS {
            let case = format!("{first}, then {second}");
            let mut peer = Peer::connect(server.address(), first).await;
            let mut spark = soon(arrivals.recv()).await.expect("a spark");
            peer.send("1").await;
            spark.write(&"a").unwrap();
            assert_eq!(peer.text().await, "\"a\"", "{case}");
            assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some("1"), "{case}");

            spark.write(&"b").unwrap();
            let mut memory = peer.cut();
            if first != "polling" {
                detached(&spark).await;
            }
            spark.write(&"c").unwrap();
            // What it is not sure of it sends again.
            memory.next = 1;
            let mut peer = Peer::come_back(server.address(), second, &mut memory).await.unwrap();
            assert_eq!(peer.attach["resumed"], true, "{case}: {}", peer.attach);
            assert_eq!(peer.attach["recv"], 1, "{case}");
            assert_eq!(peer.attach["next"], 2, "{case}");
            peer.memory.sent = 0;
            peer.send("1").await;
            peer.send("2").await;
            assert_eq!(peer.text().await, "\"b\"", "{case}");
            assert_eq!(peer.text().await, "\"c\"", "{case}");
            assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some("2"), "{case}");
            assert_eq!(peer.id(), spark.id().to_string());
            assert_eq!(spark.transformer(), second);
            peer.send("primus::end::").await;
            assert_eq!(
                soon(spark.next()).await.map(|message| message.as_text().map(str::to_owned)),
                None
            );
        }
    }
    assert!(arrivals.try_recv().is_err(), "the handler was started again");
}

#[tokio::test]
async fn a_carrier_that_takes_over_a_live_one_replaces_it() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for first in TRANSPORTS {
        for second in TRANSPORTS {
            let mut old = Peer::connect(server.address(), first).await;
            let mut spark = soon(arrivals.recv()).await.expect("a spark");
            let mut memory = old.memory.clone();
            let mut new = Peer::come_back(server.address(), second, &mut memory).await.unwrap();
            assert_eq!(
                (&new.attach["resumed"], &new.attach["generation"]),
                (&json!(true), &json!(2))
            );
            spark.write(&"x").unwrap();
            assert_eq!(new.text().await, "\"x\"", "{first}, then {second}");
            new.send("1").await;
            assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some("1"));
            assert_eq!(old.frame().await, None, "{first}, then {second}: the older one is over");
            assert_eq!(server.sessions(), 1);
            assert_eq!(server.connected(), 1);
            new.send("primus::end::").await;
            drop(new);
            until("the end", || server.sessions() == 0).await;
        }
    }
}

#[tokio::test]
async fn an_older_carrier_delivers_nothing_any_more() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let old = Peer::connect(server.address(), "polling").await;
    let mut spark = soon(arrivals.recv()).await.expect("a spark");
    let mut new =
        Peer::come_back(server.address(), "websocket", &mut old.memory.clone()).await.unwrap();
    let late = http::post("/primus/send?v=2", "primus::ack:0:1::\n\"late\"")
        .header("primus-token", old.token())
        .send(server.address())
        .await;
    assert_eq!(late.status, 404, "{}", late.text());
    new.send("\"right\"").await;
    assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some("\"right\""));
}

#[tokio::test]
async fn a_message_of_the_maximum_size_survives_both_ways() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for transport in TRANSPORTS {
        let large = format!("\"{}\"", "x".repeat((1 << 20) - 2));
        let peer = Peer::connect(server.address(), transport).await;
        let mut spark = soon(arrivals.recv()).await.expect("a spark");
        spark.write_message(large.clone()).unwrap();
        until("the write", || spark.queued() == 0 || transport == "polling").await;
        let mut memory = peer.cut();
        let mut peer = Peer::come_back(server.address(), transport, &mut memory).await.unwrap();
        assert_eq!(peer.attach["resumed"], true);
        assert!(peer.text().await == large, "{transport}: another text");
        peer.send(&large).await;
        assert!(soon(spark.next()).await.unwrap().as_text() == Some(&large), "{transport}");
        peer.send("primus::ack:1::").await;
        until("nothing is kept", || server.kept() == 0).await;
        peer.send("primus::end::").await;
        drop(peer);
        until("the end", || server.sessions() == 0).await;
    }
}

#[tokio::test]
async fn the_server_acknowledges_after_128_messages_and_with_its_pongs_and_its_end() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let mut peer = primus_tests::ws::Client::resumable(server.address()).await;
    let mut spark = soon(arrivals.recv()).await.expect("a spark");
    let reading = tokio::spawn(async move {
        for _ in 0..254 {
            spark.next().await.expect("a message");
        }
        spark
    });
    for _ in 0..127 {
        peer.send("1").await;
    }
    peer.send("primus::ping:5:0::").await;
    assert_eq!(raw_text(&mut peer).await, "primus::pong:5:127::", "nothing goes alone before");
    for _ in 0..127 {
        peer.send("2").await;
    }
    peer.send("primus::ping:6::").await;
    assert_eq!(raw_text(&mut peer).await, "primus::pong:6:254::");
    let spark = soon(reading).await.unwrap();
    for _ in 0..64 {
        peer.send("3").await;
    }
    peer.send("primus::ping:7::").await;
    assert_eq!(raw_text(&mut peer).await, "primus::pong:7:318::");
    // This one finds the inbox full, and what is not in it is not acknowledged.
    peer.send("4").await;
    spark.end(CloseReason::ENDED);
    let (end, _) = peer.end_frame().await;
    assert_eq!(end["recv"], 254 + 64, "{end}");
}

async fn raw_text(peer: &mut primus_tests::ws::Client) -> String {
    match peer.data().await {
        primus_tests::ws::WsMessage::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_writer_that_waits_goes_on_when_its_client_comes_back_with_all_of_it() {
    let (server, mut arrivals) = server(Builder::new().resume_messages(4)).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        for number in 0..4 {
            spark.write(&number).unwrap();
            assert_eq!(peer.text().await, number.to_string());
        }
        let (waits, waiting) = oneshot::channel();
        let ready = tokio::spawn({
            let spark = spark.clone();
            async move {
                let mut ready = Box::pin(spark.ready());
                assert!(tokio::time::timeout(Duration::ZERO, &mut ready).await.is_err());
                waits.send(()).unwrap();
                ready.await
            }
        });
        soon(waiting).await.unwrap();
        let mut memory = peer.cut();
        detached(&spark).await;
        let peer = Peer::come_back(server.address(), transport, &mut memory).await.unwrap();
        assert_eq!(peer.attach["next"], 5, "{transport}");
        soon(ready).await.unwrap().unwrap();
        drop(peer);
        spark.end(CloseReason::ENDED);
    }
}
