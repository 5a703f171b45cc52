//! What waits for a handler.

use std::time::Duration;

use primus_tests::{
    server::{Server, echo},
    ws::{Raw, frame, opcode},
};

use super::websocket;

#[tokio::test]
async fn behind_a_busy_handler_nothing_more_is_read_and_nothing_is_lost() {
    let server = Server::start(websocket().inbox_messages(4)).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = std::sync::Arc::clone(&gate);
    server.on_connection(move |spark| {
        let gate = std::sync::Arc::clone(&opened);
        async move {
            gate.acquire().await?.forget();
            echo(spark).await
        }
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    let message = |n: u8| frame(opcode::BINARY, [n; 50_000]);
    // A ping behind five messages is not seen: four are in the inbox, the fifth waits.
    raw.send([message(0), message(1), message(2), frame(opcode::PING, "seen")].concat()).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"seen");
    raw.send([message(3), message(4), frame(opcode::PING, "unseen")].concat()).await;
    // The socket's own buffers are finite, so a client that goes on is held up.
    let flood = (5..250).flat_map(message).collect::<Vec<u8>>();
    assert!(
        tokio::time::timeout(Duration::from_millis(200), raw.send(&flood)).await.is_err(),
        "12 MB were taken though nobody reads"
    );
    gate.add_permits(1);
    for n in 0..4 {
        let echoed = raw.frame().await.unwrap();
        assert_eq!((echoed.first, echoed.payload[0]), (opcode::BINARY, n));
    }
    assert_eq!(raw.frame_but(&[opcode::BINARY]).await.unwrap().payload, b"unseen");
}

#[tokio::test]
async fn a_burst_of_small_messages_that_fills_the_inbox_arrives_whole() {
    for inbox in [1, 2, 3, 64] {
        let server = Server::echo(websocket().inbox_messages(inbox)).await;
        let burst = |count: u8| (0..count).flat_map(|n| frame(opcode::BINARY, [n]));
        let mut plain = Raw::open(server.address(), "/primus").await;
        plain.send(burst(200).collect::<Vec<u8>>()).await;
        for n in 0..200 {
            assert_eq!(plain.frame().await.unwrap().payload, [n]);
        }
        // Also one that does not wait for the answer to its attach.
        let headers = "sec-websocket-protocol: primus.2\r\n";
        let mut ours = Raw::open_as(server.address(), "/primus", headers).await;
        let attach = frame(opcode::TEXT, "primus::attach::{}");
        ours.send(attach.into_iter().chain(burst(5)).collect::<Vec<u8>>()).await;
        assert_eq!(ours.frame().await.unwrap().first, opcode::TEXT);
        for n in 0..5 {
            assert_eq!(ours.frame().await.unwrap().payload, [n]);
        }
    }
}
