//! Requests both ways, and every way in which there is no answer.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use primus::{CloseReason, Primus, Rejection, RequestError, Spark, State};
use primus_tests::{
    peer::{Peer, TRANSPORTS},
    server::{Server, soon, until},
    ws,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

fn spark_of(server: &Server, client: &Peer) -> Spark {
    server.spark(client.id().parse().unwrap()).unwrap()
}

/// Number and name of a request of the server.
fn request(frame: &str) -> (u64, String) {
    let head = frame.strip_prefix("primus::request:").unwrap();
    let (id, rest) = head.split_once(':').unwrap();
    (id.parse().unwrap(), rest.to_owned())
}

#[tokio::test]
async fn what_a_listener_returns_is_the_answer_on_every_transport() {
    let server = Server::start(Primus::builder()).await;
    server.on("sum", async |(a, b): (i64, i64)| a + b).unwrap();
    server
        .on("divide", async |(a, b): (i64, i64)| match a.checked_div(b) {
            Some(quotient) => Ok(quotient),
            None => Err(Rejection::new(http::StatusCode::BAD_REQUEST, "by zero?")),
        })
        .unwrap();
    server.on("nothing", async |(): ()| ()).unwrap();
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        assert_eq!(client.ask(1, "primus::request:1:sum::[2,3]").await, "5");
        assert_eq!(client.ask(2, "primus::request:2:divide::[7,2]").await, "3");
        assert_eq!(
            client.ask(3, "primus::request:3:divide::[7,0]").await,
            r#"{"error":"by zero?","status":400}"#
        );
        assert_eq!(client.ask(4, "primus::request:4:nothing::null").await, "null");
        assert_eq!(
            client.ask(5, "primus::request:5:unknown::null").await,
            r#"{"error":"nobody listens for unknown","status":404}"#
        );
    }
}

#[tokio::test]
async fn a_request_does_not_wait_for_the_answer_of_another() {
    let server = Server::start(Primus::builder()).await;
    let go_on = Arc::new(Notify::new());
    let gate = Arc::clone(&go_on);
    server
        .on("slow", move |(): ()| {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                "slow"
            }
        })
        .unwrap();
    server.on("fast", async |(): ()| "fast").unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("primus::request:1:slow::null").await;
    assert_eq!(client.ask(2, "primus::request:2:fast::null").await, r#""fast""#);
    go_on.notify_one();
    assert_eq!(client.text().await, r#"primus::reply:1::"slow""#);
}

#[tokio::test]
async fn the_server_asks_and_each_way_not_to_answer_is_an_error_of_its_own() {
    let server = Server::start(Primus::builder()).await;
    for transport in TRANSPORTS {
        let mut client = Peer::connect(server.address(), transport).await;
        let spark = spark_of(&server, &client);
        let asked = |spark: &Spark| {
            let spark = spark.clone();
            tokio::spawn(async move { spark.request::<u32>("age", &json!({ "of": "Ada" })).await })
        };

        let answer = asked(&spark);
        let (id, rest) = request(&client.text().await);
        assert_eq!(rest, r#"age::{"of":"Ada"}"#);
        client.send("primus::reply:0::1").await; // of nobody
        client.send(&format!("primus::reply:{id}::36")).await;
        client.send(&format!("primus::reply:{id}::37")).await; // once more
        assert_eq!(answer.await.unwrap().unwrap(), 36);

        let answer = asked(&spark);
        let (id, _) = request(&client.text().await);
        client
            .send(&format!("primus::refuse:{id}::{{\"status\":403,\"error\":{{\"a\":1}}}}"))
            .await;
        let error = answer.await.unwrap().unwrap_err();
        let RequestError::Refused(rejection) = &error else { panic!("{error}") };
        assert_eq!((rejection.status().as_u16(), rejection.error()), (403, &json!({ "a": 1 })));

        let answer = asked(&spark);
        let (id, _) = request(&client.text().await);
        client.send(&format!("primus::reply:{id}::\"old\"")).await;
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, RequestError::Answer(_)), "{error}");

        let late = spark.request::<u32>("age", &()).timeout(Duration::from_millis(20));
        assert!(matches!(late.await, Err(RequestError::Timeout)));
        let (id, _) = request(&client.text().await);
        client.send(&format!("primus::reply:{id}::1")).await; // too late, and harmless

        let (cancel, canceled) = oneshot::channel::<()>();
        let waiting = spark.request::<u32>("age", &()).until(async move {
            let _ = canceled.await;
        });
        let waiting = tokio::spawn(waiting.into_future());
        request(&client.text().await);
        drop(cancel);
        assert!(matches!(waiting.await.unwrap(), Err(RequestError::Canceled)));

        let answer = asked(&spark);
        request(&client.text().await);
        spark.end(CloseReason::ENDED);
        client.rest().await;
        assert!(matches!(answer.await.unwrap(), Err(RequestError::Closed)), "{transport}");
        let answer = spark.request::<u32>("age", &()).await;
        assert!(matches!(answer, Err(RequestError::Closed)));
    }
}

#[tokio::test]
async fn a_client_that_cannot_answer_is_not_waited_for() {
    let server = Server::start(Primus::builder()).await;
    let mut client = ws::Client::plain(server.address()).await;
    until("a spark", || server.sessions() == 1).await;
    let spark = server.everyone().sparks().remove(0);
    let answer = spark.request::<u32>("age", &()).await;
    assert!(matches!(answer, Err(RequestError::Unanswerable)));
    spark.write(&1).unwrap();
    assert_eq!(client.text().await, "1");
}

#[tokio::test]
async fn requests_are_bounded_and_what_is_dropped_makes_room() {
    let server = Server::start(Primus::builder().max_requests(2)).await;
    let client = Peer::connect(server.address(), "websocket").await;
    let spark = spark_of(&server, &client);
    let one = spark.request::<u32>("a", &());
    let two = spark.request::<u32>("b", &());
    let three = spark.request::<u32>("c", &());
    assert!(matches!(three.await, Err(RequestError::TooMany)));
    drop(one);
    let four = spark.request::<u32>("d", &()).timeout(Duration::from_millis(5));
    assert!(matches!(four.await, Err(RequestError::Timeout)));
    let five = spark.request::<u32>("e", &()).timeout(Duration::from_millis(5));
    assert!(matches!(five.await, Err(RequestError::Timeout)), "a timeout makes room, too");
    drop(two);
}

#[tokio::test]
async fn a_handler_gets_its_answer_although_1000_messages_wait_ahead_of_it() {
    for transport in TRANSPORTS {
        let server = Server::start(Primus::builder()).await;
        let (tell, mut told) = mpsc::channel(1);
        server.on_connection(move |mut spark| {
            let tell = tell.clone();
            async move {
                let first = spark.next().await.unwrap();
                assert_eq!(first.as_text(), Some("\"go\""));
                let answer: u32 = spark.request("age", &()).await?;
                // Only now does it read on.
                let mut read = 0;
                while read < 1000 {
                    let message = spark.next().await.ok_or("the end")?;
                    assert_eq!(message.decode::<u32>()?, read);
                    read += 1;
                }
                tell.send(answer).await?;
                Ok(())
            }
        });
        let mut client = Peer::connect(server.address(), transport).await;
        client.send("\"go\"").await;
        let (id, _) = request(&client.text().await);
        for number in 0..1000 {
            client.send(&number.to_string()).await;
        }
        client.send(&format!("primus::reply:{id}::36")).await;
        assert_eq!(soon(told.recv()).await, Some(36), "{transport}");
    }
}

#[tokio::test]
async fn beyond_the_hard_mark_what_is_awaited_fails_as_backlogged() {
    let server = Server::start(Primus::builder().max_inbox(16 << 10)).await;
    let (tell, mut told) = mpsc::channel(1);
    server.on_connection(move |mut spark| {
        let tell = tell.clone();
        async move {
            spark.next().await;
            let answer = spark.request::<u32>("age", &()).await;
            tell.send(answer.unwrap_err().to_string()).await?;
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("\"go\"").await;
    request(&client.text().await);
    for _ in 0..300 {
        client.send(&json!("x".repeat(100)).to_string()).await;
    }
    let error = "the answer is behind more messages than are read ahead (max_inbox)";
    assert_eq!(soon(told.recv()).await.as_deref(), Some(error));
}

#[tokio::test]
async fn a_request_survives_the_loss_of_the_connection_on_every_transport() {
    let server = Server::start(Primus::builder()).await;
    for (before, after) in [("websocket", "sse"), ("sse", "polling"), ("polling", "websocket")] {
        let client = Peer::connect(server.address(), before).await;
        let spark = spark_of(&server, &client);
        let mut memory = client.cut();
        if before == "websocket" {
            until("detached", || spark.state() == State::Detached).await;
        }
        let waiting = spark.clone();
        let answer = tokio::spawn(async move { waiting.request::<u32>("age", &()).await });
        let mut client = Peer::come_back(server.address(), after, &mut memory).await.unwrap();
        let (id, _) = request(&client.text().await);
        client.send(&format!("primus::reply:{id}::5")).await;
        assert_eq!(answer.await.unwrap().unwrap(), 5, "{before} {after}");
    }
}

#[tokio::test]
async fn a_request_to_many_is_encoded_once_and_says_who_did_not_answer() {
    let server = Server::start(Primus::builder()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let client = Peer::connect(server.address(), "websocket").await;
        spark_of(&server, &client).join("jury").unwrap();
        clients.push(client);
    }
    let _outside = Peer::connect(server.address(), "websocket").await;
    let encoded = server.frame_counters().encoded();
    let mut votes = server.room("jury").request::<bool>("guilty?", &json!({ "case": 7 })).unwrap();
    votes = votes.timeout(Duration::from_millis(300));
    assert_eq!((votes.waiting(), server.frame_counters().encoded()), (4, encoded + 1));
    let mut ids = Vec::new();
    for client in &mut clients {
        let (id, rest) = request(&client.text().await);
        assert_eq!(rest, r#"guilty?::{"case":7}"#.replace('?', "%3F"));
        ids.push(id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "one frame for all of them");
    let names: Vec<String> = clients.iter().map(|client| client.id().to_owned()).collect();
    clients[0].send(&format!("primus::reply:{}::true", ids[0])).await;
    clients[1].send(&format!("primus::reply:{}::false", ids[0])).await;
    clients[2]
        .send(&format!("primus::refuse:{}::{{\"status\":451,\"error\":\"no\"}}", ids[0]))
        .await;

    let mut answers = BTreeMap::new();
    while let Some(answer) = votes.next().await {
        answers.insert(answer.spark.id().to_string(), answer.value);
    }
    let expected = BTreeMap::from([(names[0].clone(), true), (names[1].clone(), false)]);
    assert_eq!(answers, expected);
    let missing: BTreeMap<String, String> = votes
        .missing()
        .iter()
        .map(|(spark, error)| (spark.id().to_string(), error.to_string()))
        .collect();
    let expected = BTreeMap::from([
        (names[2].clone(), "the client refused: \"no\"".to_owned()),
        (names[3].clone(), "no answer in time".to_owned()),
    ]);
    assert_eq!(missing, expected);
}

#[tokio::test]
async fn malformed_answers_end_the_session_and_unknown_ones_do_nothing() {
    let server = Server::start(Primus::builder()).await;
    server.on("x", async |value: Value| value).unwrap();
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("primus::refuse:99::not JSON").await;
    client.send("primus::reply:99::").await;
    assert_eq!(client.ask(1, "primus::request:1:x::1").await, "1");
    for bad in ["primus::reply:x::1", "primus::request:1::x", "primus::request:-1:x::1"] {
        let mut client = Peer::connect(server.address(), "websocket").await;
        client.send(bad).await;
        assert_eq!(client.rest().await.1["code"], 4400, "{bad}");
    }
}

#[tokio::test]
async fn messages_that_nobody_reads_are_in_nobodys_way() {
    let server = Server::start(Primus::builder()).await;
    server.on("echo", async |value: Value| value).unwrap();
    // It returns, and sets no callback: listeners of all keep its sparks.
    server.on_connection(async |_| Ok(()));
    let mut client = Peer::connect(server.address(), "websocket").await;
    for number in 0..200 {
        client.send(&number.to_string()).await;
    }
    assert_eq!(client.ask(1, "primus::request:1:echo::7").await, "7");
}

#[tokio::test]
async fn ready_fails_where_its_acknowledgement_cannot_be_read() {
    let server = Server::start(Primus::builder().max_inbox(16 << 10).resume_messages(4)).await;
    let (tell, mut told) = mpsc::channel(1);
    server.on_connection(move |mut spark| {
        let tell = tell.clone();
        async move {
            spark.next().await;
            for number in 0..8 {
                spark.write(&number)?;
            }
            tell.send(spark.ready().await.unwrap_err().to_string()).await?;
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = Peer::connect(server.address(), "websocket").await;
    client.send("\"go\"").await;
    for _ in 0..300 {
        client.send(&json!("x".repeat(100)).to_string()).await;
    }
    let error = "what is awaited is behind more messages than are read ahead (max_inbox)";
    assert_eq!(soon(told.recv()).await.as_deref(), Some(error));
}

#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn ready_that_was_given_up_does_not_fail_the_next_one_once_there_was_room() {
    let server = Server::start(Primus::builder().max_inbox(16 << 10).resume_messages(4)).await;
    let (tell, mut told) = mpsc::channel(1);
    server.on_connection(move |mut spark| {
        let tell = tell.clone();
        async move {
            (0..8).try_for_each(|number| spark.write(&number).map(drop))?;
            let woken = Arc::<Woken>::default();
            let waker = Waker::from(Arc::clone(&woken));
            let polled = pin!(spark.ready()).poll(&mut Context::from_waker(&waker));
            tell.send(format!("{polled:?}")).await?;
            // That it is backlogged, which nobody asks for: the acknowledgement is behind what is not read.
            woken.0.notified().await;
            while spark
                .next()
                .await
                .is_some_and(|message| message.payload().as_text() != Some("\"done\""))
            {
            }
            tell.send(format!("{:?}", spark.ready().await)).await?;
            (0..8).try_for_each(|number| spark.write(&number).map(drop))?;
            let polled = pin!(spark.ready()).poll(&mut Context::from_waker(&waker));
            tell.send(format!("{polled:?}")).await?;
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = ws::Client::resumable(server.address()).await;
    assert_eq!(soon(told.recv()).await.as_deref(), Some("Pending"));
    for _ in 0..300 {
        client.send(json!("x".repeat(100)).to_string()).await;
    }
    client.send("primus::ack:8::").await;
    client.send("\"done\"").await;
    assert_eq!(soon(told.recv()).await.as_deref(), Some("Ok(())"));
    assert_eq!(soon(told.recv()).await.as_deref(), Some("Pending"));
}
