//! Which pages may connect: on upgrades, on streams, on polls and on POSTs.

use std::net::SocketAddr;

use primus::{Builder, Config, Primus};
use primus_tests::{
    http::{Call, get, post},
    server::Server,
    ws,
};

/// Opens something with an `Origin` in every way that there is; the status of each, all alike.
async fn status(to: SocketAddr, origin: &str, host: Option<&str>) -> (u16, String) {
    let with = |call: Call| {
        let call = call.header("origin", origin);
        match host {
            Some(host) => call.header("host", host),
            None => call,
        }
    };
    let mut found = Vec::new();
    for call in [
        get("/primus/sse"),
        get("/primus").header("accept", "text/event-stream"),
        post("/primus/sse?v=2", "primus::attach::{}"),
        get("/primus/poll"),
        post("/primus/poll?v=2", "primus::attach::{}"),
        post("/primus", "\"once\""),
        post("/primus/poll", "\"once\""),
    ] {
        let answer = with(call).open(to).await;
        let status = answer.status.as_u16();
        // A stream that is open has no end.
        let error = if status == 200 { String::new() } else { answer.whole().await.error() };
        found.push((status, error));
    }
    let address = to.to_string();
    let host = ("host", host.unwrap_or(&address));
    for (path, protocol) in
        [("/primus", None), ("/primus?_primuscb=1-0", None), ("/primus", Some(ws::RESUMABLE))]
    {
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            host.1
        );
        if let Some(protocol) = protocol {
            request.push_str(&format!("sec-websocket-protocol: {protocol}\r\n"));
        }
        let mut socket = ws::Raw::connect(to).await;
        socket.send(format!("{request}\r\n")).await;
        let (status, _) = socket.head().await;
        let error = found[0].1.clone();
        found.push((if status == 101 { 200 } else { status.as_u16() }, error));
    }
    for other in &found {
        assert_eq!(*other, found[0], "all alike: {found:?}");
    }
    found.swap_remove(0)
}

async fn allows(builder: Builder, origins: &[(&str, bool)]) {
    let server = Server::echo(builder).await;
    for (origin, allowed) in origins {
        let (status, error) = status(server.address(), origin, Some("here.test:8080")).await;
        assert_eq!(status, if *allowed { 200 } else { 403 }, "{origin}: {error}");
    }
}

#[tokio::test]
async fn pages_of_the_same_origin_may_connect_by_default_and_no_others() {
    allows(
        Primus::builder(),
        &[
            ("http://here.test:8080", true),
            ("https://here.test:8080", true), // TLS may end in front of us
            ("http://HERE.test:8080", true),
            ("http://here.test", false),
            ("http://here.test:8081", false),
            ("http://there.test:8080", false),
            ("http://here.test:8080.evil.test", false),
            ("http://sub.here.test:8080", false),
            ("file://", false),
            ("null", false),
        ],
    )
    .await;
    let server = Server::echo(Primus::builder()).await;
    let own = format!("http://{}", server.address());
    assert_eq!(status(server.address(), &own, None).await.0, 200);
    // Who names no origin is no page.
    assert_eq!(get("/primus/sse").open(server.address()).await.status, 200);
}

#[tokio::test]
async fn a_list_with_a_wildcard() {
    allows(
        Primus::builder().origins(["https://a.test", "https://*.example.com:8443"]),
        &[
            ("https://a.test", true),
            ("https://a.test:443", true),
            ("http://a.test", false),
            ("https://b.a.test", false),
            ("https://x.example.com:8443", true),
            ("https://x.y.example.com:8443", true),
            ("https://example.com:8443", false),
            ("https://evilexample.com:8443", false),
            ("https://x.example.com", false),
            ("http://here.test:8080", true),
            ("null", false),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_star_allows_every_page() {
    allows(
        Primus::builder().origins(["*"]),
        &[("https://anywhere.test", true), ("null", true), ("file://", true)],
    )
    .await;
}

/// The line of configuration that a refusal names, taken as it stands.
fn with_line_of(error: &str) -> Builder {
    let line = &error[error.find("origins = ").expect("a line")..];
    let line = line.split('`').next().unwrap();
    Builder::from(Config::from_toml(line, "primus.toml").expect("a line that can be read"))
}

#[tokio::test]
async fn a_page_behind_a_tunnel_works_after_the_one_line_that_the_refusal_names() {
    // The tunnel's page has the tunnel's name, and the tunnel names us as the host.
    let origin = "https://abc.tunnel.test";
    let server = Server::echo(Primus::builder()).await;
    let (refused, error) = status(server.address(), origin, None).await;
    assert_eq!(refused, 403);
    assert_eq!(
        error,
        "pages from https://abc.tunnel.test may not connect; this line of configuration would \
         allow it: origins = [\"https://abc.tunnel.test\"]"
    );
    let server = Server::echo(with_line_of(&error)).await;
    assert_eq!(status(server.address(), origin, None).await.0, 200);
    assert_eq!(status(server.address(), "https://other.tunnel.test", None).await.0, 403);
}

#[tokio::test]
async fn a_page_without_an_origin_works_after_the_one_line_that_the_refusal_names() {
    let server = Server::echo(Primus::builder()).await;
    let (refused, error) = status(server.address(), "null", None).await;
    assert_eq!(refused, 403);
    assert_eq!(
        error,
        "a page without an origin of its own may not connect; `origins = \"*\"` would allow it"
    );
    let server = Server::echo(with_line_of(&error)).await;
    assert_eq!(status(server.address(), "null", None).await.0, 200);
}

#[tokio::test]
async fn a_post_for_a_session_needs_an_origin_that_may_connect_too() {
    let server = Server::echo(Primus::builder()).await;
    let opened = get("/primus/poll").send(server.address()).await;
    let path = format!("/primus/poll?token={}", opened.header("primus-token"));
    let evil = |call: Call| call.header("origin", "http://evil.test");
    assert_eq!(evil(post(&path, "\"x\"")).send(server.address()).await.status, 403);
    assert_eq!(evil(get(&path)).send(server.address()).await.status, 403);
    assert_eq!(post(&path, "\"y\"").send(server.address()).await.status, 204);
    assert_eq!(get(&path).send(server.address()).await.text(), "\"y\"\n");
}
