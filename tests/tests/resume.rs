//! Sessions that survive their carriers, over real sockets and all three transports.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use primus::{Builder, CloseReason, Message, Rejection, Spark, State, WriteError, Written};
use primus_tests::{
    http,
    peer::{Memory, Peer, TRANSPORTS},
    server::{Server, soon, until},
};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

/// A server that hands every new spark to the test, and keeps it until the test lets go of it.
async fn server(builder: Builder) -> (Server, mpsc::Receiver<Spark>) {
    // Handlers that never return are dropped at once.
    let server = Server::start(builder.handler_grace(Duration::ZERO)).await;
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
async fn hooks_tell_the_detach_the_resume_and_the_end_in_their_order() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let (told, mut heard) = mpsc::channel(16);
    let tell = told.clone();
    server.on_detach(move |spark, reason| {
        let _ = tell.try_send(format!("detached {} {:?}", reason.code(), spark.state()));
        async {}
    });
    let tell = told.clone();
    server.on_resume(move |spark| {
        let _ = tell.try_send(format!("resumed by {}", spark.transformer()));
        async {}
    });
    server.on_disconnection(move |_, reason| {
        let _ = told.try_send(format!("over {}", reason.code()));
        async {}
    });
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    assert_eq!(soon(heard.recv()).await.unwrap(), "detached 1001 Detached");
    let mut peer = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(soon(heard.recv()).await.unwrap(), "resumed by sse");
    assert_eq!(spark.state(), State::Open);
    peer.send("primus::end::").await;
    assert_eq!(soon(heard.recv()).await.unwrap(), "over 1000");
}

#[tokio::test]
async fn who_flaps_faster_than_the_hooks_are_is_told_of_in_turn_and_within_bounds() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let told = Arc::<Mutex<Vec<&str>>>::default();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    server.on_detach({
        let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
        move |_, _| {
            told.lock().unwrap().push("detached");
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        }
    });
    let tell = Arc::clone(&told);
    server.on_resume(move |_| {
        tell.lock().unwrap().push("resumed");
        async {}
    });
    let tell = Arc::clone(&told);
    server.on_disconnection(move |_, _| {
        tell.lock().unwrap().push("over");
        async {}
    });
    let mut peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    for _ in 0..30 {
        let mut memory = peer.cut();
        detached(&spark).await;
        peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    }
    peer.send("primus::end::").await;
    drop(peer);
    until("the end", || server.sessions() == 0).await;
    gate.add_permits(100);
    until("the last word", || told.lock().unwrap().last() == Some(&"over")).await;
    let told = told.lock().unwrap();
    assert!((10..=18).contains(&told.len()), "{told:?}");
    for (index, what) in told[..told.len() - 1].iter().enumerate() {
        assert_eq!(*what, ["detached", "resumed"][index % 2], "{told:?}");
    }
}

#[tokio::test]
async fn a_detached_session_counts_as_connected_for_a_moment_and_as_a_session_until_it_ends() {
    let builder = Builder::new().detach_grace(Duration::from_millis(300));
    let (server, mut arrivals) = server(builder).await;
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    detached(&spark).await;
    assert_eq!((server.connected(), server.sessions()), (1, 1));
    until("the end of the grace", || server.connected() == 0).await;
    assert_eq!(server.sessions(), 1);
    let mut peer = Peer::come_back(server.address(), "polling", &mut memory).await.unwrap();
    assert_eq!((server.connected(), server.sessions()), (1, 1));
    peer.send("primus::end::").await;
    drop(peer);
    until("the end", || server.sessions() == 0).await;
    assert_eq!(server.connected(), 0);
}

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
async fn who_may_not_have_a_session_is_told_why_and_gets_a_new_one() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let to = server.address();
    let peer = Peer::connect(to, "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let memory = peer.memory.clone();
    let reason = async |change: &dyn Fn(&mut Memory)| {
        let mut memory = memory.clone();
        change(&mut memory);
        let mut peer = Peer::come_back(to, "polling", &mut memory).await.unwrap();
        assert_eq!(peer.attach["resumed"], false);
        assert_ne!(peer.id(), spark.id().to_string());
        let reason = peer.attach["reason"].as_str().expect("a reason").to_owned();
        peer.send("primus::end::").await;
        reason
    };
    let id = spark.id().to_string();
    let other = format!("{}{}", if id.starts_with('z') { 'y' } else { 'z' }, &id[1..]);
    assert_eq!(reason(&|memory| memory.session["key"] = json!("A".repeat(22))).await, "unknown");
    assert_eq!(reason(&|memory| memory.session["key"] = json!("?")).await, "unknown");
    assert_eq!(reason(&|memory| memory.session["id"] = json!("?")).await, "unknown");
    assert_eq!(
        reason(&|memory| {
            memory.session["id"] = json!(other);
            memory.session["epoch"] = json!("of another run");
        })
        .await,
        "restarted"
    );
    // Another client with a copy from before the last attach, or from before the last message.
    assert_eq!(
        reason(&|memory| (memory.client, memory.session["generation"]) = (7, json!(0))).await,
        "conflict"
    );
    assert_eq!(spark.state(), State::Open, "whoever asked in vain has changed nothing");
    drop(peer);
}

#[tokio::test]
async fn an_attach_that_comes_too_late_is_refused_and_changes_nothing() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let mut memory = peer.memory.clone();
        memory.attempt -= 1;
        let refusal =
            Peer::come_back(server.address(), transport, &mut memory).await.err().unwrap();
        assert_eq!(refusal.status, 409, "{transport}: {}", refusal.body);
        spark.write(&"still here").unwrap();
        assert_eq!(peer.text().await, "\"still here\"");
        memory.recv = 5;
        let refusal = Peer::come_back(server.address(), transport, &mut memory).await;
        assert_eq!(refusal.err().map(|refusal| refusal.status), Some(400), "{transport}");
        peer.send("primus::end::").await;
    }
}

#[tokio::test]
async fn who_comes_back_is_reauthorized_and_not_authorized_again() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let asked = Arc::<Mutex<Vec<&str>>>::default();
    let banned = Arc::<Mutex<bool>>::default();
    server.authorize({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.lock().unwrap().push("authorize");
            async { Ok("Ada".to_owned()) }
        }
    });
    server.reauthorize({
        let (asked, banned) = (Arc::clone(&asked), Arc::clone(&banned));
        move |user: Arc<String>, _| {
            asked.lock().unwrap().push("reauthorize");
            let banned = *banned.lock().unwrap() && *user == "Ada";
            async move { if banned { Err(Rejection::forbidden("banned")) } else { Ok(()) } }
        }
    });
    for transport in TRANSPORTS {
        *banned.lock().unwrap() = false;
        asked.lock().unwrap().clear();
        let peer = Peer::connect(server.address(), transport).await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let mut memory = peer.cut();
        let peer = Peer::come_back(server.address(), transport, &mut memory).await.unwrap();
        assert_eq!(peer.attach["resumed"], true);
        assert_eq!(*asked.lock().unwrap(), ["authorize", "reauthorize"], "{transport}");
        *banned.lock().unwrap() = true;
        let mut memory = peer.cut();
        let refusal =
            Peer::come_back(server.address(), transport, &mut memory).await.err().unwrap();
        assert_eq!(
            (refusal.status, &refusal.body["error"]),
            (403, &json!("banned")),
            "{transport}"
        );
        spark.end(CloseReason::ENDED);
    }
}

#[tokio::test]
async fn a_user_whose_time_is_over_begins_anew() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let until = Arc::new(Mutex::new(SystemTime::now() + Duration::from_secs(60)));
    server.authorize(async |_| Ok(()));
    server.expires({
        let until = Arc::clone(&until);
        move |_: &()| Some(*until.lock().unwrap())
    });
    let peer = Peer::connect(server.address(), "sse").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    let peer = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(peer.attach["resumed"], true);
    *until.lock().unwrap() = SystemTime::now();
    let mut memory = peer.cut();
    let peer = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(peer.attach["reason"], "expired");
    assert_eq!(spark.state(), State::Closed);
    assert_ne!(peer.id(), spark.id().to_string());
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
