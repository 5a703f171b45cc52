//! How many connections there may be.

use http::StatusCode;
use primus::Primus;
use primus_tests::{
    http::{Connection, get, post},
    server::{Server, soon, until},
    ws::{Answer, Client},
};

use super::{bystander, unharmed, websocket};

fn turned_away(answer: &Answer, status: StatusCode, option: &str) {
    assert_eq!(answer.status(), status);
    let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(after > 0);
    let body = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
    assert!(body.is_empty() || body.contains(option), "{body}");
}

#[tokio::test]
async fn more_than_max_pending_are_turned_away_until_one_attaches() {
    let server = Server::echo(websocket().max_pending(2)).await;
    let bystander = bystander(&server).await;
    let headers = [("sec-websocket-protocol", "primus.2")];
    let mut first = Client::pending(server.address()).await;
    let second = Client::pending(server.address()).await;
    let answer = Client::open(server.address(), "/primus", &headers).await.err().unwrap();
    turned_away(&answer, StatusCode::SERVICE_UNAVAILABLE, "max_pending");
    // Others need no place there.
    Client::plain(server.address()).await.echoes("1").await;

    first.send("primus::attach::{}").await;
    assert!(first.text().await.starts_with("primus::attach::"));
    let mut third = Client::pending(server.address()).await;
    // Who goes without a word gives its place back as well.
    drop(second);
    let mut tries = 0;
    let mut fourth = loop {
        match Client::open(server.address(), "/primus", &headers).await {
            Ok(client) => break client,
            Err(_) => tries += 1,
        }
        assert!(tries < 1000, "the place of who went is never given back");
        tokio::task::yield_now().await;
    };
    for client in [&mut third, &mut fourth] {
        client.send("primus::attach::{}").await;
        assert!(client.text().await.starts_with("primus::attach::"));
        client.echoes("1").await;
    }
    for client in [first, third, fourth] {
        client.end().await;
    }
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn more_than_max_connections_are_503_until_one_goes() {
    let server = Server::echo(Primus::builder().max_connections(2)).await;
    let to = server.address();
    let bystander = bystander(&server).await;
    let mut second = Client::plain(to).await;
    for path in ["/primus", "/primus?_primuscb=1"] {
        let answer = Client::open(to, path, &[]).await.err().unwrap();
        turned_away(&answer, StatusCode::SERVICE_UNAVAILABLE, "max_connections");
    }
    for call in [
        get("/primus/sse"),
        get("/primus/poll"),
        post("/primus/sse?v=2", "primus::attach::{}"),
        post("/primus", "hello"),
    ] {
        let answer = soon(call.send(to)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "5");
        assert!(answer.error().contains("max_connections"), "{answer:?}");
    }
    let mut ours = Client::pending(to).await;
    ours.send("primus::attach::{}").await;
    let (texts, closed) = ours.rest().await;
    assert!(texts[0].starts_with("primus::refuse::{"), "{texts:?}");
    assert_eq!(closed.code, 4503);

    second.echoes("still here").await;
    second.close().await;
    until("a free place", || server.sessions() == 1).await;
    unharmed(&server, bystander).await;
}

#[tokio::test]
async fn who_comes_when_all_places_are_streams_is_told_as_well() {
    let server = Server::echo(Primus::builder().max_connections(2)).await;
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::one(server.address()).await;
        let stream = soon(get("/primus/sse").open_on(&mut connection)).await;
        assert_eq!(stream.status, StatusCode::OK);
        connections.push((connection, stream));
    }
    let answer = Client::open(server.address(), "/primus", &[]).await.err().unwrap();
    turned_away(&answer, StatusCode::SERVICE_UNAVAILABLE, "max_connections");
}

#[tokio::test]
async fn more_than_max_connections_per_address_are_429_where_loopback_counts() {
    for count in [false, true] {
        let builder = websocket().max_connections_per_address(2).count_loopback(count);
        let server = Server::echo(builder).await;
        let to = server.address();
        let bystander = bystander(&server).await;
        let mut second = Client::plain(to).await;
        if count {
            let answer = Client::open(to, "/primus", &[]).await.err().unwrap();
            turned_away(&answer, StatusCode::TOO_MANY_REQUESTS, "max_connections_per_address");
            let mut ours = Client::pending(to).await;
            ours.send("primus::attach::{}").await;
            let (texts, closed) = ours.rest().await;
            assert!(texts[0].contains("\"status\":429"), "{texts:?}");
            assert_eq!(closed.code, 4429);
        } else {
            for _ in 0..5 {
                Client::plain(to).await.echoes("welcome").await;
            }
        }
        second.echoes("still here").await;
        second.close().await;
        until("a free place", || server.sessions() == 1).await;
        unharmed(&server, bystander).await;
    }
}
