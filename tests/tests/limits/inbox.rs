//! What waits for a handler.

use std::{sync::Arc, time::Duration};

use primus_tests::{
    server::{Server, echo},
    ws::{Raw, frame, opcode},
};
use tokio::sync::{Semaphore, mpsc};

use super::websocket;

#[tokio::test]
async fn behind_a_busy_handler_nothing_more_is_read_and_nothing_is_lost() {
    let server = Server::start(websocket().inbox_messages(4)).await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    server.on_connection(move |spark| {
        let gate = Arc::clone(&opened);
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

/// A server whose handler waits for a permit, and then says how many messages it got.
async fn counting(gate: &Arc<Semaphore>) -> (Server, mpsc::Receiver<usize>) {
    let server = Server::start(websocket().inbox_messages(4)).await;
    let (count, counted) = mpsc::channel(1);
    let gate = Arc::clone(gate);
    server.on_connection(move |mut spark| {
        let (gate, count) = (Arc::clone(&gate), count.clone());
        async move {
            gate.acquire().await?.forget();
            let mut got = 0;
            while spark.next().await.is_some() {
                got += 1;
            }
            count.send(got).await?;
            Ok(())
        }
    });
    (server, counted)
}

#[tokio::test]
async fn an_end_behind_messages_that_find_the_inbox_full_comes_after_them() {
    let gate = Arc::new(Semaphore::new(0));
    let (server, mut counted) = counting(&gate).await;
    let headers = "sec-websocket-protocol: primus.2\r\n";
    let mut ours = Raw::open_as(server.address(), "/primus", headers).await;
    ours.send(frame(opcode::TEXT, "primus::attach::{}")).await;
    assert_eq!(ours.frame().await.unwrap().first, opcode::TEXT);
    let messages = (0..20).flat_map(|n: u8| frame(opcode::TEXT, n.to_string()));
    let end = frame(opcode::TEXT, "primus::end::");
    ours.send(messages.chain(end).collect::<Vec<u8>>()).await;
    gate.add_permits(1);
    assert_eq!(counted.recv().await, Some(20));
    assert_eq!(ours.frame_but(&[opcode::TEXT]).await.unwrap().first, opcode::CLOSE);
}

#[tokio::test]
async fn a_fault_behind_messages_that_find_the_inbox_full_is_found_after_them() {
    let gate = Arc::new(Semaphore::new(0));
    let (server, mut counted) = counting(&gate).await;
    let mut plain = Raw::open(server.address(), "/primus").await;
    let messages = (0..20).flat_map(|n: u8| frame(opcode::BINARY, [n]));
    let reserved = frame(0x83, "");
    plain.send(messages.chain(reserved).collect::<Vec<u8>>()).await;
    gate.add_permits(1);
    let close = plain.frame().await.unwrap();
    assert_eq!((close.first, &close.payload[..2]), (opcode::CLOSE, &1002_u16.to_be_bytes()[..]));
    assert_eq!(counted.recv().await, Some(20));
}
