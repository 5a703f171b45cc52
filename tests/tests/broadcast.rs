//! One message to many.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use primus::{
    CloseReason, DecodeError, EncodeError, Mount, Overflow, Parser, Payload, Primus, SparkId,
    core::parser::{Json, Visit},
};
use primus_tests::{
    http::{Open, get},
    peer::{Peer, TRANSPORTS},
    server::{Server, soon, until},
    ws,
};
use serde_json::Value;
use tokio::{runtime::Handle, sync::mpsc};

/// JSON that counts how often it encodes.
struct Counting(Arc<AtomicUsize>);

impl Parser for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Json.encode(value)
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        Json.decode(payload, visit)
    }
}

/// JSON whose name cannot be had for a while.
struct Fragile(Arc<AtomicBool>);

impl Parser for Fragile {
    fn name(&self) -> &'static str {
        assert!(!self.0.load(Ordering::Relaxed), "it has no name now");
        "fragile"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        Json.encode(value)
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        Json.decode(payload, visit)
    }
}

#[track_caller]
fn counted(server: &Server, encoded: u64, framed: u64) {
    let counters = server.frame_counters();
    assert_eq!((counters.encoded(), counters.framed()), (encoded, framed));
}

#[tokio::test]
async fn many_sparks_on_one_wire_form_cost_one_encoding_and_one_frame() {
    let encodings = Arc::<AtomicUsize>::default();
    let parser = Counting(Arc::clone(&encodings));
    let server = Server::start(Primus::builder().add_parser(parser).parser("counting")).await;
    assert_eq!(server.write("nobody").unwrap(), 0);
    counted(&server, 0, 0);

    let mut clients = Vec::new();
    for index in 0..48 {
        // The dialects of a WebSocket share their frames.
        clients.push(match index % 3 {
            0 => ws::Client::plain(server.address()).await,
            1 => ws::Client::classic(server.address()).await,
            _ => ws::Client::resumable(server.address()).await,
        });
    }
    for round in 1..=3 {
        assert_eq!(server.write(&round).unwrap(), 48);
        for client in &mut clients {
            assert_eq!(client.text().await, round.to_string());
        }
        counted(&server, round, round);
        assert_eq!(encodings.load(Ordering::Relaxed) as u64, round);
    }
    // A payload needs no encoding, and a frame for one alone is no broadcast's.
    assert_eq!(server.write_message("[4]"), 48);
    for client in &mut clients {
        assert_eq!(client.text().await, "[4]");
    }
    counted(&server, 3, 4);
}

/// One client of each wire form at a path.
struct EachForm {
    websocket: ws::Client,
    events: Peer,
    feed: Open,
    polls: Peer,
    plain_polls: String,
}

impl EachForm {
    async fn open(server: &Server, path: &str) -> Self {
        let to = server.address();
        let opened = get(&format!("{path}/poll")).send(to).await;
        let token = opened.header("primus-token");
        Self {
            websocket: ws::Client::open(to, path, &[]).await.expect("welcome"),
            events: Peer::open(to, "sse", path, Value::Null).await.expect("welcome"),
            feed: get(&format!("{path}/sse")).open(to).await,
            polls: Peer::open(to, "polling", path, Value::Null).await.expect("welcome"),
            plain_polls: format!("{path}/poll?token={token}"),
        }
    }

    async fn all_read(&mut self, server: &Server, expected: &str) {
        assert_eq!(self.websocket.text().await, expected);
        assert_eq!(self.events.text().await, expected);
        assert_eq!(self.feed.event().await.unwrap(), expected);
        assert_eq!(self.polls.text().await, expected);
        let polled = get(&self.plain_polls).send(server.address()).await;
        assert_eq!(polled.text(), format!("{expected}\n"));
    }
}

#[tokio::test]
async fn with_several_parsers_and_wire_forms_each_parser_encodes_once_and_each_form_is_framed_once()
{
    let encodings = Arc::<AtomicUsize>::default();
    let builder = Primus::builder()
        .add_parser(Counting(Arc::clone(&encodings)))
        .parser("counting")
        .mount("/same", Mount::new())
        .mount("/raw", Mount::new().parser("raw"));
    let server = Server::start(builder).await;
    let mut main =
        (EachForm::open(&server, "/primus").await, EachForm::open(&server, "/primus").await);
    let mut same = EachForm::open(&server, "/same").await;
    assert_eq!(server.write("x").unwrap(), 15);
    main.0.all_read(&server, "\"x\"").await;
    main.1.all_read(&server, "\"x\"").await;
    same.all_read(&server, "\"x\"").await;
    assert_eq!(encodings.load(Ordering::Relaxed), 1, "two mounts, one parser");
    counted(&server, 1, 5);

    let mut raw = EachForm::open(&server, "/raw").await;
    assert_eq!(server.write("y").unwrap(), 20);
    main.0.all_read(&server, "\"y\"").await;
    main.1.all_read(&server, "\"y\"").await;
    same.all_read(&server, "\"y\"").await;
    raw.all_read(&server, "y").await;
    assert_eq!(encodings.load(Ordering::Relaxed), 2);
    counted(&server, 1 + 2, 5 + 10);
}

#[tokio::test]
async fn a_value_that_a_parser_has_no_form_for_is_an_error() {
    let server = Server::start(Primus::builder().parser("raw")).await;
    assert_eq!(server.write(&[1]).unwrap(), 0, "nobody is there to encode it for");
    let mut client = ws::Client::plain(server.address()).await;
    let error = server.write(&[1]).unwrap_err().to_string();
    assert!(error.starts_with("the value cannot be encoded"), "{error}");
    assert_eq!(server.write("text").unwrap(), 1);
    assert_eq!(client.text().await, "text");
    counted(&server, 1, 1);
}

#[tokio::test]
async fn everyone_but_some() {
    let server = Server::start(Primus::builder().mount("/other", Mount::new())).await;
    let to = server.address();
    let mut peers = Vec::new();
    for transport in TRANSPORTS {
        peers.push(Peer::connect(to, transport).await);
    }
    peers.push(Peer::open(to, "websocket", "/other", Value::Null).await.unwrap());
    let spark = |peer: &Peer| server.spark(peer.id().parse::<SparkId>().unwrap()).unwrap();
    for left_out in 0..peers.len() {
        let spark = spark(&peers[left_out]);
        assert_eq!(server.except(&spark).write(&left_out).unwrap(), 3);
        assert_eq!(server.write("all").unwrap(), 4);
        for (index, peer) in peers.iter_mut().enumerate() {
            if index != left_out {
                assert_eq!(peer.text().await, left_out.to_string());
            }
            assert_eq!(peer.text().await, "\"all\"");
        }
    }
    let (first, second) = (spark(&peers[0]), spark(&peers[1]));
    assert_eq!(server.except(&first).except(&second).write_message("1"), 2);
    assert_eq!(peers[2].text().await, "1");
    assert_eq!(peers[3].text().await, "1");
    assert_eq!(first.mount().except(&first).write("mine").unwrap(), 2, "of this mount alone");
    assert_eq!(peers[1].text().await, "\"mine\"");
    assert_eq!(peers[2].text().await, "\"mine\"");
}

#[tokio::test]
async fn a_broadcast_to_a_mount_stays_there() {
    let server = Server::start(Primus::builder().mount("/other", Mount::new().parser("raw"))).await;
    let to = server.address();
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for transport in TRANSPORTS {
        here.push(Peer::connect(to, transport).await);
        there.push(Peer::open(to, transport, "/other", Value::Null).await.unwrap());
    }
    assert_eq!(server.mount("/primus").unwrap().write("here").unwrap(), 3);
    assert_eq!(server.mount("/other").unwrap().write("there").unwrap(), 3);
    assert_eq!(server.mount("/other").unwrap().write_message("last"), 3);
    assert_eq!(server.write("everywhere").unwrap(), 6);
    for peer in &mut here {
        assert_eq!(peer.text().await, "\"here\"");
        assert_eq!(peer.text().await, "\"everywhere\"");
    }
    for peer in &mut there {
        assert_eq!(peer.text().await, "there");
        assert_eq!(peer.text().await, "last");
        assert_eq!(peer.text().await, "everywhere");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_stays_loses_nothing_while_others_come_and_go() {
    const MESSAGES: usize = 300;
    let server = Server::start(Primus::builder()).await;
    let to = server.address();
    let stop = Arc::new(AtomicBool::new(false));
    let comings = Arc::<AtomicUsize>::default();

    let mut staying = Vec::new();
    for transport in TRANSPORTS.into_iter().cycle().take(9) {
        let mut peer = Peer::connect(to, transport).await;
        staying.push(tokio::spawn(async move {
            for expected in 0..MESSAGES {
                assert_eq!(peer.text().await, expected.to_string(), "{transport}");
            }
        }));
    }
    let mut churning = Vec::new();
    for transport in TRANSPORTS {
        let (stop, comings) = (Arc::clone(&stop), Arc::clone(&comings));
        churning.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut peer = Peer::connect(to, transport).await;
                comings.fetch_add(1, Ordering::Relaxed);
                // Some say good-bye, some just go.
                if comings.load(Ordering::Relaxed).is_multiple_of(2) {
                    peer.send("primus::end::").await;
                }
            }
        }));
    }
    for message in 0..MESSAGES {
        assert!(server.write(&message).unwrap() >= 9);
        let so_far = comings.load(Ordering::Relaxed);
        if message % 10 == 0 {
            until("another client", || comings.load(Ordering::Relaxed) > so_far).await;
        }
    }
    for peer in staying {
        soon(peer).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for churn in churning {
        soon(churn).await.unwrap();
    }
}

/// A message that fills sockets soon.
fn large() -> String {
    "x".repeat(64 << 10)
}

#[tokio::test]
async fn a_slow_consumer_is_ended_and_holds_nobody_up() {
    let builder = Primus::builder()
        .max_queued(256 << 10)
        .close_timeout(Duration::from_millis(100))
        .parser("raw");
    let server = Server::start(builder).await;
    let (told, mut reasons) = mpsc::channel(4);
    server.on_disconnection(move |spark, reason| {
        let told = told.clone();
        async move { told.send((spark.id(), reason)).await.unwrap() }
    });
    let mut fast = Vec::new();
    for transport in TRANSPORTS {
        fast.push(Peer::connect(server.address(), transport).await);
    }
    let slow = Peer::connect(server.address(), "websocket").await;
    let id: SparkId = slow.id().parse().unwrap();
    let message = large();
    let mut sent = 0;
    while reasons.is_empty() {
        sent += 1;
        assert!(sent < 1000, "64 MB have not filled its sockets");
        server.write(&message).unwrap();
        for peer in &mut fast {
            assert_eq!(peer.text().await.len(), message.len());
        }
    }
    let (ended, reason) = reasons.recv().await.unwrap();
    assert_eq!((ended, reason.code()), (id, CloseReason::TOO_SLOW.code()));
    assert_eq!(server.write("go on").unwrap(), 3);
    for peer in &mut fast {
        assert_eq!(peer.text().await, "go on");
    }
}

#[tokio::test]
async fn a_parser_that_panics_over_a_frame_ends_that_connection_and_no_other() {
    let broken = Arc::<AtomicBool>::default();
    let parser = Fragile(Arc::clone(&broken));
    let server = Server::start(Primus::builder().add_parser(parser).parser("fragile")).await;
    let mut before = ws::Client::resumable(server.address()).await;
    let mut plain = ws::Client::plain(server.address()).await;
    let mut behind = ws::Client::resumable(server.address()).await;
    broken.store(true, Ordering::Relaxed);
    // Only the frame for a plain client asks for the name.
    assert_eq!(server.everyone().emit("news", &1).unwrap(), 3);
    assert_eq!(before.text().await, "primus::event:news::1");
    assert_eq!(behind.text().await, "primus::event:news::1");
    assert_eq!(plain.message().await, None);
    broken.store(false, Ordering::Relaxed);
    until("the end of one", || server.sessions() == 2).await;
    assert_eq!(server.write(&2).unwrap(), 2);
    assert_eq!(before.text().await, "2");
    assert_eq!(behind.text().await, "2");
}

#[tokio::test]
async fn a_slow_consumer_that_may_miss_messages_stays() {
    let message = large();
    let builder = Primus::builder()
        .max_message(message.len())
        .max_queued(4 * message.len())
        .overflow(Overflow::DropNewest)
        .parser("raw");
    let server = Server::start(builder).await;
    let mut fast = Peer::connect(server.address(), "websocket").await;
    let mut slow = Peer::connect(server.address(), "websocket").await;
    let spark = server.spark(slow.id().parse().unwrap()).unwrap();
    let (mut sent, mut queued_for_both) = (0, 0);
    while sent < queued_for_both + 8 {
        sent += 1;
        assert!(sent < 1000, "64 MB have not filled its sockets");
        queued_for_both += usize::from(server.write(&message).unwrap() == 2);
        assert_eq!(fast.text().await.len(), message.len());
    }
    // The next to be written is not counted.
    assert_eq!(spark.queued(), 5 * message.len());
    assert_eq!(server.sessions(), 2);

    // It reads on, and there is room again.
    for _ in 0..queued_for_both {
        assert_eq!(slow.text().await.len(), message.len());
    }
    assert_eq!(server.write("again").unwrap(), 2);
    assert_eq!(slow.text().await, "again");
}

#[test]
fn a_server_outlives_the_runtime_on_which_it_was_used_first() {
    let primus = Primus::builder().build().unwrap();
    primus.on_connection(async |spark| {
        spark.write("welcome")?;
        std::future::pending().await
    });
    for _ in 0..2 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = primus.bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr();
            tokio::spawn(listener.serve());
            let mut client = ws::Client::plain(address).await;
            assert_eq!(client.text().await, "\"welcome\"");
            assert_eq!(primus.write("hello").unwrap(), 1);
            assert_eq!(client.text().await, "\"hello\"");
            primus.for_each(|spark| {
                spark.write("you").unwrap();
                ControlFlow::<()>::Continue(())
            });
            assert_eq!(client.text().await, "\"you\"");
        });
    }
}

#[tokio::test]
async fn a_broadcast_to_300_wakes_two_tasks() {
    let server = Server::start(Primus::builder().transformer("websocket")).await;
    let runtime = Handle::current().metrics();
    let tasks = || runtime.num_alive_tasks();
    let own = tasks() + 1; // the mount's, from its first session on
    let mut clients = Vec::new();
    for (count, woken) in [(1, 1), (256, 1), (257, 2), (300, 2)] {
        while clients.len() < count {
            clients.push(ws::Client::plain(server.address()).await);
        }
        until("rest, with one task for each", || tasks() == own + count).await;
        assert_eq!(server.write("first").unwrap(), count);
        assert_eq!(tasks() - own - count, woken, "for {count}");
        // What is published before they have run needs no others.
        assert_eq!(server.write("second").unwrap(), count);
        assert_eq!(tasks() - own - count, woken, "for {count}");
        for client in &mut clients {
            assert_eq!(client.text().await, "\"first\"");
            assert_eq!(client.text().await, "\"second\"");
        }
        assert_eq!(tasks(), own + count);
    }
}
