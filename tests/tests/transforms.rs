//! What users put between the client and the handler: transforms of messages.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use primus::{Builder, Flow, Message, Primus, Written};
use primus_tests::{
    http::{get, post},
    peer::{Peer, TRANSPORTS},
    server::{Server, soon, until},
    ws,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::tungstenite;

/// Puts a text behind a string.
fn append(message: &mut Message, suffix: &str) -> Flow {
    let text: String = message.decode().unwrap();
    message.replace(&format!("{text}{suffix}")).unwrap();
    Flow::Pass
}

fn drop_if(message: &Message, text: &str) -> Flow {
    let drop = message.decode::<String>().is_ok_and(|found| found.contains(text));
    if drop { Flow::Drop } else { Flow::Pass }
}

/// The answer to a ping. Over a WebSocket it says what has been received, too; over HTTP the answer
/// to the POST has.
fn pong(transport: &str, number: u64, recv: u64) -> String {
    match transport {
        "websocket" => format!("primus::pong:{number}:{recv}::"),
        _ => format!("primus::pong:{number}::"),
    }
}

// ---- incoming ----

/// Sync, async, sync: they see what those before them made.
fn incoming() -> Builder {
    Primus::builder()
        .transform_in(|_, message| drop_if(message, "early"))
        .transform_in(|_, message| append(message, " 1"))
        .transform_in_async(async |_, mut message| {
            tokio::task::yield_now().await;
            append(&mut message, " 2");
            (drop_if(&message, "middle") == Flow::Pass).then_some(message)
        })
        .transform_in(|_, message| append(message, " 3"))
        .transform_in(|_, message| drop_if(message, "late"))
}

#[tokio::test]
async fn incoming_transforms_change_pass_and_drop_in_their_order_on_all_transports() {
    let server = Server::echo(incoming()).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        for text in ["early", "middle", "late", "a", "early", "b"] {
            peer.send(&format!("\"{text}\"")).await;
        }
        assert_eq!(peer.text().await, "\"a 1 2 3\"", "{transport}");
        assert_eq!(peer.text().await, "\"b 1 2 3\"", "{transport}");
    }
    let mut plain = ws::Client::plain(server.address()).await;
    plain.send("\"early\"").await;
    plain.send("\"plain\"").await;
    assert_eq!(plain.text().await, "\"plain 1 2 3\"");
    let answer = post("/primus", "\"once\"").send(server.address()).await;
    assert_eq!(answer.text(), "\"once 1 2 3\"\n");
    let dropped = post("/primus", "\"late\"").send(server.address()).await;
    assert_eq!((dropped.status.as_u16(), dropped.text()), (204, ""));
}

#[tokio::test]
async fn callbacks_get_what_the_incoming_transforms_have_made() {
    let server = Server::start(incoming()).await;
    server.on_connection(async |spark| {
        spark.on_data(|spark, message| {
            spark.write_message(message).unwrap();
        });
        Ok(())
    });
    let mut peer = Peer::connect(server.address(), "websocket").await;
    peer.send("\"middle\"").await;
    peer.send("\"a\"").await;
    assert_eq!(peer.text().await, "\"a 1 2 3\"");
}

#[tokio::test]
async fn a_transform_that_never_returns_leaves_nothing_behind() {
    let user = Arc::new(());
    let (seen, mut seeing) = mpsc::channel(8);
    let server = Server::echo(
        Primus::builder().handler_grace(std::time::Duration::from_millis(100)).transform_in_async(
            move |_, message: Message| {
                let seen = seen.clone();
                async move {
                    seen.send(()).await.unwrap();
                    std::future::pending::<()>().await;
                    Some(message)
                }
            },
        ),
    )
    .await;
    let owned = Arc::clone(&user);
    server.authorize(move |_| {
        let user = Arc::clone(&owned);
        async move { Ok::<_, primus::Rejection>(user) }
    });
    server.on_connection(async |mut spark| {
        while spark.next().await.is_some() {}
        Ok(())
    });
    let mut peer = Peer::connect(server.address(), "websocket").await;
    peer.send("1").await;
    soon(seeing.recv()).await.unwrap();
    let report = server
        .end(primus::End {
            close: false,
            deadline: std::time::Duration::from_millis(300),
            ..Default::default()
        })
        .await;
    assert_eq!(report.ended + report.cut, 1);
    drop(peer);
    // The handler is dropped after its grace, and with it everything else.
    until("the user is dropped", || Arc::strong_count(&user) == 2).await;
}

#[tokio::test]
async fn a_slow_message_is_not_overtaken_and_holds_nobody_else_up() {
    let gate = Arc::new(Semaphore::new(0));
    let (seen, mut seeing) = mpsc::channel(8);
    let closed = Arc::clone(&gate);
    let server = Server::echo(Primus::builder().transform_in_async(move |_, message: Message| {
        let (seen, gate) = (seen.clone(), Arc::clone(&closed));
        async move {
            seen.send(message.as_text().unwrap().to_owned()).await.unwrap();
            if message.as_text() == Some("\"slow\"") {
                gate.acquire().await.unwrap().forget();
            }
            Some(message)
        }
    }))
    .await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send("\"slow\"").await;
        assert_eq!(soon(seeing.recv()).await.unwrap(), "\"slow\"");
        peer.send("\"fast\"").await;
        // Control goes on meanwhile, what the server says too, and so do others.
        peer.send("primus::ping:7::").await;
        assert_eq!(peer.frame().await.unwrap(), pong(transport, 7, 2), "{transport}");
        server.write("news").unwrap();
        assert_eq!(peer.text().await, "\"news\"", "{transport}");
        let mut other = Peer::connect(server.address(), transport).await;
        other.send("\"other\"").await;
        assert_eq!(other.text().await, "\"other\"");
        assert_eq!(soon(seeing.recv()).await.unwrap(), "\"other\"");
        assert!(seeing.try_recv().is_err(), "`fast` waits for its turn");

        gate.add_permits(1);
        assert_eq!(peer.text().await, "\"slow\"", "{transport}");
        assert_eq!(peer.text().await, "\"fast\"", "{transport}");
        assert_eq!(soon(seeing.recv()).await.unwrap(), "\"fast\"");
    }
}

#[tokio::test]
async fn an_incoming_transform_that_panics_ends_its_spark_and_nothing_else() {
    let panics = |message: &Message| assert_ne!(message.as_text(), Some("\"panic\""), "as asked");
    for builder in [
        Primus::builder().transform_in(move |_, message| {
            panics(message);
            Flow::Pass
        }),
        Primus::builder().transform_in_async(move |_, message: Message| async move {
            tokio::task::yield_now().await;
            panics(&message);
            Some(message)
        }),
    ] {
        let server = Server::echo(builder).await;
        let mut bystander = Peer::connect(server.address(), "websocket").await;
        for transport in TRANSPORTS {
            let mut peer = Peer::connect(server.address(), transport).await;
            peer.send("\"panic\"").await;
            let (messages, end) = peer.rest().await;
            assert_eq!((messages.len(), end["code"].as_u64()), (0, Some(1011)), "{transport}");
        }
        bystander.send("\"still here\"").await;
        assert_eq!(bystander.text().await, "\"still here\"");
    }
}

// ---- outgoing ----

/// Writes `secret` in the way that the client names.
async fn write_as_asked(server: &Server) {
    let primus = server.primus();
    server.on_connection(move |mut spark| {
        let primus = primus.clone();
        async move {
            while let Some(message) = spark.next().await {
                let message: String = message.decode()?;
                let secret = Message::text("\"secret\"");
                match &*message {
                    "write" => drop(spark.write("secret")?),
                    "try_write" => drop(spark.try_write("secret")?),
                    "write_message" => drop(spark.write_message("\"secret\"")?),
                    "sink" => spark.send(secret).await?,
                    "forward" => {
                        let (sink, _stream) = spark.clone().split();
                        futures_util::stream::iter([Ok(secret)]).forward(sink).await?;
                    }
                    "broadcast" => drop(primus.write("secret")?),
                    "broadcast_message" => drop(primus.write_message("\"secret\"")),
                    "mount" => drop(spark.mount().write("secret")?),
                    "everyone" => drop(primus.everyone().write_message("\"secret\"")),
                    "except" => drop(primus.except(&spark).write("secret")?),
                    "for_each" => {
                        let _: Option<()> = primus.for_each(|spark| {
                            spark.write("secret").unwrap();
                            std::ops::ControlFlow::Continue(())
                        });
                    }
                    "dropped" => assert_eq!(spark.write("drop me")?, Written::Dropped),
                    "end_with" => drop(spark.end_with("secret")?),
                    other => return Err(format!("there is no way {other}").into()),
                }
            }
            Ok(())
        }
    });
}

#[tokio::test]
async fn outgoing_transforms_see_every_message_whatever_path_it_takes() {
    let redact = |message: &mut Message| {
        let text: String = message.decode().unwrap();
        message.replace(&text.replace("secret", "***")).unwrap();
        drop_if(message, "drop")
    };
    // Both kinds, and a shared one behind one that looks at the spark.
    let shared = Primus::builder()
        .transform_out(redact)
        .transform_out(|message| append(message, " 1"))
        .transform_out(|message| append(message, " 2"));
    let per_spark = Primus::builder()
        .transform_out_per_spark(move |_, message| redact(message))
        .transform_out(|message| append(message, " 1"))
        .transform_out_per_spark(|_, message| append(message, " 2"));
    for builder in [shared, per_spark] {
        let server = Server::start(builder).await;
        write_as_asked(&server).await;
        for transport in TRANSPORTS {
            let mut peer = Peer::connect(server.address(), transport).await;
            for way in [
                "write",
                "try_write",
                "write_message",
                "sink",
                "broadcast",
                "broadcast_message",
                "mount",
                "everyone",
                "for_each",
            ] {
                peer.send("\"dropped\"").await;
                peer.send(&format!("\"{way}\"")).await;
                assert_eq!(peer.text().await, "\"*** 1 2\"", "{way} over {transport}");
            }
            let mut other = Peer::connect(server.address(), transport).await;
            other.send("\"except\"").await;
            assert_eq!(peer.text().await, "\"*** 1 2\"", "except over {transport}");
            other.send("\"forward\"").await;
            let (messages, end) = other.rest().await;
            assert_eq!(messages, ["\"*** 1 2\""], "forward over {transport}");
            assert_eq!(end["code"], 4000, "forward closes what it has written to");
            peer.send("\"end_with\"").await;
            let (messages, end) = peer.rest().await;
            assert_eq!(messages, ["\"*** 1 2\""], "end_with over {transport}");
            assert_eq!(end["code"], 4000);
        }
        let once = post("/primus", "\"write\"").send(server.address()).await;
        assert_eq!(once.text(), "\"*** 1 2\"\n");
        let mut stream = get("/primus/sse").open(server.address()).await;
        let mut plain = ws::Client::plain(server.address()).await;
        plain.send("\"broadcast\"").await;
        assert_eq!(plain.text().await, "\"*** 1 2\"");
        assert_eq!(stream.event().await.unwrap(), "\"*** 1 2\"");
    }
}

#[tokio::test]
async fn a_shared_transform_runs_once_a_broadcast() {
    let runs = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&runs);
    let server = Server::echo(Primus::builder().transform_out(move |message| {
        count.fetch_add(1, Ordering::Relaxed);
        append(message, "!")
    }))
    .await;
    let mut peers = Vec::new();
    for transport in TRANSPORTS.into_iter().cycle().take(9) {
        peers.push(Peer::connect(server.address(), transport).await);
    }
    assert_eq!(server.write("all").unwrap(), 9);
    for peer in &mut peers {
        assert_eq!(peer.text().await, "\"all!\"");
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!((server.frame_counters().encoded(), server.frame_counters().framed()), (1, 3));
}

#[tokio::test]
async fn a_transform_that_looks_at_the_spark_takes_it_out_of_the_shared_frame() {
    let (before, behind) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (count_before, count_behind) = (Arc::clone(&before), Arc::clone(&behind));
    let server = Server::echo(
        Primus::builder()
            .transform_out(move |_| {
                count_before.fetch_add(1, Ordering::Relaxed);
                Flow::Pass
            })
            .transform_out_per_spark(|spark, message| match spark.query().get("name") {
                Some("nobody") => Flow::Drop,
                name => append(message, &format!(", {}", name.unwrap_or("you"))),
            })
            .transform_out(move |_| {
                count_behind.fetch_add(1, Ordering::Relaxed);
                Flow::Pass
            }),
    )
    .await;
    let to = server.address();
    let mut ada = get("/primus/sse?name=Ada").open(to).await;
    let mut nobody = ws::Client::open(to, "/primus?name=nobody", &[]).await.ok().unwrap();
    let mut bob = ws::Client::open(to, "/primus?name=Bob", &[]).await.ok().unwrap();
    let mut unnamed = Peer::connect(to, "polling").await;
    assert_eq!(server.write("hello").unwrap(), 3, "it was dropped for one");
    assert_eq!(ada.event().await.unwrap(), "\"hello, Ada\"");
    assert_eq!(bob.text().await, "\"hello, Bob\"");
    assert_eq!(unnamed.text().await, "\"hello, you\"");
    assert_eq!((server.frame_counters().encoded(), server.frame_counters().framed()), (1, 0));
    assert_eq!(before.load(Ordering::Relaxed), 1, "in front of it: once");
    assert_eq!(behind.load(Ordering::Relaxed), 3, "behind it: once for each receiver");
    nobody.send_message(tungstenite::Message::Ping("n".into())).await;
    assert_eq!(nobody.message().await, Some(tungstenite::Message::Pong("n".into())));
}

#[tokio::test]
async fn transforms_see_binary_messages_too() {
    let reverse = |message: &mut Message| {
        assert!(message.is_binary());
        message.replace_payload(message.as_bytes().iter().rev().copied().collect::<Vec<_>>());
        Flow::Pass
    };
    let server = Server::echo(
        Primus::builder()
            .transform_in(|_, message| {
                message.replace_payload([message.as_bytes(), &[9]].concat());
                Flow::Pass
            })
            .transform_out(reverse),
    )
    .await;
    let mut client = ws::Client::plain(server.address()).await;
    client.send_message(tungstenite::Message::binary(vec![1, 2])).await;
    assert_eq!(client.data().await, tungstenite::Message::binary(vec![9, 2, 1]));
    let mut polling = Peer::connect(server.address(), "polling").await;
    polling.send("primus::binary::AQI=").await;
    assert_eq!(polling.text().await, "primus::binary::CQIB");
}

#[tokio::test]
async fn control_messages_pass_by_all_transforms() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (incoming, outgoing, per_spark) = (Arc::clone(&seen), Arc::clone(&seen), Arc::clone(&seen));
    let server = Server::echo(
        Primus::builder()
            .ping_interval(Duration::from_millis(100))
            .transform_in(move |_, message| {
                incoming.lock().unwrap().push(message.as_text().unwrap().to_owned());
                Flow::Pass
            })
            .transform_out(move |message| {
                outgoing.lock().unwrap().push(message.as_text().unwrap().to_owned());
                Flow::Pass
            })
            .transform_out_per_spark(move |_, message| {
                per_spark.lock().unwrap().push(message.as_text().unwrap().to_owned());
                Flow::Drop
            }),
    )
    .await;
    let to = server.address();
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(to, transport).await;
        peer.send("primus::ping:1::").await;
        assert_eq!(peer.frame().await.unwrap(), pong(transport, 1, 0), "{transport}");
        peer.send("primus::pong:5::").await;
        peer.send("\"data\"").await;
        peer.send("primus::end::").await;
    }
    let mut classic = ws::Client::classic(to).await;
    assert!(classic.text().await.starts_with("\"primus::ping::"));
    classic.send("\"primus::pong::1\"").await;
    classic.send("\"primus::id::\"").await;
    let id = loop {
        let text = classic.text().await;
        if !text.starts_with("\"primus::ping::") {
            break text;
        }
    };
    assert!(id.starts_with("\"primus::id::"), "{id}");
    let mut plain = ws::Client::plain(to).await;
    assert_eq!(plain.message().await, Some(tungstenite::Message::Ping("".into())));
    // What is no control message does pass through: the same text three times.
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, ["\"data\""; 9]);
}
