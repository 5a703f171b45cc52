//! TLS, with the version of HTTP chosen by ALPN.

use primus::Primus;
use primus_tests::{
    certificate::Certificate,
    http::{Connection, get, post, raw},
    server::{Server, echo, soon},
};
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};

use crate::{
    http2::Tunnel,
    waiting::{Bare, open_polls},
};

/// Tells each spark whether it came over TLS, then echoes.
async fn start(certificate: &Certificate) -> Server {
    let server = Server::start(certificate.builder()).await;
    server.on_connection(async |spark| {
        spark.write(&spark.secure())?;
        echo(spark).await
    });
    server
}

#[tokio::test]
async fn http1_by_alpn_and_without_it() {
    let certificate = Certificate::new("http1");
    let server = start(&certificate).await;
    for (alpn, expected) in [(&["http/1.1"][..], "http/1.1"), (&[], "")] {
        let (stream, chosen) = certificate.connect(server.address(), alpn).await;
        assert_eq!(chosen, expected);
        let mut one = Connection::one_over(stream, "localhost").await;
        let answer = post("/primus", "\"a\"").send_on(&mut one).await;
        assert_eq!(answer.text(), "true\n\"a\"\n");
        let mut events =
            get("/primus/sse").header("origin", "https://localhost").open_on(&mut one).await;
        assert_eq!(events.event().await.unwrap(), "true");
    }
    let (stream, _) = certificate.connect(server.address(), &["http/1.1"]).await;
    let request = ClientRequestBuilder::new("wss://localhost/primus".parse().unwrap())
        .with_header("origin", "https://localhost");
    let opening = Box::pin(tokio_tungstenite::client_async(request, stream));
    let (mut client, _) = soon(opening).await.unwrap();
    use futures_util::{SinkExt as _, StreamExt as _};
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Message::text("true"));
    // More than one record, both ways.
    let large = format!("\"{}\"", "x".repeat(200_000));
    soon(client.send(Message::text(&*large))).await.unwrap();
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Message::text(large));
}

#[tokio::test]
async fn over_tls_a_stream_and_a_poll_wait_too() {
    let certificate = Certificate::new("waiting");
    let server = Server::start(certificate.builder()).await;
    let connect = async || Bare::new(certificate.connect(server.address(), &["http/1.1"]).await.0);
    let mut stream = connect().await;
    stream.get("/primus/sse").await;
    stream.to(":\n\n\r\n").await;
    let mut polls = connect().await;
    let poll = open_polls(&mut polls).await;
    for round in 0..3 {
        // The second is more than one record, and more than a socket takes at once.
        let text = "x".repeat(if round == 1 { 900_000 } else { 10 });
        polls.get(&poll).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(server.write(&text).unwrap(), 2);
        assert_eq!(polls.answer().await.1, format!("\"{text}\"\n"));
        let chunk = stream.to("\n\n\r\n").await;
        assert!(chunk.ends_with(&format!("data: \"{text}\"\n\n\r\n")), "{chunk:.80}");
    }
}

#[tokio::test]
async fn http2_by_alpn_with_websockets_in_it() {
    let certificate = Certificate::new("http2");
    let server = start(&certificate).await;
    let (stream, chosen) = certificate.connect(server.address(), &["h2", "http/1.1"]).await;
    assert_eq!(chosen, "h2");
    let mut two = Connection::two_over(stream, "localhost").await;
    assert_eq!(post("/primus", "\"a\"").send_on(&mut two).await.text(), "true\n\"a\"\n");
    let mut events = get("/primus/sse").open_on(&mut two).await;
    assert_eq!(events.event().await.unwrap(), "true");
    let (answer, tunnel) =
        two.connect_websocket("/primus", &[("sec-websocket-version", "13")]).await;
    assert_eq!(answer.status, 200);
    let mut client = Tunnel::over(tunnel.unwrap()).await;
    assert_eq!(client.text().await, "true");
    client.send("\"hello\"").await;
    assert_eq!(client.text().await, "\"hello\"");
}

#[tokio::test]
async fn with_http2_off_alpn_chooses_http1() {
    let certificate = Certificate::new("no-http2");
    let server = Server::start(certificate.builder().http2(false)).await;
    let (_stream, chosen) = certificate.connect(server.address(), &["h2", "http/1.1"]).await;
    assert_eq!(chosen, "http/1.1");
}

#[tokio::test]
async fn who_speaks_no_tls_is_turned_away_and_others_go_on() {
    let certificate = Certificate::new("plain");
    let server = start(&certificate).await;
    let answer = raw(server.address(), "GET /primus/spec HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    let (stream, _) = certificate.connect(server.address(), &[]).await;
    let mut one = Connection::one_over(stream, "localhost").await;
    assert_eq!(get("/primus/spec").send_on(&mut one).await.status, 200);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let certificate = Certificate::new("bad");
    let bind = async |cert: &str, key: &str| {
        let primus =
            Primus::builder().tls(certificate.path(cert), certificate.path(key)).build().unwrap();
        primus.bind("127.0.0.1:0").await.err().expect("an error").to_string()
    };
    let missing = bind("cert.pem", "none.pem").await;
    assert!(missing.starts_with(&format!("cannot read {}", certificate.path("none.pem"))));
    let swapped = bind("cert.pem", "cert.pem").await;
    assert!(swapped.starts_with(&format!("cannot read {}", certificate.path("cert.pem"))));
    let other = Certificate::new("other");
    std::fs::copy(other.path("key.pem"), certificate.path("other.pem")).unwrap();
    let mismatch = bind("cert.pem", "other.pem").await;
    assert!(mismatch.starts_with("the certificate cannot be used: "), "{mismatch}");
}
