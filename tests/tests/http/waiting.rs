//! A connection that waits, for the answer to a poll or for what comes on a stream, and what may
//! happen to it meanwhile: bytes on the wire, as clients of HTTP/1 see them.

use std::{net::SocketAddr, ops::ControlFlow, time::Duration};

use primus::{Builder, CloseReason, End, Primus};
use primus_tests::{
    http::{Connection, connect, get, raw},
    peer::Peer,
    server::{Server, echo, soon, until},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Handle,
    time::sleep,
};

use crate::app;

/// A client that says what it likes, and reads what it gets.
pub(crate) struct Bare<I> {
    io: I,
    read: String,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Bare<I> {
    pub(crate) fn new(io: I) -> Self {
        Self { io, read: String::new() }
    }

    pub(crate) async fn say(&mut self, what: &str) {
        soon(self.io.write_all(what.as_bytes())).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    }

    async fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        let count = soon(self.io.read(&mut piece)).await.unwrap();
        self.read.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        count > 0
    }

    /// Up to and with `end`.
    pub(crate) async fn to(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.find(end) {
                return self.read.drain(..at + end.len()).collect();
            }
            assert!(self.more().await, "closed after {:?}", self.read);
        }
    }

    /// An answer of known length: its head and its body.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let head = self.to("\r\n\r\n").await;
        let (_, length) = head.split_once("content-length: ").expect("a length");
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        while self.read.len() < length {
            assert!(self.more().await, "closed after {:?}", self.read);
        }
        let body = self.read.drain(..length).collect();
        (head, body)
    }

    /// What comes until the server closes.
    async fn rest(&mut self) -> String {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }
}

/// Opens a session of polls; the path of its polls.
pub(crate) async fn open_polls<I>(client: &mut Bare<I>) -> String
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    client.get("/primus/poll").await;
    let (head, _) = client.answer().await;
    let (_, token) = head.split_once("primus-token: ").expect("a token");
    format!("/primus/poll?token={}", token.split("\r\n").next().unwrap())
}

async fn bare(to: SocketAddr) -> Bare<tokio::net::TcpStream> {
    Bare::new(connect(to).await)
}

/// Until the server has come to rest with what it was asked.
async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn one_connection_carries_poll_after_poll() {
    let server = Server::start(Primus::builder().origins(["https://a.example"])).await;
    let mut client = bare(server.address()).await;
    let polls = open_polls(&mut client).await;
    for round in 0..4 {
        let request =
            format!("GET {polls} HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n");
        client.say(&request).await;
        if round % 2 == 0 {
            settle().await;
        }
        assert_eq!(server.write(&round).unwrap(), 1);
        let (head, body) = client.answer().await;
        assert_eq!(body, format!("{round}\n"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for header in [
            "\r\ndate: ",
            "\r\ncontent-type: text/plain; charset=utf-8\r\n",
            "\r\ncache-control: no-store\r\n",
            "\r\nvary: Origin\r\n",
            "\r\naccess-control-allow-origin: https://a.example\r\n",
        ] {
            assert!(head.contains(header), "no {header:?} in {head}");
        }
        assert!(!head.contains("\r\nconnection:"), "{head}");
    }
    client.get("/primus/spec").await;
    assert!(client.answer().await.1.contains("\"pathname\":\"/primus\""));
}

#[tokio::test]
async fn what_is_said_behind_a_poll_is_answered_behind_it() {
    let server = Server::start(Primus::builder()).await;
    let mut client = bare(server.address()).await;
    let polls = open_polls(&mut client).await;
    for at_once in [true, false] {
        let poll = format!("GET {polls} HTTP/1.1\r\nHost: x\r\n\r\n");
        // More than is read ahead.
        let padding = "x".repeat(5000);
        let spec = format!("GET /primus/spec HTTP/1.1\r\nHost: x\r\nPadding: {padding}\r\n\r\n");
        if at_once {
            client.say(&(poll + &spec + &spec)).await;
            settle().await;
        } else {
            client.say(&poll).await;
            settle().await;
            client.say(&spec).await;
            settle().await;
            client.say(&spec).await;
        }
        assert_eq!(server.write("now").unwrap(), 1);
        assert_eq!(client.answer().await.1, "\"now\"\n");
        for _ in 0..2 {
            assert!(client.answer().await.1.contains("\"pathname\":\"/primus\""));
        }
    }
}

#[tokio::test]
async fn a_poll_that_asks_for_it_is_the_last_on_its_connection() {
    let server = Server::start(Primus::builder()).await;
    let mut opener = bare(server.address()).await;
    let polls = open_polls(&mut opener).await;
    for (request, version, closes) in [
        ("HTTP/1.1\r\nHost: x\r\nConnection: close", "HTTP/1.1", true),
        ("HTTP/1.0", "HTTP/1.0", true),
        ("HTTP/1.0\r\nConnection: keep-alive", "HTTP/1.0", false),
    ] {
        let mut client = bare(server.address()).await;
        client.say(&format!("GET {polls} {request}\r\n\r\n")).await;
        settle().await;
        assert_eq!(server.write("last").unwrap(), 1);
        if closes {
            let answer = client.rest().await;
            assert!(answer.starts_with(version), "{answer}");
            assert!(answer.ends_with("\r\n\r\n\"last\"\n"), "{answer}");
        } else {
            let (head, body) = client.answer().await;
            assert!(head.contains("\r\nconnection: keep-alive\r\n"), "{head}");
            assert_eq!(body, "\"last\"\n");
            client.get("/primus/spec").await;
            client.answer().await;
        }
    }
}

#[tokio::test]
async fn a_poll_with_a_body_that_nobody_reads_is_answered() {
    let server = Server::start(Primus::builder()).await;
    let mut client = bare(server.address()).await;
    let polls = open_polls(&mut client).await;
    client.say(&format!("GET {polls} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")).await;
    settle().await;
    client.say("dy").await;
    settle().await;
    assert_eq!(server.write("now").unwrap(), 1);
    assert_eq!(client.answer().await.1, "\"now\"\n");
}

#[tokio::test]
async fn a_stream_comes_in_chunks_and_its_connection_goes_on_behind_it() {
    let server = Server::start(Primus::builder()).await;
    let mut client = bare(server.address()).await;
    for _ in 0..2 {
        client.get("/primus/sse").await;
        let head = client.to("\r\n\r\n").await.to_ascii_lowercase();
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        assert!(head.contains("\r\ndate: "), "{head}");
        assert_eq!(client.to("\n\n\r\n").await, "3\r\n:\n\n\r\n");
        settle().await;
        for round in 0..3 {
            assert_eq!(server.write(&round).unwrap(), 1);
            let chunk = client.to("\n\n\r\n").await;
            let (length, event) = chunk.split_once("\r\n").unwrap();
            let event = event.strip_suffix("\r\n").unwrap();
            assert_eq!(usize::from_str_radix(length, 16).unwrap(), event.len());
            assert!(event.ends_with(&format!("\ndata: {round}\n\n")), "{event}");
        }
        // Said ahead; and the end.
        client.get("/primus/spec").await;
        settle().await;
        server.for_each(|spark| {
            spark.end(CloseReason::ENDED);
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(client.to("\r\n\r\n").await, "0\r\n\r\n");
        assert!(client.answer().await.1.contains("\"pathname\":\"/primus\""));
    }
}

#[tokio::test]
async fn a_stream_behind_a_body_in_chunks_says_that_it_is_the_last_on_its_connection() {
    const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let server = Server::start(Primus::builder()).await;
    for (body, close) in [("content-length: 0\r\n\r\n", false), (CHUNKED, true)] {
        let mut client = bare(server.address()).await;
        client.say(&format!("GET /primus/sse HTTP/1.1\r\nhost: x\r\n{body}")).await;
        let head = client.to("\r\n\r\n").await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(head.contains("\r\nconnection: close\r\n"), close, "{head}");
    }
}

#[tokio::test]
async fn a_stream_to_a_client_of_http_1_0_ends_with_its_connection() {
    let server = Server::start(Primus::builder()).await;
    server.on_connection(async |spark| {
        spark.write("first")?;
        sleep(Duration::from_millis(50)).await;
        spark.write("second")?;
        Ok(())
    });
    let answer = raw(server.address(), "GET /primus/sse HTTP/1.0\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("chunked"), "{head}");
    let lines: Vec<_> = body.lines().filter(|line| line.starts_with("data: ")).collect();
    assert_eq!(lines, ["data: \"first\"", "data: \"second\""]);
    assert!(body.ends_with("\n\n"), "{body}");
}

#[tokio::test]
async fn a_stream_that_is_read_slowly_comes_whole() {
    let server = Server::start(Primus::builder()).await;
    server.on_connection(async |spark| {
        for number in 0..300 {
            spark.ready().await?;
            spark.write(&format!("{number} {}", "x".repeat(20_000)))?;
        }
        Ok(())
    });
    let mut events = get("/primus/sse").open(server.address()).await;
    for number in 0..300 {
        if number % 100 == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        let event = events.event().await.unwrap();
        assert!(event.starts_with(&format!("\"{number} x")), "{event:.40}");
        assert_eq!(event.len(), format!("{number} ").len() + 20_002);
    }
    assert_eq!(events.event().await, None);
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_is_missed_at_once_and_leaves_no_task() {
    let limits = |builder: Builder| {
        let short = Duration::from_millis(100);
        builder.ping_timeout(short).resume_window(short)
    };
    let server = Server::start(limits(Primus::builder())).await;
    let mut before = None;
    for round in 0..3 {
        let mut streams = bare(server.address()).await;
        streams.get("/primus/sse").await;
        streams.to(":\n\n\r\n").await;
        let mut polls = bare(server.address()).await;
        let poll = open_polls(&mut polls).await;
        polls.get(&poll).await;
        settle().await;
        assert_eq!(server.connected(), 2, "{round}");
        drop(streams);
        until("the end of the stream", || server.connected() == 1).await;
        // Between two polls a session waits for long; its connection is gone.
        drop(polls);
        settle().await;
        server.for_each(|spark| {
            spark.end(CloseReason::ENDED);
            ControlFlow::<()>::Continue(())
        });
        until("the end of the sessions", || server.sessions() == 0).await;
        settle().await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert_eq!(tasks, *before.get_or_insert(tasks), "{round}");
    }
}

#[tokio::test]
async fn an_end_reaches_those_who_wait_and_waits_for_them() {
    let mut server = Server::start(Primus::builder()).await;
    let mut stream = bare(server.address()).await;
    stream.get("/primus/sse").await;
    stream.to(":\n\n\r\n").await;
    let mut polls = bare(server.address()).await;
    let poll = open_polls(&mut polls).await;
    polls.get(&poll).await;
    settle().await;
    let report = soon(server.primus().end(End::default())).await;
    assert_eq!((report.ended, report.cut, report.connections_cut), (2, 0, 0));
    assert_eq!(stream.rest().await, "0\r\n\r\n");
    let answer = polls.rest().await;
    assert!(answer.contains("the session has ended"), "{answer}");
    server.returned().await;
}

#[tokio::test]
async fn a_listener_that_closes_waits_for_a_stream_that_goes_on() {
    let mut server = Server::start(Primus::builder()).await;
    let mut stream = bare(server.address()).await;
    stream.get("/primus/sse").await;
    stream.to(":\n\n\r\n").await;
    settle().await;
    let end = End { end: false, deadline: Duration::from_millis(200), ..End::default() };
    let report = soon(server.primus().end(end)).await;
    assert_eq!((report.left, report.connections_cut), (1, 0));
    assert_eq!(server.write("more").unwrap(), 1);
    assert!(stream.to("\n\n\r\n").await.ends_with("\ndata: \"more\"\n\n\r\n"));
    assert!(!server.has_returned());
    server.for_each(|spark| {
        spark.end(CloseReason::ENDED);
        ControlFlow::<()>::Continue(())
    });
    assert_eq!(stream.rest().await, "0\r\n\r\n");
    server.returned().await;
}

#[tokio::test]
async fn in_an_application_of_axum_streams_and_polls_wait_as_anything_does() {
    let primus = Primus::builder().build().unwrap();
    primus.on_connection(echo);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let router = app().layer(primus.layer());
    tokio::spawn(async { axum::serve(listener, router).await });
    let mut client = bare(to).await;
    let poll = open_polls(&mut client).await;
    let mut events = get("/primus/sse").open(to).await;
    let mut peer = Peer::connect(to, "sse").await;
    for round in 0..3 {
        client.get(&poll).await;
        settle().await;
        assert_eq!(primus.write(&round).unwrap(), 3);
        assert_eq!(client.answer().await.1, format!("{round}\n"));
        assert_eq!(events.event().await.unwrap(), round.to_string());
        assert_eq!(peer.text().await, round.to_string());
    }
}

#[tokio::test]
async fn a_broadcast_to_event_streams_is_framed_once_however_they_are_carried() {
    let server = Server::start(Primus::builder()).await;
    let to = server.address();
    let mut two = Connection::two(to).await;
    let mut feeds = Vec::new();
    for index in 0..24 {
        feeds.push(match index % 2 {
            0 => get("/primus/sse").open(to).await,
            _ => get("/primus/sse").open_on(&mut two).await,
        });
    }
    let mut peers = Vec::new();
    for _ in 0..24 {
        peers.push(Peer::connect(to, "sse").await);
    }
    for round in 1..=3 {
        assert_eq!(server.write(&round).unwrap(), 48);
        for feed in &mut feeds {
            assert_eq!(feed.event().await.unwrap(), round.to_string());
        }
        for peer in &mut peers {
            assert_eq!(peer.text().await, round.to_string());
        }
        let counters = server.frame_counters();
        // Once for bare readers, and once for our client.
        assert_eq!((counters.encoded(), counters.framed()), (round, 2 * round));
    }
}
