//! How a handler ends, and how its spark does.

use std::{
    io, panic,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use super::{Log, log_disconnections, next, websocket};
use primus::{CloseReason, Message, Spark, State, Written};
use primus_tests::{
    server::{Server, echo},
    ws::{Client, Raw, frame, opcode},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

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

/// What panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as it was told, when dropped");
    }
}

impl std::fmt::Display for Bomb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::error::Error for Bomb {}

/// A handler that panics, and once more when it is dropped.
struct Panics(Bomb);

impl Future for Panics {
    type Output = primus::Result;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        panic!("as it was told, with {:?} at hand", self.0);
    }
}

#[tokio::test]
async fn a_panic_in_a_drop_ends_its_spark_and_nothing_else() {
    let server = Server::start(websocket()).await;
    let (log, mut events) = Log::new();
    log_disconnections(&server, &log);
    server.on_connection(|spark: Spark| -> Pin<Box<dyn Future<Output = _> + Send>> {
        match spark.query().get("how") {
            Some("poll") => Box::pin(Panics(Bomb)),
            Some("error") => Box::pin(async { Err(Bomb.into()) }),
            _ => Box::pin(async { panic::panic_any(Bomb) }),
        }
    });
    for how in ["poll", "error", "payload"] {
        let path = format!("/primus?how={how}");
        let mut client = Client::open(server.address(), &path, &[]).await.ok().unwrap();
        assert_eq!(client.close_code().await, 1011, "{how}");
        assert_eq!(next(&mut events).await, "disconnected 1011 handler failed", "{how}");
    }
    assert_eq!((server.connected(), server.sessions()), (0, 0));
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
