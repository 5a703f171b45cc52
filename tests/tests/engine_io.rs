//! Engine.IO over the machine that all clients share.

use std::time::Duration;

use futures_util::future::join_all;
use primus::{
    Builder, CloseReason, Payload, Rejection, Spark,
    core::{
        BoxFuture, Carriage, Mount, Opening, Outgoing, Parser, Session, WireForm,
        request::Head as CoreHead,
    },
    engine_io::{
        After, Caller, EngineIo, Greeting, Heard, Language, Opened, Speaker, Writer, form,
    },
};
use primus_tests::{
    http::{self, Answer},
    server::{Server, soon, until},
    ws,
};
use std::sync::Arc;

const PATH: &str = "/engine.io/";

fn builder() -> Builder {
    Builder::new().path("/engine.io").transformers(["engine.io"]).engine_io_3(true)
}

/// A client that polls.
struct Poller {
    to: std::net::SocketAddr,
    path: String,
}

impl Poller {
    async fn open(server: &Server, query: &str) -> Self {
        let to = server.address();
        let path = format!("{PATH}?{query}&transport=polling");
        let answer = http::get(&path).send(to).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (_, sid) = answer.text().split_once("\"sid\":\"").expect("a sid");
        let (sid, _) = sid.split_once('"').expect("a sid");
        Self { to, path: format!("{path}&sid={sid}") }
    }

    async fn get(&self) -> Answer {
        http::get(&self.path).send(self.to).await
    }

    async fn post(&self, body: &'static str) -> Answer {
        http::post(&self.path, body).send(self.to).await
    }
}

async fn socket(server: &Server, query: &str) -> ws::Client {
    let path = format!("{PATH}?{query}&transport=websocket");
    let mut client = ws::Client::open(server.address(), &path, &[]).await.expect("welcome");
    assert!(client.text().await.starts_with("0{"));
    client
}

#[tokio::test]
async fn a_broadcast_is_framed_once_for_each_wire_of_engine_io() {
    let server = Server::echo(builder()).await;
    let mut sockets = join_all((0..5).map(|_| socket(&server, "EIO=4"))).await;
    let mut older = join_all((0..3).map(|_| socket(&server, "EIO=3"))).await;
    let pollers = join_all((0..4).map(|_| Poller::open(&server, "EIO=4"))).await;
    let older_pollers = join_all((0..2).map(|_| Poller::open(&server, "EIO=3&b64=1"))).await;
    until("all are there", || server.connected() == 14).await;
    let before = (server.frame_counters().encoded(), server.frame_counters().framed());

    assert_eq!(server.write("hi").unwrap(), 14);
    for client in sockets.iter_mut().chain(&mut older) {
        assert_eq!(client.text().await, "4\"hi\"");
    }
    for poller in &pollers {
        assert_eq!(poller.get().await.text(), "4\"hi\"");
    }
    for poller in &older_pollers {
        assert_eq!(poller.get().await.text(), "5:4\"hi\"");
    }
    let counters = server.frame_counters();
    assert_eq!((counters.encoded() - before.0, counters.framed() - before.1), (1, 4));

    assert_eq!(server.write_message(vec![1, 2, 3]), 14);
    for client in &mut sockets {
        assert_eq!(client.data().await.into_data(), [1, 2, 3][..]);
    }
    for client in &mut older {
        assert_eq!(client.data().await.into_data(), [4, 1, 2, 3][..]);
    }
    for poller in &pollers {
        assert_eq!(poller.get().await.text(), "bAQID");
    }
    for poller in &older_pollers {
        assert_eq!(poller.get().await.text(), "6:b4AQID");
    }
    assert_eq!(server.frame_counters().framed() - before.1, 8);
}

#[tokio::test]
async fn a_stock_primus_client_over_engine_io_shares_the_frames_of_plain_ones() {
    let server = Server::echo(builder()).await;
    let mut plain = socket(&server, "EIO=4").await;
    let mut stock = socket(&server, "EIO=4&_primuscb=Q7uqFn1").await;
    let poller = Poller::open(&server, "EIO=4").await;
    let stock_poller = Poller::open(&server, "EIO=4&_primuscb=Q7uqFn2").await;
    until("all are there", || server.connected() == 4).await;
    let (_, sid) = stock_poller.path.split_once("sid=").expect("a sid");
    assert!(server.spark(sid.parse().expect("the id of a spark")).is_some());

    let before = server.frame_counters().framed();
    assert_eq!(server.write("hi").unwrap(), 4);
    for client in [&mut plain, &mut stock] {
        assert_eq!(client.text().await, "4\"hi\"");
    }
    for client in [&poller, &stock_poller] {
        assert_eq!(client.get().await.text(), "4\"hi\"");
    }
    assert_eq!(server.frame_counters().framed() - before, 2);

    let event = r#"4{"event":"said","data":1}"#;
    let emitted = r#"4{"type":0,"data":["said",1]}"#;
    server.emit("said", &1).unwrap();
    assert_eq!(plain.text().await, event);
    assert_eq!(stock.text().await, emitted);
    assert_eq!(poller.get().await.text(), event);
    assert_eq!(stock_poller.get().await.text(), emitted);

    // Control is none of the application's business, and answered to who asks.
    stock.send("4\"primus::id::\"").await;
    assert!(stock.text().await.starts_with("4\"primus::id::"));
    assert_eq!(stock_poller.post("4\"primus::id::\"").await.text(), "ok");
    assert_eq!(stock_poller.get().await.text(), format!("4\"primus::id::{sid}\""));
    plain.send("4\"primus::id::\"").await;
    assert_eq!(plain.text().await, "4\"primus::id::\"");
}

#[tokio::test]
async fn a_client_of_engine_io_has_what_every_client_has() {
    let server = Server::start(builder()).await;
    server.authorize(async |request| match request.query("name") {
        Some(name) => Ok(name),
        None => Err(Rejection::unauthorized("who are you?")),
    });
    server.on_connection(|mut spark: Spark| async move {
        let name = spark.user::<String>().expect("a user").to_string();
        spark.write(&(name, spark.transformer(), spark.query().get("EIO")))?;
        spark.join("news")?;
        while let Some(message) = spark.next().await {
            spark.emit("heard", &[message.decode::<String>()?])?;
        }
        Ok(())
    });
    let refused =
        http::get(&format!("{PATH}?EIO=4&transport=polling")).send(server.address()).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.text(), r#"{"code":4,"message":"who are you?"}"#);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let path = format!("{PATH}?EIO=4&transport=websocket");
    let refused = ws::Client::open(server.address(), &path, &[]).await.err().expect("a refusal");
    assert_eq!(refused.status(), 401);

    let poller = Poller::open(&server, "EIO=4&name=Ada").await;
    assert_eq!(poller.get().await.text(), r#"4["Ada","engine.io","4"]"#);
    assert_eq!(poller.post("4\"hello\"").await.text(), "ok");
    assert_eq!(poller.get().await.text(), r#"4{"event":"heard","data":["hello"]}"#);
    let mut client = socket(&server, "EIO=3&name=Bob").await;
    assert_eq!(client.text().await, r#"4["Bob","engine.io","3"]"#);

    until("both are in the room", || server.room("news").write("x").unwrap_or(0) == 2).await;
    assert_eq!(server.room("news").emit("news", &["today"]).unwrap(), 2);
    let last = r#"4{"event":"news","data":["today"]}"#;
    loop {
        if client.text().await == last {
            break;
        }
    }
    assert!(poller.get().await.text().ends_with(last));
}

#[tokio::test]
async fn a_broadcast_is_compressed_once_for_all_who_agreed_alike() {
    let builder = builder().compression(true).compression_threshold(100);
    let server = Server::echo(builder).await;
    let path = format!("{PATH}?EIO=4&transport=websocket");
    let offer = "sec-websocket-extensions: permessage-deflate\r\n";
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = ws::Raw::open_as(server.address(), &path, offer).await;
        assert!(client.frame().await.expect("the open packet").payload.starts_with(b"0{"));
        clients.push(client);
    }
    let before = server.frame_counters().framed();
    let text = "again and ".repeat(1000);
    assert_eq!(server.write(&text).unwrap(), 3);
    let mut frames = Vec::new();
    for client in &mut clients {
        let frame = client.frame().await.expect("a message");
        assert_eq!(frame.first, 0xc1, "the first reserved bit says that it is compressed");
        assert!(frame.payload.len() < 300, "{}", frame.payload.len());
        frames.push(frame.payload);
    }
    assert_eq!(server.frame_counters().framed() - before, 1);
    // RFC 7692 §7.2.2.
    let mut inflate = flate2::Decompress::new(false);
    let mut plain = Vec::with_capacity(20_000);
    let compressed = [&frames[0][..], &[0, 0, 0xff, 0xff]].concat();
    inflate.decompress_vec(&compressed, &mut plain, flate2::FlushDecompress::Sync).unwrap();
    assert_eq!(String::from_utf8(plain).unwrap(), format!("4\"{text}\""));
}

#[tokio::test]
async fn it_is_mounted_beside_our_own_carriers_in_any_order() {
    for names in
        [["websocket", "sse", "polling", "engine.io"], ["engine.io", "polling", "sse", "websocket"]]
    {
        let server = Server::echo(Builder::new().transformers(names)).await;
        let to = server.address();
        let mut native = ws::Client::plain(to).await;
        native.echoes("\"native\"").await;
        ws::Client::resumable(to).await.echoes("\"ours\"").await;
        assert_eq!(http::post("/primus", "\"alone\"").send(to).await.text(), "\"alone\"\n");
        let script = http::get("/primus/primus.js").send(to).await;
        assert!(script.text().contains(r#""websocket""#), "our client is told of our carriers");

        let path = "/primus/?EIO=4&transport=websocket";
        let mut client = ws::Client::open(to, path, &[]).await.expect("welcome");
        assert!(client.text().await.starts_with("0{"));
        client.send("4\"theirs\"").await;
        assert_eq!(client.text().await, "4\"theirs\"");
        let opened = http::get("/primus?EIO=4&transport=polling").send(to).await;
        assert!(opened.text().starts_with("0{"), "{}", opened.text());
        let nothing = http::get("/primus").send(to).await;
        assert_eq!(nothing.text(), r#"{"code":0,"message":"Transport unknown"}"#);
    }
}

#[tokio::test]
async fn a_client_that_stops_half_way_leaves_nothing() {
    let server = Server::echo(
        builder()
            .ping_interval(Duration::from_millis(200))
            .ping_timeout(Duration::from_millis(100))
            .engine_io_upgrade_timeout(Duration::from_millis(100)),
    )
    .await;
    let quiet = Poller::open(&server, "EIO=4").await;
    let probing = Poller::open(&server, "EIO=4").await;
    let path = probing.path.replace("polling", "websocket");
    let mut probe = ws::Client::open(server.address(), &path, &[]).await.expect("welcome");
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
    let silent = Poller::open(&server, "EIO=4").await;
    let path = silent.path.replace("polling", "websocket");
    let mut mute = ws::Client::open(server.address(), &path, &[]).await.expect("welcome");
    assert_eq!((probe.close_code().await, mute.close_code().await), (1000, 1000));
    until("all are given up", || server.connected() == 0 && server.sessions() == 0).await;
    for poller in [quiet, probing, silent] {
        let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
        assert_eq!(poller.get().await.text(), unknown);
    }
}

#[tokio::test]
async fn the_end_of_the_server_is_told_to_who_polls_and_to_who_has_a_socket() {
    let server = Server::echo(builder()).await;
    let poller = Poller::open(&server, "EIO=4").await;
    let mut client = socket(&server, "EIO=4").await;
    until("both are there", || server.connected() == 2).await;
    let (polled, code, report) = soon(async {
        tokio::join!(poller.get(), client.close_code(), server.end(primus::End::default()))
    })
    .await;
    assert_eq!((polled.text(), code), ("1", CloseReason::SERVER_ENDED.code()));
    assert_eq!(report.cut, 0, "{report:?}");
}

/// A language in which `hello` opens a session, `bye` leaves it, and the connection stays.
struct Polite;

struct PoliteSpeaker {
    mount: Arc<Mount>,
    head: CoreHead,
}

impl Language for Polite {
    fn name(&self) -> &'static str {
        "polite"
    }

    fn greet<'a>(&'a self, caller: Caller<'a>) -> BoxFuture<'a, Result<Greeting, Rejection>> {
        let speaker = PoliteSpeaker { mount: Arc::clone(caller.mount), head: caller.head.clone() };
        Box::pin(async move {
            Ok(Greeting {
                speaker: Box::new(speaker),
                sid: None,
                opened: Opened { say: vec!["say hello".into()], ..Opened::default() },
                pending: Some(caller.mount.pend()?),
                patience: Some(Duration::from_millis(300)),
                headers: ::http::HeaderMap::new(),
            })
        })
    }
}

impl Speaker for PoliteSpeaker {
    fn read(
        &mut self,
        message: Payload,
        session: Option<&Arc<Session>>,
    ) -> Result<Heard, CloseReason> {
        let (mount, head) = (Arc::clone(&self.mount), self.head.clone());
        Ok(match (message.as_text(), session) {
            (Some("hello"), None) => Heard::Open(Box::pin(async move {
                match mount.open("polite", &head, Opening::default()).await {
                    Ok(session) => Opened {
                        carrier: Some(session.attach(Carriage::SILENT)),
                        say: vec!["welcome".into()],
                        deliver: vec!["first".into()],
                    },
                    Err(_) => Opened { say: vec!["no".into()], ..Opened::default() },
                }
            })),
            (Some("bye"), Some(_)) => Heard::Leave,
            (Some("rude"), _) => return Err(CloseReason::BAD_CONTROL),
            (_, None) => Heard::Say(vec!["say".into(), "hello".into()]),
            (_, Some(_)) => Heard::Deliver(message.into()),
        })
    }

    fn write(&mut self, outgoing: &Outgoing, _: &dyn Parser, to: &mut Writer<'_>) {
        // Two messages for each.
        const TWICE: primus::engine_io::Form = form!("polite");
        to.put(outgoing, &TWICE, |envelope| ["now".into(), envelope.body()]);
    }

    fn end(&mut self, _: &CloseReason, to: &mut Writer<'_>) {
        to.say(&"that is all".into());
    }

    fn after(&self, _: &CloseReason) -> After {
        After::Stay
    }
}

async fn polite() -> Server {
    let builder = Builder::new()
        .add_transformer(EngineIo::speaking(Polite))
        .path("/engine.io")
        .transformers(["polite"])
        .parser("raw");
    let server = Server::start(builder).await;
    server.on_connection(|mut spark: Spark| async move {
        while let Some(message) = spark.next().await {
            if message.as_text() == Some("end") {
                return Ok(());
            }
            spark.write_message(message)?;
        }
        Ok(())
    });
    server
}

#[tokio::test]
async fn another_language_opens_sessions_when_it_will_over_a_websocket() {
    let server = polite().await;
    let mut client = socket(&server, "EIO=4").await;
    for (said, heard) in [
        ("4what?", &["4say hello", "4say", "4hello"][..]),
        ("4hello", &["4welcome", "4now", "4first"]),
        ("4x", &["4now", "4x"]),
        ("4bye", &[]),
        ("4x", &["4say", "4hello"]),
        ("4hello", &["4welcome", "4now", "4first"]),
        ("4end", &["4that is all"]),
        ("4x", &["4say", "4hello"]),
    ] {
        client.send(said).await;
        for expected in heard {
            assert_eq!(client.text().await, *expected, "after {said}");
        }
        if said == "4bye" {
            until("it has left", || server.sessions() == 0).await;
        }
    }
    client.send("4rude").await;
    assert_eq!(client.close_code().await, 4400);
    until("nobody is left", || server.connected() == 0 && server.sessions() == 0).await;
}

#[tokio::test]
async fn another_language_opens_sessions_when_it_will_over_polling() {
    let server = polite().await;
    let answer = http::get(&format!("{PATH}?EIO=4&transport=polling")).send(server.address()).await;
    assert!(answer.text().ends_with("}\u{1e}4say hello"), "{}", answer.text());
    let client = Poller::open(&server, "EIO=4").await;
    for (said, heard) in [
        ("4what?", "4say\u{1e}4hello"),
        ("4hello", "4welcome\u{1e}4now\u{1e}4first"),
        ("4x", "4now\u{1e}4x"),
        ("4bye\u{1e}4x", "4say\u{1e}4hello"),
        ("4hello", "4welcome\u{1e}4now\u{1e}4first"),
        ("4end", "4that is all"),
        ("4x", "4say\u{1e}4hello"),
    ] {
        assert_eq!(client.post(said).await.text(), "ok");
        let mut polled = String::new();
        while polled.len() < heard.len() {
            if !polled.is_empty() {
                polled.push('\u{1e}'); // the handler took its time
            }
            polled.push_str(client.get().await.text());
        }
        assert_eq!(polled, heard, "after {said}");
    }
    assert_eq!(client.post("4rude").await.status, 400);
    assert_eq!(client.get().await.status, 400);
    until("nobody is left", || server.connected() == 0 && server.sessions() == 0).await;
}

#[tokio::test]
async fn a_connection_that_opens_no_session_in_time_is_closed() {
    let server = polite().await;
    let mut client = socket(&server, "EIO=4").await;
    assert_eq!(client.text().await, "4say hello");
    let poller = Poller::open(&server, "EIO=4").await;
    assert_eq!(client.close_code().await, 4408);
    let deadline = tokio::time::Instant::now() + primus_tests::server::PATIENCE;
    while poller.get().await.status == 200 {
        assert!(tokio::time::Instant::now() < deadline);
    }
    assert_eq!(poller.get().await.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
}

#[tokio::test]
async fn what_is_volatile_reaches_a_poll_that_waits_and_is_dropped_between_two() {
    let server = Server::echo(builder()).await;
    let client = Poller::open(&server, "EIO=4").await;
    until("it is there", || server.connected() == 1).await;
    assert_eq!(server.everyone().volatile().write("nobody polls").unwrap(), 0);
    let (polled, ()) = tokio::join!(client.get(), async {
        until("somebody polls", || server.everyone().volatile().write("now").unwrap() == 1).await;
    });
    assert_eq!(polled.text(), "4\"now\"");
    assert_eq!(server.everyone().volatile().write("again nobody").unwrap(), 0);
    assert_eq!(client.post("4\"echo\"").await.text(), "ok");
    assert_eq!(client.get().await.text(), "4\"echo\"");
}

#[tokio::test]
async fn who_asks_without_a_session_and_does_not_read_is_given_up() {
    let builder = Builder::new()
        .add_transformer(EngineIo::speaking(Polite))
        .path("/engine.io")
        .transformers(["polite"])
        .attach_timeout(Duration::from_millis(200))
        .max_pending(1);
    let server = Server::start(builder).await;
    let path = format!("{PATH}?EIO=4&transport=websocket");
    let mut rude = ws::Raw::open(server.address(), &path).await;
    let question = ws::frame(0x81, "4what?");
    let flood = question.repeat(4_000_000 / question.len());
    // The server reads no more once its answers do not leave, and then goes.
    let sent = async {
        loop {
            rude.send(&flood).await;
        }
    };
    let welcome = async {
        loop {
            // That there is room again is announced to nobody, so it is asked for.
            tokio::time::sleep(Duration::from_millis(20)).await;
            if ws::Client::open(server.address(), &path, &[]).await.is_ok() {
                break;
            }
        }
    };
    soon(async {
        tokio::select! {
            () = sent => unreachable!("it is sent for ever"),
            () = welcome => {}
        }
    })
    .await;
}

#[test]
fn forms_have_names_of_their_own() {
    let form = format!("{:?}", form!("x"));
    assert!(form.contains(&format!("{:?}", WireForm("x.socket4"))), "{form}");
}
