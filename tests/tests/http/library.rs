//! `/primus/primus.js` and `/primus/spec`.

use std::{io::Read as _, time::Duration};

use http::Method;
use primus::{Builder, ClientOptions, Mount, Plugin, Primus, ReconnectOptions};
use primus_tests::{
    http::{Answer, Call, get, post},
    server::Server,
};
use serde_json::json;

async fn library(server: &Server) -> Answer {
    get("/primus/primus.js").send(server.address()).await
}

#[tokio::test]
async fn what_is_served_is_what_library_and_save_give() {
    let server = Server::start(Primus::builder()).await;
    let answer = library(&server).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(answer.text(), server.primus().library().script());
    let path = std::env::temp_dir().join(format!("primus-served-{}.js", std::process::id()));
    server.primus().save(&path).unwrap();
    let saved = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(saved, answer.text());
}

#[tokio::test]
async fn a_browser_asks_each_time_and_is_told_when_nothing_has_changed() {
    let server = Server::start(Primus::builder()).await;
    let answer = library(&server).await;
    assert_eq!(answer.header("cache-control"), "no-cache");
    let etag = answer.header("etag");
    for (known, status) in [
        (etag.clone(), 304),
        (format!("W/{etag}"), 304),
        (format!("\"x\", {etag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let call = get("/primus/primus.js").header("if-none-match", &known);
        let answer = call.send(server.address()).await;
        assert_eq!(answer.status, status, "{known}");
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    // The same options make the same script, in another process too.
    let again = Server::start(Primus::builder()).await;
    assert_eq!(library(&again).await.header("etag"), etag);
    let other = Server::start(Primus::builder().path("/other").mount("/primus", Mount::new()));
    assert_eq!(library(&other.await).await.header("etag"), etag);
}

#[tokio::test]
async fn it_is_compressed_as_the_browser_likes_it() {
    let server = Server::start(Primus::builder()).await;
    let whole = library(&server).await;
    assert_eq!(
        (&*whole.header("content-encoding"), &*whole.header("vary")),
        ("", "accept-encoding")
    );
    let mut etags = vec![whole.header("etag")];
    for (accept, encoding) in [("gzip", "gzip"), ("gzip, deflate, br, zstd", "br")] {
        let call = || get("/primus/primus.js").header("accept-encoding", accept);
        let answer = call().send(server.address()).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert!(answer.body.len() * 2 < whole.body.len());
        let mut script = String::new();
        match encoding {
            "gzip" => flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut script),
            _ => brotli::Decompressor::new(&*answer.body, 4096).read_to_string(&mut script),
        }
        .unwrap();
        assert_eq!(script, whole.text());
        let known = call().header("if-none-match", &answer.header("etag"));
        assert_eq!(known.send(server.address()).await.status, 304);
        etags.push(answer.header("etag"));
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 3, "each form has a tag of its own");
}

#[tokio::test]
async fn under_its_hash_it_may_be_kept_for_ever() {
    let server = Server::start(Primus::builder()).await;
    let hash = library(&server).await.header("etag").trim_matches('"').to_owned();
    let answer = get(&format!("/primus/primus.{hash}.js")).send(server.address()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(answer.text(), server.primus().library().script());
    for other in ["0", &hash[1..], "", &"0".repeat(32)] {
        let answer = get(&format!("/primus/primus.{other}.js")).send(server.address()).await;
        assert_eq!(answer.status, 404, "{other}");
        assert_eq!(answer.header("cache-control"), "", "it may be there tomorrow");
    }
}

#[tokio::test]
async fn head_has_the_headers_and_no_body_and_there_is_no_post() {
    let server = Server::start(Primus::builder()).await;
    let whole = library(&server).await;
    let head = Call::new(Method::HEAD, "/primus/primus.js", "").send(server.address()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "cache-control", "vary"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    assert_eq!(post("/primus/primus.js", "").send(server.address()).await.status, 404);
}

/// What the client of each transport says to the server, and no other.
fn transports_in(script: &str) -> Vec<&'static str> {
    let (code, _options) = script.split_once("{\"path\":").unwrap();
    let marks = [("websocket", "\"primus.2\""), ("sse", "\"sse\""), ("polling", "\"polling\"")];
    marks.into_iter().filter(|(_, mark)| code.contains(mark)).map(|(name, _)| name).collect()
}

#[tokio::test]
async fn it_has_the_transports_in_use_and_no_others() {
    for transports in [
        &["websocket", "sse", "polling"][..],
        &["websocket", "sse"],
        &["websocket", "polling"],
        &["sse", "polling"],
        &["websocket"],
        &["sse"],
        &["polling"],
    ] {
        let builder = Primus::builder().transformers(transports.iter().copied());
        let server = Server::start(builder).await;
        let script = library(&server).await;
        assert_eq!(transports_in(script.text()), transports);
        let list = format!("\"transports\":{}", json!(transports));
        assert!(script.text().contains(&list), "{list}");
    }
}

struct Greeter(&'static str);

impl Plugin for Greeter {
    fn name(&self) -> &str {
        self.0
    }

    fn client_script(&self) -> Option<&str> {
        Some(if self.0 == "first" { "p => p.first = 1" } else { "p => p.second = 2" })
    }
}

/// A plugin that has nothing for browsers.
struct Silent;

impl Plugin for Silent {
    fn name(&self) -> &str {
        "silent"
    }
}

#[tokio::test]
async fn options_are_baked_in() {
    let client = ClientOptions::new()
        .timeout(Duration::from_secs(3))
        .manual(true)
        .reconnect(ReconnectOptions::new().retries(7));
    let builder = Primus::builder()
        .path("/live")
        .global("Live")
        .parser("raw")
        .ping_interval(Duration::from_secs(7))
        .ping_timeout(Duration::from_secs(2))
        .client(client);
    let server = Server::start(builder).await;
    let script = get("/live/primus.js").send(server.address()).await;
    let literal = format!(
        r#"{{"path":"/live","transports":["websocket","sse","polling"],"global":"Live","parser":"raw","version":"{}","options":{{"manual":true,"reconnect":{{"retries":7}},"timeout":3000}}}}"#,
        env!("CARGO_PKG_VERSION")
    );
    assert!(script.text().contains(&literal), "{}", script.text());
}

#[tokio::test]
async fn plugins_are_baked_into_every_mounts_script_whenever_they_were_added() {
    let others = |builder: Builder| {
        builder.path("/main").global("P").mount("/primus", Mount::new().transformers(["sse"]))
    };
    let expected = "\"plugins\":[(p => p.first = 1\n),(p => p.second = 2\n)]}";
    let add = |builder: Builder| builder.plugin(Greeter("first"));
    for builder in [
        others(add(Primus::builder()).plugin(Silent).plugin(Greeter("second"))),
        add(others(Primus::builder())).plugin(Greeter("second")),
        others(add(Primus::builder())).plugin(Greeter("second")).plugin(Silent),
    ] {
        let server = Server::start(builder).await;
        for path in ["/main/primus.js", "/primus/primus.js"] {
            let script = get(path).send(server.address()).await;
            assert!(script.text().contains(expected), "{path}: {}", script.text());
        }
    }
}

#[tokio::test]
async fn the_spec_has_the_five_fields_of_primus_8_and_the_transports() {
    let builder = Primus::builder()
        .ping_interval(Duration::from_secs(20))
        .mount("/feed", Mount::new().transformers(["polling", "sse"]).parser("raw"));
    let server = Server::start(builder).await;
    let version = env!("CARGO_PKG_VERSION");
    for (path, expected) in [
        (
            "/primus/spec",
            json!({
                "pingInterval": 20_000, "pathname": "/primus", "version": version,
                "parser": "json", "transformer": "websockets",
                "transports": ["websocket", "sse", "polling"],
            }),
        ),
        (
            "/feed/spec",
            json!({
                "pingInterval": 20_000, "pathname": "/feed", "version": version,
                "parser": "raw", "transformer": "polling", "transports": ["polling", "sse"],
            }),
        ),
    ] {
        let spec = get(path).send(server.address()).await;
        assert_eq!((spec.status.as_u16(), spec.json()), (200, expected));
        assert_eq!(spec.header("content-type"), "application/json");
        assert_eq!(spec.header("cache-control"), "no-store");
    }
}
