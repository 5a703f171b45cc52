//! HTTP/2 by prior knowledge: many requests on one connection, and WebSockets in it (RFC 8441).

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use primus::{Primus, Rejection, State};
use primus_tests::{
    http::{Connection, get, post, raw},
    server::{Server, soon},
    ws,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// A WebSocket in a tunnel.
pub(crate) struct Tunnel(WebSocketStream<TokioIo<Upgraded>>);

impl Tunnel {
    pub(crate) async fn over(tunnel: TokioIo<Upgraded>) -> Self {
        Self(WebSocketStream::from_raw_socket(tunnel, Role::Client, None).await)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        soon(self.0.send(Message::text(text))).await.unwrap();
    }

    pub(crate) async fn message(&mut self) -> Message {
        soon(self.0.next()).await.expect("a message").expect("a message")
    }

    pub(crate) async fn text(&mut self) -> String {
        self.message().await.into_text().unwrap().to_string()
    }
}

#[tokio::test]
async fn streams_polls_and_posts_share_one_connection() {
    let server = Server::echo(Primus::builder()).await;
    let mut two = Connection::two(server.address()).await;

    let mut resumable = post("/primus/sse?v=2", "primus::attach::{}").open_on(&mut two).await;
    assert_eq!(resumable.status, 200);
    assert!(!resumable.headers.contains_key("connection"), "HTTP/2 forbids it");
    let attach = resumable.event().await.unwrap();
    let attach = attach.strip_prefix("primus::attach::").unwrap();
    let attach: serde_json::Value = serde_json::from_str(attach).unwrap();
    let mut plain = get("/primus/sse").open_on(&mut two).await;
    let polls = get("/primus/poll").send_on(&mut two).await;
    let token = polls.header("primus-token");
    let mut one = Connection::two(server.address()).await;
    let held =
        tokio::spawn(
            async move { get(&format!("/primus/poll?token={token}")).send_on(&mut one).await },
        );

    let sent = post("/primus/send?v=2", "\"a\"\n\"b\"")
        .header("primus-token", attach["token"].as_str().unwrap())
        .send_on(&mut two)
        .await;
    assert_eq!(sent.status, 204);
    assert_eq!(resumable.event().await.unwrap(), "\"a\"");
    assert_eq!(resumable.event().await.unwrap(), "\"b\"");
    assert_eq!(post("/primus", "\"once\"").send_on(&mut two).await.text(), "\"once\"\n");

    assert_eq!(server.write("all").unwrap(), 3);
    assert_eq!(resumable.event().await.unwrap(), "\"all\"");
    assert_eq!(plain.event().await.unwrap(), "\"all\"");
    assert_eq!(soon(held).await.unwrap().text(), "\"all\"\n");
}

#[tokio::test]
async fn a_stream_that_its_reader_cancels_detaches_its_session_and_spares_the_connection() {
    let server = Server::echo(Primus::builder()).await;
    let (gone, mut losses) = tokio::sync::mpsc::channel(1);
    server.on_detach(move |spark, reason| {
        let gone = gone.clone();
        async move { gone.send((spark, reason)).await.unwrap() }
    });
    let mut two = Connection::two(server.address()).await;
    for call in [get("/primus/sse"), post("/primus/sse?v=2", "primus::attach::{}")] {
        drop(call.open_on(&mut two).await);
        let (spark, reason) = soon(losses.recv()).await.unwrap();
        assert_eq!((spark.state(), reason.code()), (State::Detached, 1001));
        assert_eq!(get("/primus/spec").send_on(&mut two).await.status, 200);
    }
    assert_eq!(server.sessions(), 2);
}

#[tokio::test]
async fn without_a_resume_window_a_stream_that_its_reader_cancels_ends_its_session() {
    let server = Server::echo(Primus::builder().resume_window(Duration::ZERO)).await;
    let (gone, mut reasons) = tokio::sync::mpsc::channel(1);
    server.on_disconnection(move |_, reason| {
        let gone = gone.clone();
        async move { gone.send(reason.code()).await.unwrap() }
    });
    let mut two = Connection::two(server.address()).await;
    for call in [get("/primus/sse"), post("/primus/sse?v=2", "primus::attach::{}")] {
        drop(call.open_on(&mut two).await);
        assert_eq!(soon(reasons.recv()).await, Some(1001));
        assert_eq!(get("/primus/spec").send_on(&mut two).await.status, 200);
    }
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn a_websocket_over_an_extended_connect() {
    let server = Server::echo(Primus::builder()).await;
    let mut two = Connection::two(server.address()).await;
    // The server's settings, which allow it, have come with the first answer.
    get("/primus/spec").send_on(&mut two).await;

    let (answer, tunnel) =
        two.connect_websocket("/primus", &[("sec-websocket-version", "13")]).await;
    assert_eq!(answer.status, 200);
    for not_in_http2 in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!answer.headers.contains_key(not_in_http2), "{not_in_http2}");
    }
    let mut plain = Tunnel::over(tunnel.unwrap()).await;
    plain.send("\"plain\"").await;
    assert_eq!(plain.text().await, "\"plain\"");

    let headers = [("sec-websocket-version", "13"), ("sec-websocket-protocol", ws::RESUMABLE)];
    let (answer, tunnel) = two.connect_websocket("/primus/", &headers).await;
    assert_eq!(answer.header("sec-websocket-protocol"), ws::RESUMABLE);
    let mut resumable = Tunnel::over(tunnel.unwrap()).await;
    resumable.send("primus::attach::{}").await;
    assert!(resumable.text().await.starts_with("primus::attach::{"));
    resumable.send("\"resumable\"").await;
    assert_eq!(resumable.text().await, "\"resumable\"");

    assert_eq!(server.connected(), 2, "both in one connection");
    assert_eq!(server.write("all").unwrap(), 2);
    assert_eq!(plain.text().await, "\"all\"");
    assert_eq!(resumable.text().await, "\"all\"");
    resumable.send("primus::end::").await;
    let Message::Close(Some(close)) = resumable.message().await else { panic!("no close frame") };
    assert_eq!(u16::from(close.code), 1000);
    plain.send("\"still here\"").await;
    assert_eq!(plain.text().await, "\"still here\"");
}

#[tokio::test]
async fn an_extended_connect_is_authorized_and_its_origin_checked() {
    let server = Server::echo(Primus::builder()).await;
    server.authorize(async |request| match request.query("name") {
        Some(_) => Ok(()),
        None => Err(Rejection::unauthorized("who are you?")),
    });
    let mut two = Connection::two(server.address()).await;
    get("/primus/spec").send_on(&mut two).await;
    let (answer, tunnel) = two.connect_websocket("/primus", &[]).await;
    assert_eq!((answer.status.as_u16(), &*answer.error()), (401, "who are you?"));
    assert!(tunnel.is_none());
    let evil = [("origin", "http://evil.test")];
    assert_eq!(two.connect_websocket("/primus?name=a", &evil).await.0.status, 403);
    let same = format!("http://{}", server.address());
    let (answer, _tunnel) = two.connect_websocket("/primus?name=a", &[("origin", &same)]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn http2_can_be_turned_off() {
    let server = Server::echo(Primus::builder().http2(false)).await;
    let answer = raw(server.address(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{answer}");
    assert_eq!(get("/primus/spec").send(server.address()).await.status, 200);
}
