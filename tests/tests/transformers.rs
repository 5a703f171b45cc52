//! A transformer that is not of this repository, beside the native ones.

mod lines;

use bytes::Bytes;
use primus::{Builder, CloseReason, End, Flow, Primus, Rejection};
use primus_tests::{
    http::{self, Connection, Open, post_stream},
    peer::Peer,
    server::{Server, echo, soon, until},
};
use tokio::sync::mpsc;

use crate::lines::Lines;

fn builder() -> Builder {
    Primus::builder().add_transformer(Lines).transformers(["lines", "websocket", "sse", "polling"])
}

/// A client of it: lines in, lines out.
struct Client {
    lines: mpsc::Sender<Bytes>,
    answer: Open,
    _connection: Connection,
}

impl Client {
    async fn open(server: &Server) -> Self {
        let (call, lines) = post_stream("/primus/lines");
        let mut connection = Connection::one(server.address()).await;
        let answer = call.open_on(&mut connection).await;
        assert_eq!(answer.status, 200);
        Self { lines, answer, _connection: connection }
    }

    async fn send(&self, text: &'static str) {
        self.lines.send(Bytes::from(text)).await.unwrap();
    }

    async fn line(&mut self) -> String {
        self.answer.line().await.expect("a line")
    }
}

#[test]
fn it_takes_sixty_lines_of_code_and_public_items_only() {
    let source = include_str!("lines/mod.rs");
    let code = source.split_once("struct Lines;").unwrap().1;
    let code = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(code <= 60, "{code} lines");
    for private in ["primus_core", "primus_http", "primus_tests", "crate::", "super::"] {
        assert!(!source.contains(private), "{private}");
    }
}

#[tokio::test]
async fn a_transformer_from_outside_streams_both_ways_through_the_same_handler() {
    let server = Server::start(builder()).await;
    server.on_connection(async |spark| {
        spark.write(&format!("welcome over {}", spark.transformer()))?;
        echo(spark).await
    });
    let mut client = Client::open(&server).await;
    assert_eq!(client.line().await, r#""welcome over lines""#);
    // Each answer comes while the request is still being sent.
    client.send("\"one\"\n\"tw").await;
    assert_eq!(client.line().await, "\"one\"");
    client.send("o\"\n").await;
    assert_eq!(client.line().await, "\"two\"");

    let mut native = Peer::connect(server.address(), "websocket").await;
    assert_eq!(native.text().await, r#""welcome over websocket""#);
    native.send("\"three\"").await;
    assert_eq!(native.text().await, "\"three\"");

    // What ends its input ends the handler's, and with that the spark.
    client.send("\"last\"\n").await;
    drop(client.lines);
    assert_eq!(client.answer.line().await.unwrap(), "\"last\"");
    assert_eq!(client.answer.line().await.unwrap(), "end: 4000 ended");
    assert_eq!(client.answer.line().await, None);
    until("the end of its session", || server.sessions() == 1).await;
}

#[tokio::test]
async fn a_broadcast_reaches_it_with_everybody_else() {
    let server = Server::echo(builder()).await;
    let mut first = Client::open(&server).await;
    let mut second = Client::open(&server).await;
    let mut natives = Vec::new();
    for transport in primus_tests::peer::TRANSPORTS {
        natives.push(Peer::connect(server.address(), transport).await);
    }
    assert_eq!(server.write("to all").unwrap(), 5);
    assert_eq!(first.line().await, "\"to all\"");
    assert_eq!(second.line().await, "\"to all\"");
    for native in &mut natives {
        assert_eq!(native.text().await, "\"to all\"");
    }
    assert_eq!(server.frame_counters().encoded(), 1);
    assert_eq!(server.frame_counters().framed(), 4, "its own wire form is framed once as well");
}

#[tokio::test]
async fn transforms_and_authorize_are_on_for_it() {
    let server =
        Server::echo(builder().transform_in(|_, message| match message.decode::<String>() {
            Ok(text) if text != "drop" => {
                message.replace(&text.to_uppercase()).unwrap();
                Flow::Pass
            }
            _ => Flow::Drop,
        }))
        .await;
    server.authorize(async |request| match request.query("name") {
        Some(name) => Ok(name),
        None => Err(Rejection::unauthorized("who are you?")),
    });
    let refused = http::post("/primus/lines", "").send(server.address()).await;
    assert_eq!((refused.status.as_u16(), &*refused.error()), (401, "who are you?"));
    assert_eq!(server.sessions(), 0);

    let answer = http::post("/primus/lines?name=a", "\"drop\"\n\"a\"\n").send(server.address());
    assert_eq!(answer.await.text(), "\"A\"\nend: 4000 ended\n");
}

#[tokio::test]
async fn it_is_ended_with_the_server_and_told_why() {
    let mut server = Server::echo(builder()).await;
    let mut client = Client::open(&server).await;
    let mut native = Peer::connect(server.address(), "sse").await;
    let told = async {
        assert_eq!(client.line().await, "end: 4003 server ended");
        assert_eq!(client.answer.line().await, None);
        drop(client); // its request was still open
        assert_eq!(native.rest().await.1["code"], 4003);
    };
    let (report, ()) = tokio::join!(soon(server.end(End::default())), told);
    assert_eq!((report.ended, report.cut, report.connections_cut), (2, 0, 0));
    server.returned().await;
}

#[tokio::test]
async fn a_client_that_goes_ends_its_spark() {
    let server = Server::echo(builder()).await;
    let (told, mut reasons) = mpsc::channel(1);
    server.on_disconnection(move |spark, reason| {
        let told = told.clone();
        async move { told.send((spark.transformer(), reason)).await.unwrap() }
    });
    let mut client = Client::open(&server).await;
    client.send("\"here\"\n").await;
    assert_eq!(client.line().await, "\"here\"");
    drop(client);
    assert_eq!(soon(reasons.recv()).await.unwrap(), ("lines", CloseReason::GOING_AWAY));
    assert_eq!(server.sessions(), 0);
}
