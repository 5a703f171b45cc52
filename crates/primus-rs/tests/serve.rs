//! A server that listens: it serves its client library, and ends when it is told to.

use primus::{Mount, Primus};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The head and the body of an answer.
async fn get(address: std::net::SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn it_serves_the_library_of_each_mount_and_ends() {
    let ws = Mount::new().transformers(["websocket"]).parser("raw");
    let primus = Primus::builder().mount("/ws", ws).build().unwrap();
    let listener = primus.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let serving = tokio::spawn(listener.serve());

    let (head, body) = get(address, "/primus/primus.js", "").await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(head.contains("\r\ncache-control: no-cache"), "{head}");
    assert_eq!(body, primus.library().script());

    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let known = format!("if-none-match: {etag}\r\n");
    let (head, body) = get(address, "/primus/primus.js", &known).await;
    assert!(head.starts_with("http/1.1 304"), "{head}");
    assert_eq!(body, "");

    let hashed = format!("/primus/primus.{}.js", etag.trim_matches('"'));
    let (head, body) = get(address, &hashed, "").await;
    assert!(head.contains("\r\ncache-control: public, max-age=31536000, immutable"), "{head}");
    assert_eq!(body, primus.library().script());
    let (head, _) = get(address, "/primus/primus.0.js", "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");

    let (_, body) = get(address, "/ws/primus.js", "").await;
    assert_eq!(body, primus.library_of("/ws").unwrap().script());

    let report = primus.shutdown().await;
    assert_eq!((report.ended, report.cut, report.left), (0, 0, 0));
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn it_serves_the_connections_of_another_accept_loop() {
    let primus = Primus::builder().path("/").transformer("sse").build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = primus.clone();
    tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        server.attach(stream, peer, server.service()).await.unwrap();
    });
    let (head, body) = get(address, "/spec", "").await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    let spec: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(spec["transports"], serde_json::json!(["sse"]));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let primus = Primus::builder().build().unwrap();
    let error = primus.listen(address).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
}
