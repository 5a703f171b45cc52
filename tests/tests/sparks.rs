//! Handlers and their sparks, over real WebSockets.

use std::{
    io,
    ops::ControlFlow,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{SinkExt, StreamExt as _};
use primus::{Builder, CloseReason, Message, Primus, Spark, SparkId, State, WriteError, Written};
use primus_tests::{
    server::{Server, echo, soon, until},
    ws::{Client, Raw, WsMessage, frame, opcode},
};
use serde_json::json;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, sleep},
};

fn websocket() -> Builder {
    Primus::builder().transformer("websocket")
}

/// What happened, in order.
#[derive(Clone)]
struct Log(mpsc::Sender<String>);

impl Log {
    fn new() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(1000);
        (Self(sender), receiver)
    }

    fn add(&self, what: impl Into<String>) {
        self.0.try_send(what.into()).unwrap();
    }
}

async fn next(events: &mut mpsc::Receiver<String>) -> String {
    soon(events.recv()).await.unwrap()
}

/// Writes `disconnected <reason>` into the log.
fn log_disconnections(server: &Server, log: &Log) {
    let log = log.clone();
    server.on_disconnection(move |_, reason| {
        log.add(format!("disconnected {reason}"));
        async {}
    });
}

// ---- reading and writing ----

#[tokio::test]
async fn a_handler_may_split_its_spark_and_forward_one_half_to_the_other() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    server.on_connection(async |spark: Spark| {
        let (sink, stream) = spark.split();
        stream.map(Ok).forward(sink).await?;
        Ok(())
    });
    let mut client = Client::plain(server.address()).await;
    for text in ["1", "two", ""] {
        client.echoes(text).await;
    }
    client.send_message(WsMessage::binary(vec![0, 255])).await;
    assert_eq!(client.data().await, WsMessage::binary(vec![0, 255]));
    client.close().await;
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");
}

#[tokio::test]
async fn closing_the_sink_half_ends_the_spark() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |mut spark: Spark| {
        SinkExt::send(&mut spark, Message::text("last")).await?;
        SinkExt::close(&mut spark).await?;
        std::future::pending().await
    });
    let (texts, closed) = Client::plain(server.address()).await.rest().await;
    assert_eq!((texts, closed.code), (vec!["last".to_owned()], 4000));
}

#[tokio::test]
async fn messages_keep_their_order_both_ways() {
    let server = Server::echo(websocket()).await;
    let mut raw = Raw::open(server.address(), "/primus").await;
    let sent: Vec<_> = (0..2000).map(|n| format!("{n}{}", "x".repeat(n % 300))).collect();
    let stream: Vec<u8> = sent.iter().flat_map(|text| frame(opcode::TEXT, text)).collect();
    raw.send(stream).await;
    for text in sent {
        assert_eq!(raw.frame().await.unwrap().payload, text.as_bytes());
    }
}

#[tokio::test]
async fn a_dropped_next_loses_no_message() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |mut spark: Spark| {
        loop {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                message = spark.next() => match message {
                    Some(message) => { spark.write_message(message)?; }
                    None => return Ok(()),
                },
            }
        }
    });
    let mut client = Client::plain(server.address()).await;
    for n in 0..200 {
        client.send(n.to_string()).await;
    }
    for n in 0..200 {
        assert_eq!(client.text().await, n.to_string());
    }
}

#[tokio::test]
async fn callbacks_alone_keep_a_spark_and_hear_its_end() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    let (ends, errors) = (log.clone(), log);
    server.on_connection(move |spark| {
        let (ends, errors) = (ends.clone(), errors.clone());
        async move {
            spark.on_data(|spark, message| {
                spark.write_message(message).unwrap();
            });
            spark.on_end(move |_, reason| ends.add(format!("end {reason}")));
            spark.on_error(move |_, reason| errors.add(format!("error {reason}")));
            Ok(())
        }
    });
    let mut client = Client::plain(server.address()).await;
    client.echoes("1").await;
    client.echoes("2").await;
    client.close().await;
    assert_eq!(next(&mut events).await, "end 1000 normal");
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");

    // A fault is an error first, then the end.
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send(frame(0xc1, "reserved bit")).await;
    assert_eq!(raw.closed().await.unwrap().code, 1002);
    drop(raw);
    assert_eq!(next(&mut events).await, "error 1002 protocol error");
    assert_eq!(next(&mut events).await, "end 1002 protocol error");
    assert_eq!(next(&mut events).await, "disconnected 1002 protocol error");
}

#[tokio::test]
async fn data_that_comes_before_the_callbacks_waits_for_them_in_order() {
    let server = Server::start(websocket()).await;
    let set = Arc::new(Notify::new());
    let may_set = Arc::clone(&set);
    server.on_connection(move |spark| {
        let may_set = Arc::clone(&may_set);
        async move {
            may_set.notified().await;
            spark.on_data(|spark, message| {
                spark.write_message(message).unwrap();
            });
            Ok(())
        }
    });
    let mut client = Client::plain(server.address()).await;
    for n in 0..50 {
        client.send(n.to_string()).await;
    }
    client.send_message(WsMessage::Ping("all of them".into())).await;
    assert_eq!(client.message().await, Some(WsMessage::Pong("all of them".into())));
    set.notify_one();
    for n in 0..50 {
        assert_eq!(client.text().await, n.to_string());
    }
    client.echoes("50").await;
}

#[tokio::test]
async fn callbacks_may_be_set_from_outside_the_handler() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |_: Spark| std::future::pending().await);
    let mut client = Client::resumable(server.address()).await;
    let id: SparkId = client.attach()["id"].as_str().unwrap().parse().unwrap();
    server.spark(id).unwrap().on_data(|spark, message| {
        spark.write_message(message).unwrap();
    });
    client.echoes("1").await;
}

#[tokio::test]
async fn a_panic_in_a_callback_ends_its_spark_with_1011() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |spark: Spark| {
        spark.on_data(|_, message| panic!("{message:?}"));
        Ok(())
    });
    let mut client = Client::plain(server.address()).await;
    client.send("1").await;
    assert_eq!(client.close_code().await, 1011);
}

// ---- a busy handler ----

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

// ---- how a handler ends ----

/// Everything that is logged in this program.
fn logged() -> &'static Mutex<Vec<u8>> {
    struct Writer;

    impl io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            logged().lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    static LOGGED: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    LOGGED.get_or_init(|| {
        tracing_subscriber::fmt().with_writer(|| Writer).with_ansi(false).init();
        Mutex::default()
    })
}

#[tokio::test]
async fn a_panic_ends_its_spark_with_1011_and_nothing_else() {
    logged();
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    server.on_connection(async |mut spark: Spark| {
        while let Some(message) = spark.next().await {
            assert_ne!(message.as_text(), Some("panic"), "as it was told");
            spark.write_message(message)?;
        }
        Ok(())
    });
    let mut other = Client::plain(server.address()).await;
    other.echoes("before").await;
    let mut client = Client::resumable(server.address()).await;
    let id = client.attach()["id"].as_str().unwrap().to_owned();
    client.echoes("before").await;
    client.send("panic").await;
    let (end, code) = client.end_frame().await;
    assert_eq!(code, 1011);
    let expected = json!({
        "code": 1011, "reason": "handler failed", "reconnect": true, "after": 0, "recv": 2
    });
    assert_eq!(end, expected);
    assert_eq!(next(&mut events).await, "disconnected 1011 handler failed");
    other.echoes("after").await;
    assert_eq!((server.connected(), server.sessions()), (1, 1));

    let log = String::from_utf8(logged().lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("panicked") && line.contains(&id));
    let line = line.expect("a line about it");
    assert!(line.contains("ERROR") && line.contains("as it was told"), "{line}");
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_like_any_other() {
    let server = Server::start(websocket()).await;
    server.on_connection(|spark| {
        assert!(spark.query().get("panic").is_none(), "as it was told");
        echo(spark)
    });
    let mut client = Client::open(server.address(), "/primus?panic", &[]).await.ok().unwrap();
    assert_eq!(client.close_code().await, 1011);
    Client::plain(server.address()).await.echoes("1").await;
}

#[tokio::test]
async fn what_a_handler_returns_is_told_to_each_kind_of_client() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |mut spark: Spark| {
        let how = spark.next().await.unwrap();
        match how.as_text().unwrap() {
            "return" => Ok(()),
            "error" => Err("something went wrong".into()),
            "decode" => Ok(how.decode::<u8>().map(drop)?),
            "reason" => Err(CloseReason::from_code(4123, "mine").into()),
            "normal" => Err(CloseReason::NORMAL.into()),
            other => panic!("{other}"),
        }
    });
    for (how, code, text, reconnects) in [
        ("return", 4000, "ended", false),
        ("error", 1011, "handler failed", true),
        ("decode", 1011, "handler failed", true),
        ("reason", 4123, "mine", true),
        ("normal", 1000, "normal", false),
    ] {
        let mut plain = Client::plain(server.address()).await;
        plain.send(how).await;
        let (texts, closed) = plain.rest().await;
        assert_eq!((closed.code, &*closed.text), (code, text), "{how}");
        assert!(texts.is_empty(), "{texts:?}");

        let mut classic = Client::classic(server.address()).await;
        classic.send(how).await;
        let (texts, closed) = classic.rest().await;
        assert_eq!(closed.code, code, "{how}");
        // The stock client comes back unless it is told not to.
        let told: &[&str] = if reconnects { &[] } else { &["\"primus::server::close\""] };
        assert_eq!(texts, told, "{how}");

        let mut ours = Client::resumable(server.address()).await;
        ours.send(how).await;
        let (texts, closed) = ours.rest().await;
        assert_eq!((closed.code, &*closed.text), (code, text), "{how}");
        let end: Vec<serde_json::Value> = texts
            .iter()
            .map(|text| serde_json::from_str(text.strip_prefix("primus::end::").unwrap()).unwrap())
            .collect();
        let expected = json!([
            {"code": code, "reason": text, "reconnect": reconnects, "after": 0, "recv": 1}
        ]);
        assert_eq!(json!(end), expected, "{how}");
    }
}

#[tokio::test]
async fn end_end_with_and_reconnect_each_have_their_code() {
    let server = Server::start(websocket()).await;
    server.on_connection(async |mut spark: Spark| {
        let how = spark.next().await.unwrap();
        spark.write("queued before")?;
        match how.as_text().unwrap() {
            "end" => spark.end(CloseReason::ENDED),
            "end with" => drop(spark.end_with(&json!({"last": true}))?),
            "reconnect" => spark.reconnect(),
            "twice" => {
                spark.end(CloseReason::from_code(4200, "first"));
                spark.end(CloseReason::from_code(4201, "second"));
            }
            other => panic!("{other}"),
        }
        assert_eq!(spark.state(), State::Ending);
        // The reason that was first holds, also against what a handler returns.
        Err("ignored".into())
    });
    for (how, last, code) in [
        ("end", None, 4000),
        ("end with", Some("{\"last\":true}"), 4000),
        ("reconnect", None, 4001),
        ("twice", None, 4200),
    ] {
        let mut client = Client::plain(server.address()).await;
        client.send(how).await;
        let (texts, closed) = client.rest().await;
        let expected: Vec<_> = ["\"queued before\""].into_iter().chain(last).collect();
        assert_eq!((texts, closed.code), (expected.iter().map(|s| s.to_string()).collect(), code));
    }
}

#[tokio::test]
async fn nothing_can_be_written_after_the_end() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    server.on_connection(move |mut spark| {
        let log = log.clone();
        async move {
            if spark.next().await.is_some() {
                spark.end(CloseReason::ENDED);
            }
            for result in [
                spark.write("x"),
                spark.try_write("x"),
                spark.write_message(vec![1]),
                spark.end_with("x"),
                spark.ready().await.map(|()| Written::Queued),
            ] {
                log.add(format!("{result:?}"));
            }
            log.add(format!("{:?}", spark.next().await));
            Ok(())
        }
    });
    // Ended by us, and by the client.
    let mut ended = Client::plain(server.address()).await;
    ended.send("end").await;
    assert_eq!(ended.rest().await.0, [] as [&str; 0]);
    Client::plain(server.address()).await.close().await;
    for _ in 0..2 {
        // What was not sent comes back.
        for expected in [
            "Err(Ended(Some(Text(\"\\\"x\\\"\"))))",
            "Err(Ended(Some(Text(\"\\\"x\\\"\"))))",
            "Err(Ended(Some(Binary(b\"\\x01\"))))",
            "Err(Ended(Some(Text(\"\\\"x\\\"\"))))",
            "Err(Ended(None))",
            "None",
        ] {
            assert_eq!(next(&mut events).await, expected);
        }
    }
}

/// Writes into the log when it is dropped.
struct Dropped(Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}

#[tokio::test]
async fn a_handler_that_goes_on_after_the_end_is_dropped_after_its_grace() {
    let grace = Duration::from_millis(200);
    let server = Server::start(websocket().handler_grace(grace)).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    server.on_connection(move |mut spark| {
        let log = log.clone();
        async move {
            let _dropped = Dropped(log.clone());
            log.add(format!("{:?}", spark.next().await.as_ref().and_then(Message::as_text)));
            log.add(format!("{:?}", spark.next().await));
            log.add(format!("{:?}", spark.next().await));
            std::future::pending().await
        }
    });
    let mut client = Client::plain(server.address()).await;
    client.send("1").await;
    assert_eq!(next(&mut events).await, "Some(\"1\")");
    client.close().await;
    assert_eq!(next(&mut events).await, "None");
    let began = Instant::now();
    assert_eq!(next(&mut events).await, "None");
    assert_eq!((server.connected(), server.sessions()), (0, 0), "its place is free at once");
    assert_eq!(next(&mut events).await, "dropped");
    let took = began.elapsed();
    assert!(took > grace / 2 && took < grace * 5, "{took:?}");
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");
}

#[tokio::test]
async fn a_handler_may_finish_its_work_within_the_grace() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    server.on_connection(move |mut spark| {
        let log = log.clone();
        async move {
            while spark.next().await.is_some() {}
            sleep(Duration::from_millis(50)).await;
            log.add("finished");
            Ok(())
        }
    });
    Client::plain(server.address()).await.close().await;
    assert_eq!(next(&mut events).await, "finished");
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");
}

#[tokio::test]
async fn the_disconnection_is_told_once_with_its_reason_however_it_came() {
    let builder = websocket().handler_grace(Duration::from_millis(20));
    let server = Server::start(builder).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    let handlers = Arc::new(AtomicUsize::new(0));
    let running = Arc::clone(&handlers);
    server.on_connection(move |mut spark| {
        let running = Arc::clone(&running);
        async move {
            running.fetch_add(1, Ordering::SeqCst);
            while let Some(message) = spark.next().await {
                match message.as_text().unwrap() {
                    "end" => spark.end(CloseReason::ENDED),
                    "return" => return Ok(()),
                    "error" => return Err("no".into()),
                    "stay" => std::future::pending::<()>().await,
                    other => panic!("{other}"),
                }
            }
            Ok(())
        }
    });
    for (text, expected) in [
        ("end", "4000 ended"),
        ("return", "4000 ended"),
        ("error", "1011 handler failed"),
        ("panic", "1011 handler failed"),
    ] {
        let mut client = Client::plain(server.address()).await;
        client.send(text).await;
        client.rest().await;
        assert_eq!(next(&mut events).await, format!("disconnected {expected}"), "{text}");
    }
    // A connection that breaks off without a word, with the handler waiting and with it busy.
    for text in ["end", "stay"] {
        let mut raw = Raw::open(server.address(), "/primus").await;
        if text == "stay" {
            raw.send(frame(opcode::TEXT, text)).await;
        }
        drop(raw);
        assert_eq!(next(&mut events).await, "disconnected 1001 going away");
    }
    // What the client says in its close frame, and what ours says in its own way.
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send(frame(opcode::CLOSE, [&4321_u16.to_be_bytes()[..], b"tired"].concat())).await;
    assert_eq!(next(&mut events).await, "disconnected 4321 tired");
    let mut client = Client::resumable(server.address()).await;
    client.send("primus::end::").await;
    assert_eq!(client.rest().await.1.code, 1000);
    assert_eq!(next(&mut events).await, "disconnected 1000 normal");

    assert_eq!(handlers.load(Ordering::SeqCst), 8);
    assert!(events.try_recv().is_err(), "once each");
}

// ---- pressure ----

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

// ---- what a spark knows ----

#[tokio::test]
async fn a_spark_knows_where_it_comes_from() {
    struct Name(String);

    let builder = websocket()
        .keep_headers(["user-agent", "x-kept"])
        .subprotocols(["echo-protocol", "other"])
        .ping_interval(Duration::from_millis(20));
    let server = Server::start(builder).await;
    server.authorize(async |request: primus::AuthorizeRequest| {
        Ok(Name(request.query("name").unwrap_or_default()))
    });
    server.on_connection(async |mut spark: Spark| {
        while let Some(message) = spark.next().await {
            spark.write(&json!({
                "asked": message.as_text(),
                "id": spark.id().to_string(),
                "user-agent": spark.headers().get("user-agent").map(|v| v.to_str().unwrap()),
                "x-kept": spark.headers().get_all("x-kept").iter().count(),
                "headers": spark.headers().len(),
                "query": spark.query().iter().collect::<Vec<_>>(),
                "address": spark.address(),
                "secure": spark.secure(),
                "transformer": spark.transformer(),
                "protocol": spark.protocol(),
                "state": format!("{:?}", spark.state()),
                "reason": spark.close_reason().map(|reason| reason.code()),
                "user": spark.user::<Name>().map(|name| &name.0),
                "no user": spark.user::<String>().is_none(),
                "latency": spark.latency().is_some(),
                "mount": &*spark.mount().settings().path,
            }))?;
        }
        Ok(())
    });
    let headers = [
        ("user-agent", "test/1"),
        ("x-kept", "a"),
        ("x-other", "b"),
        ("x-forwarded-for", "192.0.2.1"),
        ("sec-websocket-protocol", "other, echo-protocol"),
    ];
    let path = "/primus/?name=Ada&b=x%20y&b=z";
    let mut client = Client::open(server.address(), path, &headers).await.ok().unwrap();
    assert_eq!(client.answer().headers()["sec-websocket-protocol"], "other");
    // The ping is answered while the client is read from; then it is known how long it took.
    assert!(matches!(client.message().await, Some(WsMessage::Ping(_))));
    let known = loop {
        client.send("hello").await;
        let known: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        if known["latency"] == true {
            break known;
        }
    };
    let id: SparkId = known["id"].as_str().unwrap().parse().unwrap();
    let expected = json!({
        "asked": "hello", "id": id.to_string(), "user-agent": "test/1", "x-kept": 1, "headers": 2,
        "query": [["name", "Ada"], ["b", "x y"], ["b", "z"]], "address": "127.0.0.1",
        "secure": false, "transformer": "websocket", "protocol": "other", "state": "Open",
        "reason": null, "user": "Ada", "no user": true, "latency": true, "mount": "/primus",
    });
    assert_eq!(known, expected);

    let spark = server.spark(id).unwrap();
    client.close().await;
    until("the end", || spark.state() == State::Closed).await;
    assert_eq!(spark.close_reason(), Some(CloseReason::NORMAL));
    assert!(server.spark(id).is_none());
}

// ---- all sparks ----

#[tokio::test]
async fn sparks_are_counted_found_and_visited() {
    let server = Server::echo(websocket()).await;
    let (log, events) = Log::new();
    log_disconnections(&server, &log);
    assert_eq!((server.connected(), server.sessions()), (0, 0));
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::resumable(server.address()).await);
    }
    assert_eq!((server.connected(), server.sessions()), (5, 5));
    let mut ids: Vec<SparkId> = clients
        .iter()
        .map(|client| client.attach()["id"].as_str().unwrap().parse().unwrap())
        .collect();
    for id in &ids {
        assert_eq!(server.spark(*id).unwrap().id(), *id);
    }

    let mut visited = Vec::new();
    let stopped: Option<()> = server.for_each(|spark| {
        visited.push(spark.id());
        ControlFlow::Continue(())
    });
    let sorted = |ids: &mut Vec<SparkId>| ids.sort_by_key(ToString::to_string);
    sorted(&mut visited);
    sorted(&mut ids);
    assert_eq!((visited, stopped), (ids.clone(), None));

    let mut count = 0;
    let stopped = server.for_each(|_| {
        count += 1;
        if count == 2 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!((count, stopped), (2, Some("enough")));

    let visited = Mutex::new(Vec::new());
    let stopped = server
        .for_each_async(async |spark: Spark| {
            tokio::task::yield_now().await;
            visited.lock().unwrap().push(spark.id());
            if visited.lock().unwrap().len() == 3 {
                return ControlFlow::Break(spark.id());
            }
            ControlFlow::Continue(())
        })
        .await;
    let visited = visited.into_inner().unwrap();
    assert_eq!((visited.len(), stopped), (3, visited.last().copied()));

    // One that ends while the others are visited is left out.
    let count = AtomicUsize::new(0);
    let rest = tokio::sync::Mutex::new((clients, events));
    let stopped: Option<()> = server
        .for_each_async(async |_: Spark| {
            count.fetch_add(1, Ordering::SeqCst);
            let (clients, events) = &mut *rest.lock().await;
            for client in clients.drain(..) {
                client.end().await;
                assert_eq!(next(events).await, "disconnected 1000 normal");
            }
            ControlFlow::Continue(())
        })
        .await;
    assert_eq!((count.into_inner(), stopped), (1, None));
    assert_eq!((server.connected(), server.sessions()), (0, 0));
}

#[tokio::test]
async fn a_spark_is_written_to_from_anywhere() {
    let server = Server::start(websocket()).await;
    let held = Arc::new(Semaphore::new(0));
    let kept: Arc<Mutex<Option<Spark>>> = Arc::default();
    let (keeps, holds) = (Arc::clone(&kept), Arc::clone(&held));
    server.on_connection(move |mut spark| {
        *keeps.lock().unwrap() = Some(spark.clone());
        holds.add_permits(1);
        async move {
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = Client::plain(server.address()).await;
    soon(held.acquire()).await.unwrap().forget();
    let spark = kept.lock().unwrap().take().unwrap();
    // Also from a thread that knows nothing of the runtime.
    let written = std::thread::spawn(move || {
        let written = spark.write(&[1, 2]).unwrap();
        spark.end(CloseReason::RECONNECT);
        written
    });
    let (texts, closed) = client.rest().await;
    assert_eq!((texts, closed.code), (vec!["[1,2]".to_owned()], 4001));
    assert_eq!(written.join().unwrap(), Written::Queued);
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_is_an_error_and_harms_nothing() {
    let server = Server::start(websocket().parser("raw")).await;
    server.on_connection(async |mut spark: Spark| {
        while let Some(message) = spark.next().await {
            assert!(matches!(spark.write(&1), Err(WriteError::Encode(_))));
            spark.write_message(message)?;
        }
        Ok(())
    });
    Client::plain(server.address()).await.echoes("1").await;
}
