//! Where a client comes from: the socket's peer, or what a proxy says that is trusted.

use primus::{Builder, Primus};
use primus_tests::{
    http::{get, post},
    server::Server,
    ws,
};
use serde_json::{Value, json};

/// A server that tells each spark its address, and whether it came over TLS.
async fn start(builder: Builder) -> Server {
    let server = Server::start(builder).await;
    server.on_connection(async |spark| {
        spark.write(&json!([spark.address(), spark.secure()]))?;
        Ok(())
    });
    server
}

/// What each transport's spark is told; all alike.
async fn told(server: &Server, forwarded: &str, proto: &str) -> Value {
    let to = server.address();
    let headers = [("x-forwarded-for", forwarded), ("x-forwarded-proto", proto)];
    let mut websocket = ws::Client::open(to, "/primus", &headers).await.unwrap();
    let mut found = vec![websocket.text().await];
    for call in [get("/primus/sse"), get("/primus/poll"), post("/primus", "")] {
        let call = headers.into_iter().fold(call, |call, (name, value)| call.header(name, value));
        let answer = call.send(to).await;
        let line = answer.text().lines().find(|line| line.contains('[')).unwrap();
        found.push(line.trim_start_matches("data: ").to_owned());
    }
    assert!(found.iter().all(|other| *other == found[0]), "all alike: {found:?}");
    serde_json::from_str(&found[0]).unwrap()
}

#[tokio::test]
async fn forwarded_headers_count_for_nothing_by_default() {
    let server = start(Primus::builder()).await;
    assert_eq!(told(&server, "203.0.113.9", "https").await, json!(["127.0.0.1", false]));
    let elsewhere = start(Primus::builder().trusted_proxies(["10.0.0.0/8", "::1"])).await;
    assert_eq!(told(&elsewhere, "203.0.113.9", "https").await, json!(["127.0.0.1", false]));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_as_far_as_the_chain_is_trusted() {
    let server = start(Primus::builder().trusted_proxies(["127.0.0.0/8", "10.0.0.0/8"])).await;
    for (forwarded, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.7, 203.0.113.9", "203.0.113.9"), // the left one is a claim
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711, 10.1.2.3", "2001:db8::1"),
        ("junk", "127.0.0.1"),
        ("203.0.113.9, junk, 10.1.2.3", "10.1.2.3"),
    ] {
        assert_eq!(told(&server, forwarded, "https").await, json!([expected, true]), "{forwarded}");
    }
    assert_eq!(told(&server, "203.0.113.9", "http").await, json!(["203.0.113.9", false]));
}

#[tokio::test]
async fn the_limit_by_address_counts_the_clients_behind_a_trusted_proxy() {
    let builder = Primus::builder().trusted_proxies(["127.0.0.1"]).max_connections_per_address(1);
    let server = Server::echo(builder).await;
    let from = |address: &str| get("/primus/sse").header("x-forwarded-for", address);
    let first = from("203.0.113.9").open(server.address()).await;
    assert_eq!(first.status, 200);
    let second = from("203.0.113.9").send(server.address()).await;
    assert_eq!((second.status.as_u16(), &*second.header("retry-after")), (429, "5"));
    assert_eq!(from("203.0.113.10").open(server.address()).await.status, 200);
}
