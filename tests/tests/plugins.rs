//! Plugins: their hooks, and that they come and go while the server runs.

use std::{
    io::Read as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::StatusCode;
use primus::{
    Builder, CloseReason, Flow, FromFn, Kind, Message, Mount, Place, Plugin, PluginError, Primus,
    Spark, Written, core::request::status,
};
use primus_tests::{
    http::{Answer, get},
    peer::{Peer, TRANSPORTS},
    server::{Server, until},
    ws,
};
use serde_json::{Value, json};

// ---- the client's half ----

/// A plugin with a half for clients.
struct Badge(&'static str);

impl Plugin for Badge {
    fn name(&self) -> &str {
        self.0
    }

    fn client_script(&self) -> Option<&str> {
        match self.0 {
            "silent" => None,
            "plain" => Some("(primus) => { primus.plain = 1; }"),
            _ => Some("(primus, options, mine) => { primus.badge = mine; };"),
        }
    }

    fn client_options(&self) -> Option<Value> {
        (self.0 == "badge").then(|| json!({ "shown": ["</script>"] }))
    }
}

const BADGE: &str =
    "[((primus, options, mine) => { primus.badge = mine; }\n),{\"shown\":[\"\\u003c/script>\"]}]";
const PLAIN: &str = "((primus) => { primus.plain = 1; }\n)";

async fn script(server: &Server, path: &str) -> Answer {
    let answer = get(&format!("{path}/primus.js")).send(server.address()).await;
    assert_eq!(answer.status, 200);
    answer
}

/// What stands in a script as its plugins.
fn plugins_in(answer: &Answer) -> String {
    let plugins = answer.text().split_once(",\"plugins\":[");
    plugins.map_or("", |(_, behind)| behind.split_once("]})").unwrap().0).to_owned()
}

fn names(primus: &Primus) -> Vec<String> {
    primus.plugins().names().iter().map(|name| name.to_string()).collect()
}

#[tokio::test]
async fn primus_js_has_the_plugins_of_the_moment_on_every_mount() {
    let server = Server::start(Primus::builder().mount("/ws", Mount::new())).await;
    let plugins = server.plugins();
    let mut expected = Vec::new();
    let mut seen = Vec::new();
    for step in ["", "+badge", "+plain", "+silent", "-badge", "-silent", "-plain"] {
        match step.split_at_checked(1) {
            Some(("+", name)) => {
                plugins
                    .add(Badge(
                        ["badge", "plain", "silent"].into_iter().find(|n| *n == name).unwrap(),
                    ))
                    .unwrap();
                expected.extend(
                    [("badge", BADGE), ("plain", PLAIN)].into_iter().filter(|(n, _)| *n == name),
                );
            }
            Some((_, name)) => {
                assert!(plugins.remove(name));
                expected.retain(|(n, _)| *n != name);
            }
            None => {}
        }
        let shown = expected.iter().map(|(_, script)| *script).collect::<Vec<_>>().join(",");
        let mut etags = Vec::new();
        for path in ["/primus", "/ws"] {
            let answer = script(&server, path).await;
            assert_eq!(plugins_in(&answer), shown, "{step} {path}");
            etags.push(answer.header("etag"));
        }
        assert_eq!(server.primus().library().etag(), etags[0]);
        assert_eq!(server.primus().library_of("/ws").unwrap().etag(), etags[1]);
        seen.push(etags);
    }
    // The same plugins make the same script, and others another one.
    let same = [(0, 6), (2, 3), (4, 5)];
    for (one, other) in (0..7).flat_map(|one| (0..one).map(move |other| (other, one))) {
        let expected = same.contains(&(one, other));
        assert_eq!(seen[one] == seen[other], expected, "{one} {other}");
        assert_eq!(seen[one][0] == seen[other][0], expected, "{one} {other}");
    }
}

#[tokio::test]
async fn after_a_change_the_old_script_is_stale_in_every_form() {
    let server = Server::start(Primus::builder()).await;
    let compressed = async |coding: &str| {
        let call = get("/primus/primus.js").header("accept-encoding", coding);
        let answer = call.send(server.address()).await;
        let mut script = String::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut script),
            _ => brotli::Decompressor::new(&*answer.body, 4096).read_to_string(&mut script),
        }
        .unwrap();
        (answer.header("etag"), script)
    };
    let status_with = async |path: &str, known: &str| {
        let call = get(path).header("if-none-match", known);
        call.send(server.address()).await.status.as_u16()
    };
    let mut tags = Vec::new();
    let mut urls = Vec::new();
    for change in [false, true] {
        if change {
            server.plugins().add(Badge("plain")).unwrap();
        }
        let answer = script(&server, "/primus").await;
        let etag = answer.header("etag");
        tags.push(etag.clone());
        urls.push(format!("/primus/primus.{}.js", etag.trim_matches('"')));
        for coding in ["gzip", "br"] {
            let (tag, script) = compressed(coding).await;
            assert_eq!(tag, format!("\"{}-{coding}\"", etag.trim_matches('"')));
            assert_eq!(script, answer.text(), "{coding}");
        }
        assert_eq!(status_with("/primus/primus.js", &etag).await, 304);
        assert_eq!(status_with(&urls[usize::from(change)], "").await, 200);
    }
    assert_ne!(tags[0], tags[1]);
    assert_eq!(status_with("/primus/primus.js", &tags[0]).await, 200);
    assert_eq!(status_with(&urls[0], "").await, 404);
    // Who takes it back has the old one again, under its old name.
    assert!(server.plugins().remove("plain"));
    assert_eq!(status_with("/primus/primus.js", &tags[0]).await, 304);
    assert_eq!(status_with(&urls[0], "").await, 200);
    assert_eq!(status_with(&urls[1], "").await, 404);
}

// ---- hooks ----

type Lines = Arc<Mutex<Vec<String>>>;

fn taken(lines: &Lines) -> Vec<String> {
    std::mem::take(&mut *lines.lock().unwrap())
}

/// Writes down which of its hooks are called, and puts its name behind what passes.
#[derive(Clone)]
struct Diary {
    name: &'static str,
    lines: Lines,
}

impl Diary {
    fn new(name: &'static str) -> Self {
        Self { name, lines: Arc::default() }
    }

    fn note(&self, what: impl Into<String>) {
        self.lines.lock().unwrap().push(what.into());
    }
}

fn append(message: &mut Message, suffix: &str) {
    let text: String = message.decode().unwrap();
    message.replace(&format!("{text} {suffix}")).unwrap();
}

fn says(message: &Message, word: &str) -> bool {
    message.as_text().is_some_and(|text| text.contains(word))
}

impl Plugin for Diary {
    fn name(&self) -> &str {
        self.name
    }

    fn on_connection(&self, spark: &Spark) {
        self.note(format!("came over {}", spark.transformer()));
    }

    fn on_disconnection(&self, _: &Spark, reason: &CloseReason) {
        self.note(format!("left with {}", reason.code()));
    }

    fn incoming(&self, _: &Spark, message: &mut Message) -> Flow {
        self.note(format!("in {}", message.as_text().unwrap()));
        append(message, self.name);
        if says(message, "drop in") { Flow::Drop } else { Flow::Pass }
    }

    fn outgoing(&self, message: &mut Message) -> Flow {
        self.note(format!("out {}", message.as_text().unwrap()));
        append(message, self.name);
        if says(message, "drop out") { Flow::Drop } else { Flow::Pass }
    }
}

/// An echo whose handler and end write into the diary of a plugin, too.
async fn diarist(builder: Builder, diary: &Diary) -> Server {
    let server = Server::start(builder).await;
    let handler = diary.clone();
    server.on_connection(move |mut spark| {
        handler.note("handler");
        async move {
            while let Some(message) = spark.next().await {
                spark.write_message(message)?;
            }
            Ok(())
        }
    });
    let end = diary.clone();
    server.on_disconnection(move |_, _| {
        end.note("end");
        async {}
    });
    server
}

#[tokio::test]
async fn hooks_are_called_as_long_as_their_plugin_is_installed() {
    for transport in TRANSPORTS {
        let diary = Diary::new("diary");
        let server = diarist(Primus::builder(), &diary).await;
        let mut early = Peer::connect(server.address(), transport).await;
        early.send("\"a\"").await;
        assert_eq!(early.text().await, "\"a\"");
        assert_eq!(taken(&diary.lines), ["handler"]);

        server.plugins().add(diary.clone()).unwrap();
        early.send("\"b\"").await;
        assert_eq!(early.text().await, "\"b diary diary\"");
        assert_eq!(taken(&diary.lines), ["in \"b\"", "out \"b diary\""]);
        let mut late = Peer::connect(server.address(), transport).await;
        late.send("\"c\"").await;
        assert_eq!(late.text().await, "\"c diary diary\"");
        let came = format!("came over {transport}");
        assert_eq!(taken(&diary.lines), [&*came, "handler", "in \"c\"", "out \"c diary\""]);
        // One that came before the plugin did, and one that came after.
        for mut peer in [early, late] {
            peer.send("primus::end::").await;
            drop(peer);
            until("the end", || diary.lines.lock().unwrap().len() == 2).await;
            assert_eq!(taken(&diary.lines), ["left with 1000", "end"]);
        }

        let mut last = Peer::connect(server.address(), transport).await;
        last.send("\"d\"").await;
        assert_eq!(last.text().await, "\"d diary diary\"");
        taken(&diary.lines);
        assert!(server.plugins().remove("diary"));
        last.send("\"e\"").await;
        assert_eq!(last.text().await, "\"e\"");
        last.send("primus::end::").await;
        drop(last);
        until("the end", || !diary.lines.lock().unwrap().is_empty()).await;
        Peer::connect(server.address(), transport).await;
        until("the handler", || diary.lines.lock().unwrap().len() == 2).await;
        assert_eq!(taken(&diary.lines), ["end", "handler"], "{transport}");
    }
}

#[tokio::test]
async fn plugins_stand_around_the_transforms_in_the_order_in_which_they_were_added() {
    let server = Server::echo(
        Primus::builder()
            .plugin(Diary::new("a"))
            .transform_in(|_, message| {
                append(message, "transform");
                Flow::Pass
            })
            .transform_out(|message| {
                append(message, "transform");
                Flow::Pass
            })
            .plugin(Diary::new("b")),
    )
    .await;
    assert_eq!(names(&server.primus()), ["a", "b"]);
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send("\"x\"").await;
        assert_eq!(peer.text().await, "\"x a b transform transform a b\"", "{transport}");
    }
}

#[tokio::test]
async fn what_a_plugin_drops_goes_no_further() {
    let (first, second) = (Diary::new("first"), Diary::new("second"));
    let server = diarist(Primus::builder().plugin(first).plugin(second.clone()), &second).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        for text in ["drop in", "drop out", "x"] {
            peer.send(&format!("\"{text}\"")).await;
        }
        assert_eq!(peer.text().await, "\"x first second first second\"", "{transport}");
        let spark = server.spark(peer.id().parse().unwrap()).unwrap();
        assert_eq!(spark.write("drop out").unwrap(), Written::Dropped);
        assert_eq!(server.write("drop out").unwrap(), 0);
    }
    let lines = taken(&second.lines);
    let seen: Vec<_> = lines.iter().filter(|line| line.contains("drop")).collect();
    // The handler got it, and its echo did not get past the first plugin.
    assert_eq!(seen, ["in \"drop out first\""; 3]);
}

/// Counts the messages that go out.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Plugin for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn outgoing(&self, _: &mut Message) -> Flow {
        self.0.fetch_add(1, Ordering::Relaxed);
        Flow::Pass
    }
}

#[tokio::test]
async fn a_broadcast_passes_a_plugin_once_and_is_framed_once() {
    let per_spark = |_: &Spark, _: &mut Message| Flow::Pass;
    for (builder, calls, framed) in
        [(Primus::builder(), 1, 1), (Primus::builder().transform_out_per_spark(per_spark), 5, 0)]
    {
        let counter = Counter::default();
        let server = Server::echo(builder.plugin(counter.clone())).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(ws::Client::plain(server.address()).await);
        }
        until("five sparks", || server.sessions() == 5).await;
        assert_eq!(server.write("news").unwrap(), 5);
        for client in &mut clients {
            assert_eq!(client.text().await, "\"news\"");
        }
        assert_eq!(counter.0.load(Ordering::Relaxed), calls);
        assert_eq!(server.frame_counters().framed(), framed);
    }
}

// ---- one name each, install and uninstall ----

#[tokio::test]
async fn a_second_plugin_of_the_same_name_is_refused() {
    let server = Server::echo(Primus::builder().plugin(Badge("badge"))).await;
    let plugins = server.plugins();
    let before = script(&server, "/primus").await.header("etag");
    let error = plugins.add(Diary::new("badge")).unwrap_err();
    assert_eq!(error, PluginError::SameName("badge".to_owned()));
    assert_eq!(
        error.to_string(),
        "there is a plugin named `badge` already; give each a name of its own, or remove it first"
    );
    assert_eq!(script(&server, "/primus").await.header("etag"), before);
    // None of its hooks was hung in.
    let mut peer = Peer::connect(server.address(), "websocket").await;
    peer.send("\"x\"").await;
    assert_eq!(peer.text().await, "\"x\"");

    let badge = plugins.get("badge").unwrap();
    assert!(plugins.remove("badge"));
    plugins.add(Diary::new("badge")).unwrap();
    peer.send("\"x\"").await;
    assert_eq!(peer.text().await, "\"x badge badge\"");
    assert!(plugins.add_shared(badge).is_err());
    assert_eq!(names(&server.primus()), ["badge"]);
}

/// Closes the server with a middleware of its own.
struct Maintenance;

impl Plugin for Maintenance {
    fn name(&self) -> &str {
        "maintenance"
    }

    fn install(&self, primus: &primus::core::Primus) {
        let layer = FromFn::new(|_| Some(status(StatusCode::IM_A_TEAPOT)));
        primus.middleware().add("maintenance", Kind::Both, Place::First, layer).unwrap();
    }

    fn uninstall(&self, primus: &primus::core::Primus) {
        assert!(primus.middleware().remove("maintenance"));
    }
}

#[tokio::test]
async fn install_and_uninstall_are_called_with_the_server() {
    let server = Server::echo(Primus::builder().plugin(Maintenance)).await;
    let poll = async || get("/primus/poll").send(server.address()).await.status.as_u16();
    assert_eq!(poll().await, 418);
    assert!(server.plugins().remove("maintenance"));
    assert_eq!(poll().await, 200);
    server.plugins().add(Maintenance).unwrap();
    assert_eq!(poll().await, 418);
}

// ---- panics ----

/// Panics in the hook that it is named after.
struct Panics(&'static str);

impl Panics {
    fn at(&self, hook: &str) {
        assert_ne!(self.0, hook, "as asked");
    }
}

impl Plugin for Panics {
    fn name(&self) -> &str {
        self.0
    }

    fn install(&self, _: &primus::core::Primus) {
        self.at("install");
    }

    fn on_connection(&self, _: &Spark) {
        self.at("on_connection");
    }

    fn on_disconnection(&self, _: &Spark, _: &CloseReason) {
        self.at("on_disconnection");
    }

    fn incoming(&self, _: &Spark, message: &mut Message) -> Flow {
        if says(message, "panic") {
            self.at("incoming");
        }
        Flow::Pass
    }

    fn outgoing(&self, message: &mut Message) -> Flow {
        if says(message, "panic") {
            self.at("outgoing");
        }
        Flow::Pass
    }
}

#[tokio::test]
async fn a_panic_in_a_hook_ends_its_spark_at_most() {
    for transport in TRANSPORTS {
        for hook in ["on_connection", "incoming", "outgoing", "on_disconnection"] {
            let diary = Diary::new("diary");
            let server = diarist(Primus::builder(), &diary).await;
            let mut bystander = Peer::connect(server.address(), transport).await;
            bystander.send("\"hello\"").await;
            assert_eq!(bystander.text().await, "\"hello\"");
            taken(&diary.lines);
            server.plugins().add(Panics(hook)).unwrap();

            let mut peer = Peer::connect(server.address(), transport).await;
            match hook {
                "outgoing" => {
                    // Not even the echo of that message hurts: it does not go out.
                    peer.send("\"panic\"").await;
                    peer.send("\"hello\"").await;
                    assert_eq!(peer.text().await, "\"hello\"");
                    assert_eq!(server.write("panic").unwrap(), 0);
                    let spark = server.spark(peer.id().parse().unwrap()).unwrap();
                    assert_eq!(spark.write("panic").unwrap(), Written::Dropped);
                }
                "on_disconnection" => {
                    peer.send("primus::end::").await;
                    drop(peer);
                }
                hook => {
                    if hook == "incoming" {
                        peer.send("\"panic\"").await;
                    }
                    let (messages, end) = peer.rest().await;
                    assert_eq!((messages.len(), &end["code"]), (0, &json!(1011)), "{hook}");
                }
            }
            if hook != "outgoing" {
                let told = || diary.lines.lock().unwrap().iter().any(|line| line == "end");
                until("the end", told).await;
            }
            let handled = taken(&diary.lines).iter().any(|line| line == "handler");
            assert_eq!(handled, hook != "on_connection", "{hook}");
            bystander.send("\"still here\"").await;
            assert_eq!(bystander.text().await, "\"still here\"", "{hook} over {transport}");
        }
    }
    let server = Server::echo(Primus::builder()).await;
    let error = server.plugins().add(Panics("install")).unwrap_err();
    assert_eq!(error, PluginError::Panicked("install".to_owned()));
    let error = Primus::builder().plugin(Panics("install")).build().unwrap_err();
    assert_eq!(error.to_string(), "the plugin `install` panicked while it was installed");
}
