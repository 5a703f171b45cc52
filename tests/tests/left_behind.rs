//! What hostile clients leave behind: no session, no task, and no byte. What each of them is told is tested beside its protocol; here
//! each comes again and again, to a server that is weighed before and afterwards.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use primus_tests::{
    http,
    server::soon,
    weighed::{PAUSE, Weighed, Weight},
    ws::{Raw, frame, opcode},
};

/// How often each comes.
const ROUNDS: usize = 40;
/// Bytes that may be more than before, for all together: tables that have grown, and what a worker thread keeps to write
/// with. A session that stayed behind each time would be many times that.
const MORE: usize = 16 << 10;
/// Tasks that a mount has for itself from its first sessions on.
const OWN: usize = 4;
/// How long the last of them may be remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long those who poll may be away in these tests, and somewhat more.
const AWAY: Duration = Duration::from_secs(2);

/// All of the hostile once, so that everything is there that stays for good; then each of them again and again. `away`: how
/// long a session may be there without a connection.
async fn leave_nothing<H>(
    config: &str,
    away: Duration,
    hostile: &[(String, H)],
    come: impl AsyncFn(SocketAddr, &H),
) {
    let mut server = Weighed::start(env!("CARGO_BIN_EXE_weigh"), config);
    let to = server.address();
    let tasks = server.weight().tasks + OWN;
    for (_, input) in hostile {
        come(to, input).await;
    }
    let heap = server.at_rest(away).await.heap + MORE;
    for (what, input) in hostile {
        for _ in 0..ROUNDS {
            come(to, input).await;
        }
        let left = server.sinks_to(Weight { heap, tasks, sessions: 0 }, REMEMBERED).await;
        assert_eq!(left, Ok(()), "{what} leaves more behind than {heap} bytes and {tasks} tasks");
    }
}

fn named<H, N: Into<String>>(hostile: impl IntoIterator<Item = (N, H)>) -> Vec<(String, H)> {
    hostile.into_iter().map(|(what, input)| (what.into(), input)).collect()
}

// ---- WebSockets ----

/// Frames, one after the other.
type Frames = Vec<Vec<u8>>;

fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    frame(opcode::TEXT, text)
}

fn binary(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    frame(opcode::BINARY, bytes)
}

fn texts<T: AsRef<[u8]>>(
    all: impl IntoIterator<Item = (&'static str, T)>,
) -> Vec<(String, Frames)> {
    named(all.into_iter().map(|(what, it)| (what, vec![text(it)])))
}

fn deep() -> String {
    "[".repeat(100_000)
}

fn deep_and_closed() -> String {
    deep() + &"]".repeat(100_000)
}

/// A WebSocket that is greeted by each of `greetings`, having said what stands before it, and then says what it should
/// not. It is closed.
async fn socket(
    to: SocketAddr,
    path: &str,
    headers: &str,
    greetings: &[(&str, &str)],
    frames: &Frames,
) {
    let mut socket = Raw::open_as(to, path, headers).await;
    for (word, greeting) in greetings {
        if !word.is_empty() {
            socket.send(text(word)).await;
        }
        let said = socket.frame().await.expect("a greeting").payload;
        assert!(String::from_utf8_lossy(&said).contains(greeting), "{greeting}");
    }
    for frame in frames {
        socket.send(frame).await;
    }
    let closes = async {
        while let Some(frame) = socket.frame().await {
            if frame.first == opcode::CLOSE {
                break;
            }
        }
    };
    soon(closes).await;
}

#[tokio::test]
async fn hostile_clients_of_socket_io_leave_nothing_behind() {
    let placeholder = |num: &str| {
        let event = format!(r#"451-["hello",{{"_placeholder":true,"num":{num}}}]"#);
        vec![text(event), binary("x")]
    };
    let digits = "2".repeat(900_000);
    let mut hostile = texts([
        ("a name that is an object", r#"42[{"toString":"foo"}]"#.to_owned()),
        ("a name that is true", r#"42[true,"foo"]"#.to_owned()),
        ("a name that is null", r#"42[null,"bar"]"#.to_owned()),
        ("the name connect", r#"42["connect"]"#.to_owned()),
        ("the name disconnect", r#"42["disconnect","x"]"#.to_owned()),
        ("no number of attachments", "45".to_owned()),
        ("no dash behind it", "451".to_owned()),
        ("letters in it", "45a-".to_owned()),
        ("a point in it", "451.23-".to_owned()),
        ("no attachment", "450-[]".to_owned()),
        ("endless attachments", r#"4599999-["x",{"_placeholder":true,"num":0}]"#.to_owned()),
        ("an endless number of attachments", format!("45{digits}")),
        ("an endless ack id and nothing behind it", format!("42{digits}")),
        ("JSON 100,000 levels deep", format!(r#"42["message",{}]"#, deep_and_closed())),
        ("JSON that is never closed", format!(r#"42["message",{}"#, deep())),
        ("auth 100,000 levels deep", format!(r#"40/custom,{{"a":{}}}"#, deep_and_closed())),
        ("a refusal", r#"44{"message":"no"}"#.to_owned()),
        ("a second connect", "40".to_owned()),
        ("a namespace that it is not in", r#"42/custom,["x"]"#.to_owned()),
        ("an unknown type", "4abc".to_owned()),
        ("too large a message", "4".repeat(1_000_001)),
    ]);
    hostile.extend(named([
        ("a placeholder that is a word", placeholder(r#""splice""#)),
        ("a placeholder out of range", placeholder("1")),
        ("a negative placeholder", placeholder("-1")),
        ("a placeholder between two", placeholder("0.5")),
        ("an attachment of nothing", vec![binary("x")]),
        (
            "attachments that are too long together",
            vec![text(r#"453-["x"]"#), binary(vec![0; 400_000]), binary(vec![0; 700_000])],
        ),
        (
            "text where an attachment is due",
            vec![text(r#"451-["x",{"_placeholder":true,"num":0}]"#), text(r#"42["x"]"#)],
        ),
        (
            "JSON 100,000 levels deep with an attachment",
            vec![text(format!(r#"451-["message",{}]"#, deep_and_closed())), binary("x")],
        ),
    ]));
    let config = "path = \"/socket.io\"\ntransformer = \"socket.io\"\nmax_message = 1000000\n";
    let path = "/socket.io/?EIO=4&transport=websocket";
    let greetings = [("", "maxPayload"), ("40", "\"sid\":")];
    leave_nothing(config, PAUSE, &hostile, async |to, frames| {
        socket(to, path, "", &greetings, frames).await;
    })
    .await;
}

#[tokio::test]
async fn hostile_sockets_of_engine_io_leave_nothing_behind() {
    let hostile = texts([
        ("no type", "x"),
        ("nothing", ""),
        ("bad base64", "bAQ"),
        ("a ping, which is the server's", "2"),
        ("an end", "1"),
    ]);
    let config = "path = \"/engine.io\"\ntransformer = \"engine.io\"\nparser = \"raw\"\n";
    let path = "/engine.io/?EIO=4&transport=websocket";
    leave_nothing(config, PAUSE, &hostile, async |to, frames| {
        socket(to, path, "", &[("", "maxPayload")], frames).await;
    })
    .await;
}

#[tokio::test]
async fn hostile_sockets_of_sockjs_leave_nothing_behind() {
    let mut hostile = texts([
        ("broken JSON", "[\"a".to_owned()),
        ("an object", "{}".to_owned()),
        ("a number", "[1]".to_owned()),
        ("JSON 100,000 levels deep", deep()),
        ("too large a message", format!("[\"{}\"]", "x".repeat(300_000))),
    ]);
    hostile.extend(named([("bytes", vec![binary("[\"a\"]")])]));
    let config = "transformer = \"sockjs\"\nmax_message = 200000\n";
    leave_nothing(config, PAUSE, &hostile, async |to, frames| {
        socket(to, "/primus/0/x/websocket", "", &[("", "o")], frames).await;
    })
    .await;
}

#[tokio::test]
async fn hostile_sockets_of_bayeux_leave_nothing_behind() {
    let mut hostile = texts([
        ("a number", "1".to_owned()),
        ("broken JSON", "{".to_owned()),
        ("JSON 100,000 levels deep", deep()),
        ("too large a message", format!("[\"{}\"]", "x".repeat(300_000))),
    ]);
    hostile.extend(named([("bytes", vec![binary("[]")])]));
    let config = "transformer = \"bayeux\"\nmax_message = 200000\n";
    leave_nothing(config, PAUSE, &hostile, async |to, frames| {
        socket(to, "/primus", "", &[("[]", "[]")], frames).await;
    })
    .await;
}

#[tokio::test]
async fn hostile_clients_of_actioncable_leave_nothing_behind() {
    let data = |data: &str| {
        serde_json::json!({ "command": "message", "identifier": "x", "data": data }).to_string()
    };
    let whisper = r#"{"command":"whisper","identifier":"x","data":"#;
    let subscribe = r#"{"command":"subscribe","identifier":"#;
    let mut hostile = texts([
        ("nothing", String::new()),
        ("a list", "[\"subscribe\",\"x\"]".to_owned()),
        ("no command", "{}".to_owned()),
        ("an unknown command", "{\"command\":\"explode\",\"identifier\":\"x\"}".to_owned()),
        ("no identifier", "{\"command\":\"subscribe\"}".to_owned()),
        ("data that are no JSON", data("{")),
        ("JSON 100,000 levels deep", format!("{whisper}{}}}", deep_and_closed())),
        ("JSON 100,000 levels deep in a string", data(&deep_and_closed())),
        ("a huge identifier", format!("{subscribe}\"{}\"}}", "x".repeat(300_000))),
    ]);
    // Each is rejected, and then there is something that ends it.
    let mut flood: Frames = (0..100)
        .map(|n| {
            let identifier = format!("{{\"channel\":\"No\",\"n\":{n}}}");
            text(format!("{subscribe}{}}}", serde_json::Value::from(identifier)))
        })
        .collect();
    flood.push(text("x"));
    hostile.extend(named([("a flood of subscriptions", flood)]));
    hostile.extend(named([("bytes", vec![binary("{\"command\":\"ping\"}")])]));
    let config = "path = \"/cable\"\ntransformer = \"actioncable\"\nmax_message = 250000\n";
    let headers = "sec-websocket-protocol: actioncable-v1-json\r\n";
    leave_nothing(config, PAUSE, &hostile, async |to, frames| {
        socket(to, "/cable", headers, &[("", "welcome")], frames).await;
    })
    .await;
}

// ---- requests ----

/// A body and the status by which it is answered.
type Body = (String, u16);

async fn post(to: SocketAddr, path: &str, content_type: &str, body: &str) -> http::Answer {
    let call = http::post(path, body.to_owned()).header("content-type", content_type);
    soon(call.send(to)).await
}

/// What stands between these two.
fn between<'a>(text: &'a str, before: &str, behind: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect("what it begins with");
    rest.split_once(behind).expect("what it ends with").0
}

#[tokio::test]
async fn hostile_polls_of_engine_io_and_socket_io_leave_nothing_behind() {
    let bodies = |message: &str| {
        named([
            ("what is no packet", ("x".to_owned(), 400)),
            ("nothing", (String::new(), 400)),
            ("bad base64", ("4a\u{1e}bAQ".to_owned(), 400)),
            ("thousands of packets, then one that is none", (format!("{message}x"), 400)),
            ("a client that goes without a word", ("3".to_owned(), 200)),
        ])
    };
    for (name, message) in [("engine.io", "4\"x\"\u{1e}"), ("socket.io", "42[\"nobody\"]\u{1e}")] {
        let config = format!(
            "path = \"/x\"\ntransformer = \"{name}\"\nping_interval = \"300ms\"\nping_timeout = \"200ms\"\n"
        );
        let hostile = bodies(&message.repeat(60));
        leave_nothing(&config, AWAY, &hostile, async |to, (body, status): &Body| {
            let path = "/x/?EIO=4&transport=polling";
            let open = soon(http::get(path).send(to)).await;
            let path = format!("{path}&sid={}", between(open.text(), "\"sid\":\"", "\""));
            if name == "socket.io" {
                assert_eq!(post(to, &path, "text/plain", "40").await.status, 200);
            }
            let answer = post(to, &path, "text/plain", body).await;
            assert_eq!(answer.status, *status, "{}", answer.text());
        })
        .await;
    }
}

#[tokio::test]
async fn hostile_payloads_of_sockjs_leave_nothing_behind() {
    let hostile: Vec<(String, Body)> = named([
        ("broken JSON", ("[\"a".to_owned(), 500)),
        ("nothing", (String::new(), 500)),
        ("a number", ("[1]".to_owned(), 500)),
        ("JSON 100,000 levels deep", (deep(), 500)),
        ("too large a message", (format!("[\"{}\"]", "x".repeat(210_000)), 413)),
        ("a message, and not a word more", ("[\"1\"]".to_owned(), 204)),
    ]);
    let config =
        "transformer = \"sockjs\"\nmax_message = 200000\nsockjs_disconnect_delay = \"200ms\"\n";
    let sessions = AtomicU32::new(0);
    leave_nothing(config, AWAY, &hostile, async |to, (body, status)| {
        let session = format!("/primus/0/{}/xhr", sessions.fetch_add(1, Ordering::Relaxed));
        assert_eq!(post(to, &session, "text/plain", "").await.text(), "o\n");
        let path = format!("{session}_send");
        assert_eq!(post(to, &path, "text/plain", body).await.status, *status);
    })
    .await;
}

#[tokio::test]
async fn hostile_bodies_of_bayeux_leave_nothing_behind() {
    let handshake = r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}"#;
    let publish = r#"[{"channel":"/a","clientId":"nobody","data":"#;
    let hostile: Vec<(String, Body)> = named([
        ("a number", ("1".to_owned(), 400)),
        ("broken JSON", ("[{".to_owned(), 400)),
        ("a flood", (format!("[{}{{}}]", "{},".repeat(1000)), 400)),
        ("JSON 100,000 levels deep", (deep(), 400)),
        ("data 100,000 levels deep", (format!("{publish}{}}}]", deep_and_closed()), 200)),
        ("who is nobody", (format!("{publish}1}}]"), 200)),
        ("clients that never connect", (handshake.to_owned(), 200)),
    ]);
    let config = "transformer = \"bayeux\"\nbayeux_timeout = \"200ms\"\nresume_window = \"0s\"\n";
    leave_nothing(config, AWAY, &hostile, async |to, (body, status)| {
        let answer = post(to, "/primus", "application/json", body).await;
        assert_eq!(answer.status, *status, "{}", answer.text());
    })
    .await;
}

#[tokio::test]
async fn hostile_bodies_of_browserchannel_leave_nothing_behind() {
    let hostile: Vec<(String, Body)> = named([
        ("a number below zero", ("count=-1&ofs=0".to_owned(), 400)),
        ("a number without end", ("count=1000000000&ofs=0".to_owned(), 413)),
        ("a gap", ("count=2&ofs=0&req0__S=x&req5__S=y".to_owned(), 400)),
        ("maps that come too early", ("count=1&ofs=5&req0__S=x".to_owned(), 400)),
        ("JSON that is none", ("count=1&ofs=0&req0_JSON=%7B".to_owned(), 400)),
        ("JSON 100,000 levels deep", (format!("{{\"ofs\":0,\"data\":[{}", deep()), 400)),
        ("too large a message", (format!("count=1&ofs=0&req0__S={}", "x".repeat(250_000)), 413)),
        ("no session any more", ("count=0".to_owned(), 200)),
    ]);
    let config = "transformer = \"browserchannel\"\nbrowserchannel_clients = \"plain\"\n\
        max_message = 200000\nbrowserchannel_timeout = \"1s\"\nresume_window = \"0s\"\n";
    leave_nothing(config, AWAY, &hostile, async |to, (body, status)| {
        let form = "application/x-www-form-urlencoded";
        let open = post(to, "/primus/bind?VER=8&RID=0", form, "count=0").await;
        let sid = between(open.text(), "[\"c\",\"", "\"");
        let kind = if body.starts_with('{') { "application/json" } else { form };
        let path = format!("/primus/bind?VER=8&SID={sid}&RID=1");
        let answer = post(to, &path, kind, body).await;
        assert_eq!(answer.status, *status, "{}", answer.text());
        let end = format!("/primus/bind?VER=8&SID={sid}&RID=2&AID=0&TYPE=terminate");
        soon(http::get(&end).send(to)).await;
    })
    .await;
}
