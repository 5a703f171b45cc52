//! What is kept for clients that are away, slow or silent: how much, how long, and what makes room.

use std::time::Duration;

use primus::{Builder, Spark, State, Written};
use primus_tests::{
    http,
    peer::Peer,
    server::{Server, soon, until},
    ws::Client,
};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

async fn server(builder: Builder) -> (Server, mpsc::Receiver<Spark>) {
    let server = Server::start(builder).await;
    let (sparks, arrivals) = mpsc::channel(16);
    server.on_connection(move |spark| {
        sparks.try_send(spark.clone()).expect("the test lives");
        async move {
            std::future::pending::<()>().await;
            drop(spark);
            Ok(())
        }
    });
    (server, arrivals)
}

async fn detached(spark: &Spark) {
    until("the detach", || spark.state() == State::Detached).await;
}

#[tokio::test]
async fn what_is_acknowledged_is_kept_no_longer() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for transport in primus_tests::peer::TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        for number in 0..3 {
            spark.write(&number).unwrap();
            assert_eq!(peer.text().await, number.to_string());
        }
        assert!(server.kept() > 0, "{transport}");
        peer.send("primus::ack:3::").await;
        until("nothing is kept", || server.kept() == 0).await;
        peer.send("primus::end::").await;
        drop(peer);
        until("the end", || server.sessions() == 0).await;
    }
}

#[tokio::test]
async fn a_broadcast_to_many_that_are_away_is_kept_once() {
    const MANY: usize = 200;
    let (server, mut arrivals) = server(Builder::new()).await;
    let mut sparks = Vec::new();
    for _ in 0..MANY {
        let peer = Peer::connect(server.address(), "websocket").await;
        sparks.push(soon(arrivals.recv()).await.expect("a spark"));
        drop(peer);
    }
    for spark in &sparks {
        detached(spark).await;
    }
    let text = "x".repeat(50_000);
    assert_eq!(server.write_message(text), MANY);
    assert_eq!(server.frame_counters().shared_bytes(), 50_000);
    assert!(server.kept() < 50_000 + MANY * 100, "{} bytes are kept", server.kept());
    for spark in &sparks {
        spark.end(primus::CloseReason::ENDED);
    }
}

#[tokio::test]
async fn beyond_the_budget_those_who_have_been_away_longest_are_given_up() {
    let (server, mut arrivals) = server(Builder::new().resume_budget(100_000)).await;
    let mut away = Vec::new();
    for _ in 0..4 {
        let peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let memory = peer.cut();
        detached(&spark).await;
        spark.write_message("x".repeat(30_000)).unwrap();
        away.push((spark, memory));
    }
    // Three times 30,000 bytes and what keeping them costs are within 100,000, four are not.
    let states: Vec<_> = away.iter().map(|(spark, _)| spark.state()).collect();
    assert_eq!(states, [State::Closed, State::Detached, State::Detached, State::Detached]);
    let (_, memory) = &mut away[0];
    let peer = Peer::come_back(server.address(), "websocket", memory).await.unwrap();
    assert_eq!(peer.attach["reason"], "expired");
    let (_, memory) = &mut away[1];
    let mut peer = Peer::come_back(server.address(), "websocket", memory).await.unwrap();
    assert_eq!(peer.attach["resumed"], true);
    assert_eq!(peer.text().await.len(), 30_000);
}

#[tokio::test]
async fn a_client_that_never_acknowledges_loses_only_the_way_back() {
    let (server, mut arrivals) = server(Builder::new().resume_messages(8)).await;
    // One happens to have all of it, the other needs what has made room.
    for has in [100, 50] {
        let mut peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        for number in 0..100 {
            spark.write(&number).unwrap();
            assert_eq!(peer.text().await, number.to_string());
        }
        let mut memory = peer.cut();
        detached(&spark).await;
        memory.recv = has;
        let mut peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
        if has == 100 {
            assert_eq!(peer.attach["resumed"], true);
            spark.write(&"more").unwrap();
            assert_eq!(peer.text().await, "\"more\"");
        } else {
            assert_eq!(
                (&peer.attach["resumed"], &peer.attach["reason"]),
                (&json!(false), &json!("overflow"))
            );
            assert_eq!(spark.state(), State::Closed);
        }
    }
}

#[tokio::test]
async fn a_writer_that_awaits_ready_waits_for_acknowledgements_and_asks_for_them() {
    let (server, mut arrivals) = server(Builder::new().resume_messages(8)).await;
    let mut peer = primus_tests::ws::Client::resumable(server.address()).await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    for number in 0..7 {
        assert_eq!(spark.write(&number).unwrap(), Written::Queued);
    }
    assert_eq!(spark.write(&7).unwrap(), Written::Pressured);
    for number in 0..8 {
        assert_eq!(peer.text().await, number.to_string());
    }
    assert!(peer.text().await.starts_with("primus::ping:"), "it asks");
    let ready = tokio::spawn({
        let spark = spark.clone();
        async move { spark.ready().await }
    });
    peer.send("primus::pong:1:5::").await;
    soon(ready).await.unwrap().unwrap();
    assert_eq!(spark.write(&9).unwrap(), Written::Queued);
    assert_eq!(peer.text().await, "9");
}

#[tokio::test]
async fn more_acknowledged_than_was_sent_is_a_protocol_error() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for frame in
        ["primus::ack:1::", "primus::pong:1:1::", "primus::ping:1:1::", "primus::ack:0:2::"]
    {
        let mut peer = primus_tests::ws::Client::resumable(server.address()).await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        peer.send(frame).await;
        assert_eq!(peer.end_frame().await.1, 4400, "{frame}");
        drop(peer);
        until("the end", || spark.state() == State::Closed).await;
    }
}

#[tokio::test]
async fn volatile_messages_skip_who_is_away_and_conflated_ones_replace_each_other() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let mut peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    spark.write(&"first").unwrap();
    assert_eq!(peer.text().await, "\"first\"");
    assert_eq!(spark.volatile().write(&"now").unwrap(), Written::Queued);
    assert_eq!(peer.text().await, "\"now\"");
    let mut memory = peer.cut();
    detached(&spark).await;
    assert_eq!(spark.volatile().write(&"lost").unwrap(), Written::Dropped);
    assert_eq!(server.everyone().volatile().write(&"lost, too").unwrap(), 0);
    spark.conflate("ACME").write(&1).unwrap();
    spark.conflate("other").write(&"kept").unwrap();
    assert_eq!(server.everyone().conflate("ACME").write(&2).unwrap(), 1);
    spark.conflate("ACME").write(&3).unwrap();
    let mut peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!(peer.text().await, "\"kept\"");
    assert_eq!(peer.text().await, "3");
    // What has been written once has its number, and stays.
    spark.conflate("ACME").write(&4).unwrap();
    assert_eq!(peer.text().await, "4");
    let mut memory = peer.cut();
    memory.recv -= 1;
    detached(&spark).await;
    spark.conflate("ACME").write(&5).unwrap();
    let mut peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!((peer.text().await, peer.text().await), ("4".to_owned(), "5".to_owned()));
}

#[tokio::test]
async fn volatile_messages_are_dropped_while_the_client_does_not_read() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    // More than any socket takes at once.
    let large = "x".repeat(1 << 20);
    for _ in 0..16 {
        if spark.queued() == 0 {
            spark.write_message(large.clone()).unwrap();
        }
        tokio::task::yield_now().await;
    }
    until("it is dropped", || spark.volatile().write(&"v").unwrap() == Written::Dropped).await;
    drop(peer);
}

#[tokio::test]
async fn a_bare_event_source_comes_back_by_its_last_event_id() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let mut stream = http::get("/primus/sse").open(server.address()).await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let next = async |stream: &mut http::Open| {
        let mut id = None;
        loop {
            let line = soon(stream.line()).await.expect("a line");
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.trim_end().to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (id, data.trim_end().to_owned());
            }
        }
    };
    for number in 1..=3 {
        spark.write(&number).unwrap();
    }
    let (first, _) = next(&mut stream).await;
    let first = first.expect("an id");
    assert_eq!(next(&mut stream).await.1, "2");
    assert_eq!(next(&mut stream).await.1, "3");
    drop(stream);
    detached(&spark).await;
    spark.write(&4).unwrap();
    let back = |id: &str| http::get("/primus/sse").header("last-event-id", id);
    let mut stream = back(&first).open(server.address()).await;
    for number in 2..=4 {
        let (id, data) = next(&mut stream).await;
        assert_eq!(data, number.to_string());
        assert_eq!(id.unwrap(), format!("{}.{number}", first.split('.').next().unwrap()));
    }
    assert_eq!(spark.state(), State::Open);
    spark.end(primus::CloseReason::ENDED);
    until("the end", || server.sessions() == 0).await;
    let mut stream = back(&first).open(server.address()).await;
    assert_eq!(next(&mut stream).await.1, "{\"reason\":\"expired\"}");
    let spark = soon(arrivals.recv()).await.expect("another spark");
    spark.write(&"new").unwrap();
    let (id, data) = next(&mut stream).await;
    assert_eq!(data, "\"new\"");
    assert!(id.unwrap().ends_with(".1"));
}

#[tokio::test]
async fn a_batch_may_be_repeated_and_a_gap_is_told() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let peer = Peer::connect(server.address(), "polling").await;
    let mut spark = soon(arrivals.recv()).await.expect("a spark");
    let send = async |batch: &str| {
        let call = http::post("/primus/send?v=2", batch.to_owned());
        call.header("primus-token", peer.token()).send(server.address()).await
    };
    for _ in 0..3 {
        assert_eq!(send("primus::ack:0:1::\n1\n2\n").await.status, 204);
    }
    assert_eq!(send("primus::ack:0:2::\n2\n3\n").await.status, 204);
    let gap = send("primus::ack:0:5::\n5\n").await;
    assert_eq!((gap.status.as_u16(), gap.json()["recv"].clone()), (409, json!(3)));
    assert_eq!(send("primus::ack:0:4::\n4").await.status, 204);
    assert_eq!(send("5\n").await.status, 204, "without a number it goes on");
    for number in 1..=5 {
        assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some(&*number.to_string()));
    }
}

#[tokio::test]
async fn a_poll_whose_answer_was_lost_loses_nothing() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let peer = Peer::connect(server.address(), "polling").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    spark.write(&1).unwrap();
    spark.write(&2).unwrap();
    let poll = async |recv: &str| {
        let call = http::get(&format!("/primus/poll?v=2{recv}"));
        call.header("primus-token", peer.token()).send(server.address()).await
    };
    for _ in 0..3 {
        assert_eq!(poll("&recv=0").await.text(), "1\n2\n");
    }
    assert_eq!(poll("&recv=1").await.text(), "2\n");
    spark.write(&3).unwrap();
    assert_eq!(poll("&recv=2").await.text(), "3\n");
    assert_eq!(poll("&recv=1").await.status, 404, "what was acknowledged is gone");
    assert_eq!(poll("&recv=9").await.status, 404);
    assert_eq!(poll("&recv=x").await.status, 400);
    assert_eq!(poll("&recv=2").await.text(), "3\n");
}

#[tokio::test]
async fn without_a_window_a_session_ends_with_its_carrier() {
    let (server, mut arrivals) = server(Builder::new().resume_window(Duration::ZERO)).await;
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    until("the end", || spark.state() == State::Closed).await;
    assert_eq!(server.kept(), 0);
    let peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!(
        (&peer.attach["resumed"], &peer.attach["reason"]),
        (&json!(false), &json!("expired"))
    );
}

#[tokio::test]
async fn without_a_window_both_sides_count_as_ever() {
    let server = Server::echo(Builder::new().resume_window(Duration::ZERO)).await;
    let mut client = Client::resumable(server.address()).await;
    for sent in 1..=5 {
        client.echoes("\"a\"").await;
        client.send(format!("primus::ping:{sent}:{sent}::")).await;
        assert_eq!(client.text().await, format!("primus::pong:{sent}:{sent}::"));
    }
}

#[tokio::test]
async fn a_broadcast_to_many_that_are_there_costs_no_place_of_who_is_away() {
    let builder = Builder::new()
        .resume_budget(100_000)
        .detach_grace(Duration::ZERO)
        .close_timeout(Duration::from_millis(50));
    let (server, mut arrivals) = server(builder).await;
    let mut there = Vec::new();
    for _ in 0..8 {
        there.push(Peer::connect(server.address(), "websocket").await);
        soon(arrivals.recv()).await.expect("a spark");
    }
    assert_eq!(server.write_message("x".repeat(50_000)), 8);
    for peer in &mut there {
        assert_eq!(peer.text().await.len(), 50_000);
    }
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let memory = peer.cut();
    detached(&spark).await;
    assert_eq!(spark.write_message("y").unwrap(), Written::Queued);
    // What the others keep has been looked at by then.
    until("a look", || server.connected() == 8).await;
    spark.write_message("z").unwrap();
    assert_eq!(spark.state(), State::Detached);
    drop(memory);
}

#[tokio::test]
async fn a_carrier_that_loses_its_session_while_its_socket_is_full_is_over() {
    let builder =
        Builder::new().close_timeout(Duration::from_millis(50)).handler_grace(Duration::ZERO);
    let (server, mut arrivals) = server(builder).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let _first = Peer::connect(server.address(), "websocket").await;
    soon(arrivals.recv()).await.expect("a spark");
    let before = tasks();
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    until("the handshake's end", || tasks() == before + 1).await;
    // More than any socket takes, and nobody reads it.
    let large = "x".repeat(1 << 20);
    while spark.write_message(large.clone()).is_ok() {
        tokio::task::yield_now().await;
    }
    until("the end of the session", || spark.state() == State::Closed).await;
    until("the end of its driver", || tasks() == before).await;
    drop(peer);
}

#[tokio::test]
async fn a_bare_event_stream_resumes_though_its_page_posts_meanwhile() {
    let (server, mut arrivals) = server(Builder::new()).await;
    server.authorize(async |_| Ok(()));
    let (asked, mut asks) = mpsc::channel(1);
    server.reauthorize(move |_: std::sync::Arc<()>, _| {
        let (answer, verdict) = oneshot::channel();
        asked.try_send(answer).expect("it is asked once");
        async { verdict.await.expect("a verdict") }
    });
    let to = server.address();
    let mut stream = http::get("/primus/sse").open(to).await;
    let mut spark = soon(arrivals.recv()).await.expect("a spark");
    spark.write(&1).unwrap();
    let id = loop {
        let line = soon(stream.line()).await.expect("a line");
        if let Some(id) = line.strip_prefix("id: ") {
            break id.trim_end().to_owned();
        }
    };
    drop(stream);
    detached(&spark).await;
    let back = http::get("/primus/sse").header("last-event-id", &id);
    let back = tokio::spawn(async move { back.open(to).await });
    let verdict = soon(asks.recv()).await.expect("a question");
    let token = id.split('.').next().unwrap();
    let call = http::post(&format!("/primus/sse?token={token}"), "meanwhile");
    assert_eq!(call.send(to).await.status, 204);
    verdict.send(Ok(())).unwrap();
    let stream = soon(back).await.unwrap();
    assert_eq!(stream.status, 200);
    assert_eq!((server.sessions(), spark.state()), (1, State::Open));
    assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some("meanwhile"));
}

#[tokio::test]
async fn a_message_without_a_number_takes_no_place_of_one_that_has_it() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let mut peer = Peer::connect(server.address(), "polling").await;
    let mut spark = soon(arrivals.recv()).await.expect("a spark");
    for path in ["/primus/poll", "/primus"] {
        let call = http::post(path, "plain").header("primus-token", peer.token());
        assert_eq!(call.send(server.address()).await.status, 400, "{path}");
    }
    peer.send("1").await;
    assert_eq!(soon(spark.next()).await.unwrap().as_text(), Some("1"));
}
