//! Bytes that wait for a client that does not read.

use std::time::Duration;

use bytes::Bytes;
use primus::{Builder, Overflow, Spark, WriteError, Written};
use primus_tests::{
    server::{Server, until},
    ws::{Client, WsMessage},
};

use super::{bystander, spark, unharmed, websocket};

const PIECE: usize = 100_000;
/// The next to be written does not count for `max_queued`.
const MOST: usize = 6 * PIECE;

/// The n-th message that is written: its number, and padding.
fn numbered(n: u32) -> Bytes {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.resize(PIECE, 0);
    bytes.into()
}

/// Writes to a client that does not read until `enough`; what became of each message.
async fn flood(
    spark: &Spark,
    enough: impl Fn(&[Result<Written, WriteError>]) -> bool,
) -> Vec<Result<Written, WriteError>> {
    let mut results = Vec::new();
    while !enough(&results) {
        assert!(results.len() < 2000, "the client must be reading");
        results.push(spark.write_message(numbered(results.len() as u32)));
        // The connection takes what it can in between.
        tokio::task::yield_now().await;
    }
    results
}

/// Sends an echo, and reads the numbers that come before it.
async fn numbers_before_echo(client: &mut Client) -> Vec<usize> {
    client.send("alive").await;
    let mut numbers = Vec::new();
    loop {
        match client.data().await {
            WsMessage::Binary(bytes) => {
                assert_eq!(bytes.len(), PIECE);
                numbers.push(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
            }
            WsMessage::Text(text) if text == "alive" => return numbers,
            other => panic!("{other:?}"),
        }
    }
}

fn flooding(overflow: Overflow) -> Builder {
    websocket().overflow(overflow).max_message(PIECE).max_queued(5 * PIECE).pressure(2 * PIECE)
}

#[tokio::test]
async fn a_client_that_does_not_read_is_ended_with_4005_by_the_policy_disconnect() {
    let server = Server::echo(flooding(Overflow::Disconnect)).await;
    let bystander = bystander(&server).await;
    let mut client = Client::resumable(server.address()).await;
    let spark = spark(&server, &client);
    let results = flood(&spark, |results| results.iter().any(Result::is_err)).await;
    let last = results.len() - 1;
    assert!(matches!(results[last], Err(WriteError::TooSlow(_))), "{:?}", results[last]);
    assert!(matches!(results[last - 1], Ok(Written::Pressured)), "{:?}", results[last - 1]);
    assert!(matches!(spark.write("x"), Err(WriteError::Ended(_))));
    assert_eq!(spark.close_reason().unwrap().code(), 4005);
    // Once it reads, it learns why.
    let (end, code) = client.end_frame().await;
    assert_eq!(code, 4005);
    assert_eq!((&end["reason"], &end["reconnect"]), (&"too slow".into(), &true.into()));
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn a_client_that_never_reads_again_is_gone_after_the_close_timeout() {
    let builder = flooding(Overflow::Disconnect).close_timeout(Duration::from_millis(200));
    let server = Server::echo(builder).await;
    let bystander = bystander(&server).await;
    let client = Client::resumable(server.address()).await;
    let spark = spark(&server, &client);
    flood(&spark, |results| results.iter().any(Result::is_err)).await;
    until("its end", || server.spark(spark.id()).is_none()).await;
    assert_eq!(spark.close_reason().unwrap().code(), 4005);
    unharmed(&server, bystander).await;
    drop(client);
}

#[tokio::test]
async fn the_newest_messages_are_dropped_by_the_policy_drop_newest() {
    let server = Server::echo(flooding(Overflow::DropNewest)).await;
    let bystander = bystander(&server).await;
    let mut client = Client::attentive(server.address()).await;
    let spark = spark(&server, &client);
    let dropped = |result: &&Result<Written, WriteError>| matches!(result, Ok(Written::Dropped));
    let results = flood(&spark, |all| all.iter().filter(dropped).count() == 10).await;
    assert_eq!(spark.queued(), MOST);
    // It got exactly what was not said to be dropped.
    let kept = results.iter().enumerate().filter(|(_, result)| !dropped(result));
    let kept: Vec<usize> = kept.map(|(n, _)| n).collect();
    assert!(results.iter().all(Result::is_ok));
    let mut numbers = Vec::new();
    while numbers.len() < kept.len() {
        let WsMessage::Binary(bytes) = client.data().await else { panic!("a number") };
        numbers.push(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
    }
    assert_eq!(numbers, kept);
    client.echoes("alive").await;
    client.end().await;
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn the_oldest_messages_are_dropped_by_the_policy_drop_oldest() {
    let server = Server::echo(flooding(Overflow::DropOldest)).await;
    let bystander = bystander(&server).await;
    let mut client = Client::attentive(server.address()).await;
    let spark = spark(&server, &client);
    let results = flood(&spark, |all| all.len() == 200).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(spark.queued(), MOST);
    let numbers = numbers_before_echo(&mut client).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(numbers.len() < 200, "nothing was dropped");
    assert!(numbers.ends_with(&[196, 197, 198, 199]), "{numbers:?}");
    client.end().await;
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn one_message_of_the_largest_size_always_has_room() {
    for overflow in [Overflow::Disconnect, Overflow::DropNewest, Overflow::DropOldest] {
        let builder = websocket().max_queued(1000).pressure(1000).overflow(overflow);
        let server = Server::echo(builder.max_message(1 << 20)).await;
        let mut client = Client::attentive(server.address()).await;
        for _ in 0..3 {
            client.echoes(&"x".repeat(1 << 20)).await;
        }
    }
}
