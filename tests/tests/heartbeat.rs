//! The heartbeat: who is asked, who counts as alive, and who is given up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use primus::{Builder, CloseReason, Primus, Spark, State};
use primus_tests::{
    server::{Server, soon, until},
    ws::{Client, Closed, Raw, WsMessage, frame, opcode},
};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, timeout},
};

/// A server that asks every `interval` milliseconds and gives up `timeout` after that.
fn beats(interval: u64, timeout: u64) -> Builder {
    Primus::builder()
        .transformer("websocket")
        .ping_interval(Duration::from_millis(interval))
        .ping_timeout(Duration::from_millis(timeout))
        .close_timeout(Duration::from_millis(150))
}

// ---- pings ----

#[tokio::test]
async fn a_plain_client_gets_pings_of_the_protocol_and_nothing_else() {
    let server = Server::echo(beats(40, 2000)).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    let began = Instant::now();
    for _ in 0..5 {
        let frame = raw.frame().await.unwrap();
        assert_eq!((frame.first, &*frame.payload), (opcode::PING, &[][..]));
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(170), "{took:?}");
}

#[tokio::test]
async fn our_client_gets_numbered_pings_and_its_pong_tells_the_latency() {
    let server = Server::echo(beats(40, 2000)).await;
    let mut client = Client::resumable(server.address()).await;
    assert_eq!((&client.attach()["ping"], &client.attach()["timeout"]), (&40.into(), &2000.into()));
    let spark = server.spark(client.attach()["id"].as_str().unwrap().parse().unwrap()).unwrap();
    let mut last = 0;
    for _ in 0..4 {
        let ping = client.text().await;
        // It tells that nothing has been received, too.
        let number = ping.strip_prefix("primus::ping:").unwrap().strip_suffix(":0::").unwrap();
        let number: u64 = number.parse().unwrap();
        assert!(number > last, "{number} after {last}");
        last = number;
    }
    assert_eq!(spark.latency(), None);
    client.send(format!("primus::pong:{last}::")).await;
    until("the latency", || spark.latency().is_some()).await;
    let latency = spark.latency().unwrap();
    assert!(latency < Duration::from_millis(60), "{latency:?}");
}

#[tokio::test]
async fn a_classic_client_gets_its_pings_whatever_the_traffic() {
    let server = Server::echo(beats(100, 2000)).await;
    let mut client = Client::classic(server.address()).await;
    let began = Instant::now();
    let mut pings = Vec::new();
    while pings.len() < 4 {
        client.send("[1]").await;
        loop {
            let text = client.text().await;
            if text == "[1]" {
                break;
            }
            let ping: String = serde_json::from_str(&text).unwrap();
            pings.push(ping.strip_prefix("primus::ping::").unwrap().parse::<u64>().unwrap());
            client.send(Value::from(ping.replace("ping", "pong")).to_string()).await;
        }
        sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(300) && took < Duration::from_millis(1500), "{took:?}");
    // They carry the time of day, and come at their interval.
    assert!(pings[0] > 1_700_000_000_000, "{pings:?}");
    assert!(pings.windows(2).all(|pair| pair[1] - pair[0] >= 90), "{pings:?}");
}

#[tokio::test]
async fn without_an_interval_nobody_is_asked_and_nobody_is_given_up() {
    let server = Server::echo(beats(0, 20).close_timeout(Duration::from_millis(40))).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    assert!(timeout(Duration::from_millis(300), raw.frame()).await.is_err(), "no ping");
    raw.send(frame(opcode::TEXT, "still here")).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_pings_of_sparks_that_came_at_once_are_staggered() {
    // The shortest of all times says how often it is looked.
    let server = Server::echo(beats(1000, 5000).close_timeout(Duration::from_millis(40))).await;
    let to = server.address();
    let began = Instant::now();
    let first_pings = join_all((0..100).map(|_| async move {
        let mut client = Client::plain(to).await;
        assert!(matches!(client.message().await, Some(WsMessage::Ping(_))));
        began.elapsed()
    }))
    .await;
    let opened = first_pings.len();
    let earliest = *first_pings.iter().min().unwrap();
    let latest = *first_pings.iter().max().unwrap();
    assert!(earliest >= Duration::from_millis(490), "{earliest:?}");
    assert!(latest <= Duration::from_millis(1900), "{latest:?}");
    let mut at = [0; 100];
    for ping in &first_pings {
        at[(ping.as_millis() / 20) as usize] += 1;
    }
    let busiest = *at.iter().max().unwrap();
    assert!(busiest < opened / 3, "{busiest} of {opened} in the same instant");
    assert!(at.iter().filter(|count| **count > 0).count() > 12, "{at:?}");
}

// ---- signs of life ----

#[tokio::test]
async fn a_dead_peer_is_given_up_after_interval_and_timeout_with_4004() {
    let builder = beats(100, 200).close_timeout(Duration::from_millis(200));
    let server = Server::echo(builder).await;
    let mut codes = server.disconnections();
    for path in ["/primus", "/primus?_primuscb=1"] {
        let mut raw = Raw::open(server.address(), path).await;
        let began = Instant::now();
        let expected = Closed { code: 4004, text: "heartbeat".into() };
        assert_eq!(raw.closed().await, Some(expected));
        let took = began.elapsed();
        // It does not answer the close either.
        assert!(took > Duration::from_millis(290) && took < Duration::from_secs(1), "{took:?}");
        assert_eq!(soon(codes.recv()).await, Some(4004));
    }
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn a_dead_peer_that_may_come_back_is_detached_with_4004_and_not_ended() {
    let builder = beats(100, 200).close_timeout(Duration::from_millis(200));
    let server = Server::echo(builder).await;
    let mut codes = server.disconnections();
    let (lost, mut losses) = mpsc::channel(1);
    server.on_detach(move |spark: Spark, reason: CloseReason| {
        lost.try_send((spark, reason)).unwrap();
        async {}
    });
    let mut raw = Raw::resumable(server.address()).await;
    let began = Instant::now();
    let close = loop {
        let frame = raw.frame().await.expect("a close frame");
        if frame.first == opcode::CLOSE {
            break frame;
        }
        // In particular it is not told of an end.
        let text = String::from_utf8(frame.payload).unwrap();
        assert!(text.starts_with("primus::ping:"), "{text}");
    };
    assert_eq!(close.payload, [&4004_u16.to_be_bytes()[..], b"heartbeat"].concat());
    assert_eq!(raw.frame().await, None, "nothing follows");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(290) && took < Duration::from_secs(1), "{took:?}");
    let (spark, reason) = soon(losses.recv()).await.unwrap();
    assert_eq!(reason, CloseReason::HEARTBEAT);
    assert_eq!((spark.state(), spark.close_reason()), (State::Detached, None));
    assert_eq!(server.sessions(), 1);
    assert!(codes.try_recv().is_err());
}

#[tokio::test]
async fn without_a_resume_window_a_dead_peer_of_ours_is_told_the_end() {
    let builder = beats(100, 200).close_timeout(Duration::from_millis(200));
    let server = Server::echo(builder.resume_window(Duration::ZERO)).await;
    let mut codes = server.disconnections();
    let mut raw = Raw::resumable(server.address()).await;
    let end = loop {
        let frame = raw.frame().await.unwrap();
        let text = String::from_utf8(frame.payload).unwrap();
        if let Some(end) = text.strip_prefix("primus::end::") {
            break serde_json::from_str::<Value>(end).unwrap();
        }
        assert!(text.starts_with("primus::ping:"), "{text}");
    };
    assert_eq!((&end["code"], &end["reconnect"]), (&4004.into(), &true.into()));
    let expected = Closed { code: 4004, text: "heartbeat".into() };
    assert_eq!(raw.closed().await, Some(expected));
    assert_eq!(soon(codes.recv()).await, Some(4004));
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn any_traffic_is_a_sign_of_life() {
    let server = Server::echo(beats(60, 90)).await;
    let mut codes = server.disconnections();
    let text = frame(opcode::TEXT, "x".repeat(100));
    let (begin, end) = text.split_at(50);
    let control = frame(opcode::TEXT, "primus::pong:1::");
    let cases = [
        ("data", false, vec![text.clone()]),
        ("pongs", false, vec![frame(opcode::PONG, "")]),
        ("pings of its own", false, vec![frame(opcode::PING, "")]),
        ("halves of frames", false, vec![begin.to_vec(), end.to_vec()]),
        ("fragments", false, vec![frame(0x01, ""), frame(0x00, ""), frame(0x80, "")]),
        ("our pongs", true, vec![control]),
    ];
    let count = cases.len();
    let clients = cases.into_iter().map(async |(what, resumable, traffic)| {
        let mut raw = if resumable {
            Raw::resumable(server.address()).await
        } else {
            Raw::open(server.address(), "/primus").await
        };
        // Three times as long as a silent peer has.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(450) {
            for piece in &traffic {
                raw.send(piece).await;
                sleep(Duration::from_millis(30)).await;
            }
        }
        let (good_bye, code) = match resumable {
            true => (frame(opcode::TEXT, "primus::end::"), 1000),
            false => (frame(opcode::CLOSE, ""), 1005),
        };
        raw.send(good_bye).await;
        assert_eq!(raw.closed().await.map(|closed| closed.code), Some(code), "{what}");
    });
    join_all(clients).await;
    for _ in 0..count {
        assert_eq!(soon(codes.recv()).await, Some(1000));
    }
}

#[tokio::test]
async fn a_client_that_only_answers_pings_stays_and_goes_when_it_stops() {
    let server = Server::echo(beats(50, 400)).await;
    let mut codes = server.disconnections();
    let mut client = Client::plain(server.address()).await;
    // Longer than a silent peer has.
    for _ in 0..16 {
        // tungstenite answers as it is read from.
        assert!(matches!(client.message().await, Some(WsMessage::Ping(_))));
    }
    assert!(codes.try_recv().is_err());
    let mut raw = Raw::open(server.address(), "/primus").await;
    drop(client);
    assert_eq!(soon(codes.recv()).await, Some(1001));
    assert_eq!(raw.closed().await.unwrap().code, 4004);
}

#[tokio::test]
async fn the_deadline_does_not_run_while_it_is_the_handler_that_is_behind() {
    let server = Server::start(beats(50, 100).inbox_messages(4)).await;
    let mut codes = server.disconnections();
    let (gate, failed) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let (opened, ended) = (Arc::clone(&gate), Arc::clone(&failed));
    server.on_connection(move |mut spark| {
        let (gate, ended) = (Arc::clone(&opened), Arc::clone(&ended));
        async move {
            gate.acquire().await?.forget();
            ended.store(spark.state() != State::Open, Ordering::SeqCst);
            while let Some(message) = spark.next().await {
                spark.write_message(message)?;
            }
            Ok(())
        }
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    // Four fill the inbox, the fifth is held. From now on its signs of life are not read.
    for n in 0..20 {
        raw.send(frame(opcode::BINARY, [n])).await;
    }
    sleep(Duration::from_millis(600)).await;
    assert_eq!(server.sessions(), 1);
    gate.add_permits(1);
    for n in 0..20 {
        assert_eq!(raw.frame_but(&[opcode::PING]).await.unwrap().payload, [n]);
    }
    assert!(!failed.load(Ordering::SeqCst));
    // It runs again from now on.
    let began = Instant::now();
    assert_eq!(raw.closed().await.unwrap().code, 4004);
    assert!(began.elapsed() > Duration::from_millis(120), "{:?}", began.elapsed());
    drop(raw);
    assert_eq!(soon(codes.recv()).await, Some(4004));
    until("the end", || server.connected() == 0).await;
}
