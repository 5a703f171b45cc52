//! Which requests are for Primus, and which go on to the application that it is part of.

use http::Method;
use primus::{Builder, Mount, Primus};
use primus_tests::{
    http::{Call, Connection, get, post, raw},
    server::{Server, echo},
    ws,
};

use crate::{app, echoes_at};

async fn with_app(builder: Builder) -> Server {
    let server = Server::start_with(builder, app()).await;
    server.on_connection(echo);
    server
}

async fn goes_on(server: &Server, method: Method, path: &str) {
    let expected = format!("app: {method} {path}");
    let answer = Call::new(method, path, "").send(server.address()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, &*expected));
}

async fn is_ours(server: &Server, call: Call, status: u16) {
    let answer = call.open(server.address()).await;
    assert_eq!(answer.status, status);
    if status != 200 {
        assert!(!answer.whole().await.text().starts_with("app: "));
    }
}

#[tokio::test]
async fn a_mount_at_primus() {
    let server = with_app(Primus::builder()).await;
    echoes_at(server.address(), "/primus").await;
    for path in [
        "/",
        "/primusx",
        "/primus2/sse",
        "/sse",
        "/primus",
        "/primus/",
        "/primus/other",
        "/PRIMUS/sse",
    ] {
        goes_on(&server, Method::GET, path).await;
    }
    for path in ["/", "/primusx", "/primus/other", "/primus/primus.js", "/primus/spec"] {
        goes_on(&server, Method::POST, path).await;
    }
    goes_on(&server, Method::DELETE, "/primus").await;
    goes_on(&server, Method::GET, "/primus/sse/x").await;
    goes_on(&server, Method::GET, "/primus/primus.config.js").await;
    is_ours(&server, get(&format!("/primus/primus.{}.js", "0".repeat(32))), 404).await;
    is_ours(&server, get("/primus/sse"), 200).await;
    is_ours(&server, get("/primus").header("accept", "text/event-stream"), 200).await;
    is_ours(&server, get("/primus/").header("accept", "a/b, Text/Event-Stream;q=1"), 200).await;
    is_ours(&server, get("/primus/poll"), 200).await;
    is_ours(&server, get("/primus/spec"), 200).await;
    is_ours(&server, post("/primus", "1"), 200).await;
    is_ours(&server, post("/primus/", "1"), 200).await;
    is_ours(&server, post("/primus/send?v=2", ""), 404).await;
}

#[tokio::test]
async fn a_mount_in_the_midst_of_an_application() {
    let server = with_app(Primus::builder().path("/events")).await;
    echoes_at(server.address(), "/events").await;
    for path in ["/", "/events", "/events/archive", "/events/2024/sse", "/eventsx", "/primus"] {
        goes_on(&server, Method::GET, path).await;
    }
    goes_on(&server, Method::PUT, "/events/archive").await;
    goes_on(&server, Method::DELETE, "/events").await;
    is_ours(&server, get("/events").header("accept", "text/event-stream"), 200).await;
    is_ours(&server, get("/events/primus.js"), 200).await;
    is_ours(&server, post("/events", "1"), 200).await;
}

#[tokio::test]
async fn a_mount_at_the_root() {
    let server = with_app(Primus::builder().path("/")).await;
    echoes_at(server.address(), "").await;
    ws::Client::open(server.address(), "/", &[]).await.unwrap().echoes("\"ws\"").await;
    for path in ["/", "/about", "/primus", "/primus/sse", "/ssex", "/spec/x", "/index.html?sse"] {
        goes_on(&server, Method::GET, path).await;
    }
    goes_on(&server, Method::POST, "/").await;
    for path in ["/form", "/send"] {
        goes_on(&server, Method::POST, path).await;
    }
    goes_on(&server, Method::GET, "/send").await;
    for path in ["/poll", "/sse", "/send"] {
        goes_on(&server, Method::DELETE, path).await;
    }
    for path in ["/primus.js", "/spec", "/sse", "/poll"] {
        is_ours(&server, get(path), 200).await;
    }
    is_ours(&server, get("/").header("accept", "text/event-stream"), 200).await;
    is_ours(&server, post("/sse", "1"), 200).await;
    is_ours(&server, post("/send?v=2", ""), 404).await;
}

#[tokio::test]
async fn a_transformer_that_is_not_configured_claims_none_of_its_urls() {
    let server = with_app(Primus::builder().transformer("websocket")).await;
    for path in ["/primus/sse", "/primus/poll"] {
        goes_on(&server, Method::GET, path).await;
        goes_on(&server, Method::POST, path).await;
    }
    goes_on(&server, Method::POST, "/primus").await;
    goes_on(&server, Method::POST, "/primus/send?v=2").await;
    ws::Client::plain(server.address()).await.echoes("1").await;

    let server = with_app(Primus::builder().transformer("polling")).await;
    goes_on(&server, Method::GET, "/primus/sse").await;
    is_ours(&server, get("/primus/poll"), 200).await;
    is_ours(&server, post("/primus", "1"), 200).await;
    let refused = ws::Client::open(server.address(), "/primus", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 200, "the application answered");
}

#[tokio::test]
async fn the_longest_path_is_asked_first() {
    let builder = Primus::builder()
        .path("/")
        .mount("/chat", Mount::new().transformers(["sse"]))
        .mount("/chat/room", Mount::new().transformers(["polling"]));
    let server = with_app(builder).await;
    let spec = async |path: &str| get(path).send(server.address()).await.json()["pathname"].clone();
    assert_eq!(spec("/spec").await, "/");
    assert_eq!(spec("/chat/spec").await, "/chat");
    assert_eq!(spec("/chat/room/spec").await, "/chat/room");
    goes_on(&server, Method::GET, "/chat/poll").await;
    goes_on(&server, Method::GET, "/chat/room/sse").await;
    goes_on(&server, Method::GET, "/chat/rooms/poll").await;
}

#[tokio::test]
async fn without_an_application_there_is_404_and_where_primus_is() {
    let builder = Primus::builder().mount("/ws", Mount::new().transformers(["websocket"]));
    let server = Server::echo(builder).await;
    for path in ["/", "/primusx", "/primus", "/ws/sse"] {
        let answer = get(path).send(server.address()).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.error(), "nothing is here; Primus is at /primus, /ws");
    }
}

#[tokio::test]
async fn a_plain_get_where_only_websockets_are_spoken_says_so() {
    let server = Server::echo(Primus::builder().transformer("websocket")).await;
    for path in ["/primus", "/primus/"] {
        let answer = get(path).send(server.address()).await;
        assert_eq!((answer.status.as_u16(), &*answer.header("upgrade")), (426, "websocket"));
    }
    assert_eq!(get("/primus/x").send(server.address()).await.status, 404);
    assert_eq!(post("/primus", "").send(server.address()).await.status, 404);
}

#[tokio::test]
async fn an_upgrade_for_a_path_that_nobody_serves_is_answered_and_closed() {
    let server = Server::echo(Primus::builder()).await;
    let to = server.address();
    for path in ["/", "/primusx", "/primus/other"] {
        let answer = raw(
            to,
            format!(
                "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\n\
                 upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
        let mut two = Connection::two(to).await;
        get("/primus/spec").send_on(&mut two).await;
        let (answer, tunnel) = two.connect_websocket(path, &[]).await;
        assert_eq!((answer.status.as_u16(), tunnel.is_none()), (404, true));
    }
    ws::Client::plain(to).await.echoes("1").await;
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let server = Server::echo(Primus::builder()).await;
    let to = server.address();
    let ask = async |headers: &str| {
        let head = format!("GET /primus HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\n");
        raw(to, format!("{head}upgrade: websocket\r\n{headers}\r\n")).await
    };
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = ask(&format!("{key}sec-websocket-version: 12\r\n")).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 426 "), "{answer}");
    assert!(answer.contains("\r\nsec-websocket-version: 13\r\n"), "{answer}");
    let answer = ask("sec-websocket-version: 13\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(server.sessions(), 0);
}
