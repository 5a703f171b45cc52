//! A handler that is busy, and a client that is slow.

use std::{ops::ControlFlow, pin::pin, task::Poll, time::Duration};

use super::{Log, next, websocket};
use primus::Spark;
use primus_tests::{
    server::{Server, until},
    ws::{Client, WsMessage},
};
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn a_handler_that_sleeps_three_times_the_ping_timeout_keeps_its_spark() {
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(250));
    let server = Server::start(websocket().ping_interval(interval).ping_timeout(timeout)).await;
    server.on_connection(move |mut spark| async move {
        while let Some(message) = spark.next().await {
            sleep(3 * timeout).await;
            spark.write_message(message)?;
        }
        Ok(())
    });
    for resumable in [false, true] {
        let (mut client, ping, pong) = if resumable {
            // What has been received is said along with it.
            let pong = WsMessage::text("primus::pong:7:1::");
            let client = Client::resumable(server.address()).await;
            (client, WsMessage::text("primus::ping:7::"), pong)
        } else {
            let pong = WsMessage::Pong("mine".into());
            (Client::plain(server.address()).await, WsMessage::Ping("mine".into()), pong)
        };
        client.send("busy").await;
        let began = Instant::now();
        client.send_message(ping).await;
        let mut answered = None;
        loop {
            let message = client.message().await.unwrap();
            if message == pong {
                answered = Some(began.elapsed());
            } else if message == WsMessage::text("busy") {
                break;
            } else if let WsMessage::Text(text) = &message
                && let Some(ping) = text.strip_prefix("primus::ping:")
            {
                let number = ping.strip_suffix(":1::").unwrap();
                client.send(format!("primus::pong:{number}::")).await;
            }
        }
        let answered = answered.expect("the client's ping is answered while the handler sleeps");
        assert!(answered < timeout && began.elapsed() >= 3 * timeout, "{answered:?}");
        // The client's pongs were counted meanwhile.
        let latency = server.for_each(|spark| ControlFlow::Break(spark.latency())).flatten();
        assert!(latency.is_some_and(|latency| latency < timeout), "{latency:?}");
        if resumable {
            client.end().await;
        } else {
            client.close().await;
        }
        until("the end", || server.sessions() == 0).await;
    }
}

#[tokio::test]
async fn pressure_is_told_and_ready_awaits_that_it_is_over() {
    let builder = websocket().pressure(1000).max_queued(1 << 20);
    let server = Server::start(builder).await;
    let (log, mut events) = Log::new();
    server.on_connection(move |spark| {
        let log = log.clone();
        async move {
            let text = "x".repeat(398); // 400 bytes as JSON
            for _ in 0..3 {
                log.add(format!("{:?}", spark.try_write(&text)));
            }
            log.add(format!("{:?} {}", spark.try_write(&text), spark.queued()));
            log.add(format!("{:?}", spark.write(&text)));
            let mut ready = pin!(spark.ready());
            let now = std::future::poll_fn(|cx| Poll::Ready(ready.as_mut().poll(cx))).await;
            log.add(format!("{}", now.is_pending()));
            ready.await?;
            log.add(format!("{:?} {}", spark.try_write(&text), spark.queued()));
            std::future::pending().await
        }
    });
    let mut client = Client::plain(server.address()).await;
    for _ in 0..5 {
        assert_eq!(client.text().await.len(), 400);
    }
    for expected in [
        "Ok(Queued)",
        "Ok(Queued)",
        "Ok(Pressured)",
        "Err(Full) 1200",
        "Ok(Pressured)",
        "true",
        "Ok(Queued) 400",
    ] {
        assert_eq!(next(&mut events).await, expected);
    }
}

#[tokio::test]
async fn a_writer_that_awaits_ready_never_overflows_a_client_that_reads_slowly() {
    let server = Server::start(websocket().max_queued(100_000).pressure(50_000)).await;
    server.on_connection(async |spark: Spark| {
        for n in 0..1000 {
            spark.ready().await?;
            spark.write(&format!("{n:>20000}"))?;
        }
        Ok(())
    });
    let mut client = Client::plain(server.address()).await;
    for n in 0..1000 {
        if n % 100 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(client.text().await, format!("\"{n:>20000}\""));
    }
    assert_eq!(client.close_code().await, 4000);
}
