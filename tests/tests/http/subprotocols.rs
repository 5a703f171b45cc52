//! Which WebSocket subprotocol a client gets.

use primus::{Builder, Mount, Primus};
use primus_tests::{
    server::Server,
    ws::{Client, RESUMABLE},
};

/// What the answer and `spark.protocol()` say to a client that offers these.
async fn chosen(server: &Server, path: &str, offered: &str) -> Option<String> {
    let headers = [("sec-websocket-protocol", offered)];
    let headers = if offered.is_empty() { &[][..] } else { &headers };
    // tungstenite refuses an answer that it did not ask for, and one that lacks what it asked for.
    let mut client = match Client::open(server.address(), path, headers).await {
        Ok(client) => client,
        Err(answer) => panic!("refused: {answer:?}"),
    };
    let answer = client.answer().headers().get("sec-websocket-protocol");
    let answer = answer.map(|protocol| protocol.to_str().unwrap().to_owned());
    let told: Option<String> = serde_json::from_str(&client.text().await).unwrap();
    assert_eq!(answer, told);
    told
}

async fn start(builder: Builder) -> Server {
    let server = Server::start(builder).await;
    server.on_connection(async |spark| {
        spark.write(&spark.protocol())?;
        while spark.clone().next().await.is_some() {}
        Ok(())
    });
    server
}

#[tokio::test]
async fn with_none_configured_the_clients_first_is_echoed() {
    let server = start(Primus::builder()).await;
    assert_eq!(chosen(&server, "/primus", "echo-protocol").await.unwrap(), "echo-protocol");
    assert_eq!(chosen(&server, "/primus", "a, b").await.unwrap(), "a");
    assert_eq!(chosen(&server, "/primus", "").await, None);
}

#[tokio::test]
async fn the_first_of_the_clients_that_is_configured_is_chosen() {
    let builder = Primus::builder()
        .subprotocols(["one", "two"])
        .mount("/own", Mount::new().subprotocols(["three"]));
    let server = start(builder).await;
    assert_eq!(chosen(&server, "/primus", "zero, two, one").await.unwrap(), "two");
    assert_eq!(chosen(&server, "/primus", "one").await.unwrap(), "one");
    assert_eq!(chosen(&server, "/primus", "").await, None);
    assert_eq!(chosen(&server, "/own", "one, three").await.unwrap(), "three");
}

/// The head of the answer, whatever a well-behaved client would make of it.
async fn head(server: &Server, offered: &str) -> String {
    let headers = format!("sec-websocket-protocol: {offered}\r\n");
    let mut raw = primus_tests::ws::Raw::connect(server.address()).await;
    raw.send(format!(
        "GET /primus HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {headers}\r\n"
    ))
    .await;
    let (status, head) = raw.head().await;
    assert_eq!(status, 101);
    head
}

#[tokio::test]
async fn without_one_in_common_the_answer_names_none() {
    let server = start(Primus::builder().subprotocols(["one"])).await;
    assert!(!head(&server, "zero, two").await.contains("sec-websocket-protocol"));
}

#[tokio::test]
async fn what_is_no_token_is_passed_over() {
    let server = start(Primus::builder()).await;
    let head = head(&server, "not one, (nor) ,good").await;
    assert!(head.contains("\r\nsec-websocket-protocol: good\r\n"), "{head}");
}

#[tokio::test]
async fn our_own_clients_is_always_there() {
    let server = Server::echo(Primus::builder().subprotocols(["one"])).await;
    let client = Client::resumable(server.address()).await;
    assert_eq!(client.answer().headers()["sec-websocket-protocol"], RESUMABLE);
    let head = head(&server, &format!("one, {RESUMABLE}")).await;
    assert!(head.contains("\r\nsec-websocket-protocol: primus.2\r\n"), "{head}");
}
