//! Several mounts of one Primus, each with its own path, transformers, parser and limits.

use primus::{Mount, Primus};
use primus_tests::{
    http::{get, post},
    peer::Peer,
    server::Server,
    ws,
};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::echoes_at;

#[tokio::test]
async fn each_has_its_own_limits() {
    let builder = Primus::builder()
        .mount("/ws", Mount::new().parser("raw").max_message(16 << 20))
        .mount("/small", Mount::new().max_message(16).max_post_items(2));
    let server = Server::echo(builder).await;
    let to = server.address();
    for path in ["/primus", "/ws", "/small"] {
        echoes_at(to, path).await;
    }

    let large = vec![7; 3 << 20];
    let mut ws = ws::Client::open(to, "/ws", &[]).await.unwrap();
    ws.send_message(Message::binary(large.clone())).await;
    assert_eq!(ws.data().await, Message::binary(large.clone()));
    let posted = post("/ws", large.clone()).header("content-type", "application/octet-stream");
    assert_eq!(posted.send(to).await.status, 200);

    let mut main = ws::Client::plain(to).await;
    main.send_message(Message::binary(large.clone())).await;
    assert_eq!(main.close_code().await, 1009);
    let posted = post("/primus", large).header("content-type", "application/octet-stream");
    assert_eq!(posted.send(to).await.status, 413);

    let mut small = ws::Client::open(to, "/small", &[]).await.unwrap();
    small.echoes(&"1".repeat(16)).await;
    small.send("1".repeat(17)).await;
    assert_eq!(small.close_code().await, 1009);
    let peer = Peer::open(to, "polling", "/small", Value::Null).await.unwrap();
    assert_eq!(peer.attach["maxMessage"], 16);
    let three = post("/small/send?v=2", "1\n2\n3").header("primus-token", peer.token());
    let three = three.send(to).await;
    assert_eq!(three.status, 413);
    assert!(three.error().contains("more than 2 (max_post_items)"), "{}", three.error());
}

#[tokio::test]
async fn each_has_its_own_parser_and_all_have_one_handler() {
    let server = Server::start(Primus::builder().mount("/ws", Mount::new().parser("raw"))).await;
    server.on_connection(async |mut spark| {
        while let Some(message) = spark.next().await {
            let text: String = message.decode()?;
            spark.write(&format!("{text} at {}", spark.mount().settings().path))?;
        }
        Ok(())
    });
    let mut json = ws::Client::plain(server.address()).await;
    json.send("\"hi\"").await;
    assert_eq!(json.text().await, "\"hi at /primus\"");
    let mut raw = ws::Client::open(server.address(), "/ws", &[]).await.unwrap();
    raw.send("\"hi\"").await;
    assert_eq!(raw.text().await, "\"hi\" at /ws");
    let once = post("/ws", "hi").send(server.address()).await;
    assert_eq!(once.text(), "hi at /ws\n");
}

#[tokio::test]
async fn each_has_its_own_transformers_and_its_own_sessions() {
    let builder = Primus::builder()
        .transformer("websocket")
        .mount("/feed", Mount::new().transformers(["sse"]));
    let server = Server::echo(builder).await;
    let to = server.address();
    assert_eq!(get("/primus/sse").send(to).await.status, 404);
    assert_eq!(get("/feed/poll").send(to).await.status, 404);
    let refused = ws::Client::open(to, "/feed", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 404);
    let _events = Peer::open(to, "sse", "/feed", Value::Null).await.unwrap();
    let _socket = Peer::connect(to, "websocket").await;
    assert_eq!(server.sessions(), 2);
    assert_eq!(server.mount("/feed").unwrap().sessions(), 1);
    assert_eq!(server.mount("/primus").unwrap().sessions(), 1);
}

#[tokio::test]
async fn a_token_is_good_at_its_own_mount_only() {
    let server = Server::echo(Primus::builder().mount("/other", Mount::new())).await;
    let opened = get("/primus/poll").send(server.address()).await;
    let token = opened.header("primus-token");
    for method in [get, |path: &str| post(path, "\"x\"")] {
        let call = method(&format!("/other/poll?token={token}"));
        assert_eq!(call.send(server.address()).await.status, 404);
    }
    let right = post(&format!("/primus/poll?token={token}"), "\"x\"");
    assert_eq!(right.send(server.address()).await.status, 204);
}
