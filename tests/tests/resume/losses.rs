//! What cannot be kept is told, on both sides.

use std::time::Duration;

use primus::{Builder, CloseReason, Message, State, WriteError, Written};
use primus_tests::{
    peer::{Peer, TRANSPORTS},
    server::{soon, until},
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{detached, server};

#[tokio::test]
async fn after_the_window_the_session_is_over_and_both_sides_are_told_what_was_lost() {
    let (server, mut arrivals) =
        server(Builder::new().resume_window(Duration::from_millis(200))).await;
    let (told, mut heard) = mpsc::channel(16);
    server.on_disconnection(move |spark, reason| {
        let left: Vec<_> = spark
            .undelivered()
            .iter()
            .map(|payload| payload.as_text().map(str::to_owned))
            .collect();
        let _ = told.try_send((reason.code(), left));
        async {}
    });
    let mut peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    spark.write(&1).unwrap();
    spark.write(&2).unwrap();
    assert_eq!(peer.text().await, "1");
    assert_eq!(peer.text().await, "2");
    peer.send("primus::ack:1::").await;
    until("the acknowledgement", || server.kept() < 70).await;
    let mut memory = peer.cut();
    detached(&spark).await;
    spark.write(&3).unwrap();
    // The second was received and not acknowledged, which nobody but the client can know.
    let left = vec![Some("2".to_owned()), Some("3".to_owned())];
    assert_eq!(soon(heard.recv()).await.unwrap(), (1001, left));
    match spark.write(&4) {
        Err(error @ WriteError::Ended(_)) => assert_eq!(error.into_payload(), Some("4".into())),
        other => panic!("{other:?}"),
    }
    memory.recv = 2;
    let peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!(peer.attach["resumed"], false);
    assert_eq!(peer.attach["reason"], "expired");
    assert_eq!((&peer.attach["recv"], &peer.attach["next"]), (&json!(0), &json!(1)));
    assert_ne!(peer.id(), spark.id().to_string());
}

#[tokio::test]
async fn what_is_too_much_for_a_client_that_is_away_ends_its_session_and_comes_back() {
    let builder = Builder::new().resume_messages(4).resume_bytes(1000);
    let (server, mut arrivals) = server(builder).await;
    for (sizes, bytes) in
        [(vec![10, 10, 10, 10], 10), (vec![900, 900], 10), (vec![500, 1 << 19], 5)]
    {
        let peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let mut memory = peer.cut();
        detached(&spark).await;
        for size in &sizes {
            let written = spark.write_message("x".repeat(*size)).unwrap();
            assert_eq!(written, Written::Queued, "{sizes:?}");
        }
        match spark.write_message("y".repeat(bytes)) {
            Err(error @ WriteError::TooSlow(_)) => {
                assert_eq!(error.into_payload(), Some("y".repeat(bytes).into()));
            }
            other => panic!("{sizes:?}: {other:?}"),
        }
        assert_eq!(spark.state(), State::Closed);
        let peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
        assert_eq!(
            (&peer.attach["resumed"], &peer.attach["reason"]),
            (&json!(false), &json!("overflow"))
        );
        let _ = soon(arrivals.recv()).await;
    }
}

#[tokio::test]
async fn an_end_while_the_client_is_away_is_told_when_it_comes_back_after_what_was_left() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for transport in TRANSPORTS {
        let peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let mut memory = peer.cut();
        detached(&spark).await;
        spark.write(&"last words").unwrap();
        spark.end(CloseReason::from_code(4123, "enough"));
        let mut peer = Peer::come_back(server.address(), transport, &mut memory).await.unwrap();
        assert_eq!(peer.attach["resumed"], true);
        let (messages, end) = peer.rest().await;
        assert_eq!(messages, ["\"last words\""], "{transport}");
        assert_eq!((&end["code"], &end["recv"]), (&json!(4123), &json!(0)), "{transport}");
        drop(peer);
    }
}

#[tokio::test]
async fn what_an_end_could_not_be_known_to_have_delivered_is_told() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let (told, mut heard) = mpsc::channel(4);
    server.on_disconnection(move |spark, _| {
        let _ = told.try_send(spark.undelivered());
        async {}
    });
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        spark.write(&1).unwrap();
        spark.write(&2).unwrap();
        assert_eq!(peer.text().await, "1");
        peer.send("primus::ack:1::").await;
        assert_eq!(peer.text().await, "2");
        until("the acknowledgement", || server.kept() < 70).await;
        spark.end(CloseReason::ENDED);
        peer.rest().await;
        // A close frame is answered, and a poll acknowledges; nothing follows the end of a stream.
        let unknown = if transport == "sse" { vec![Message::text("2")] } else { vec![] };
        assert_eq!(soon(heard.recv()).await.unwrap(), unknown, "{transport}");
    }
}
