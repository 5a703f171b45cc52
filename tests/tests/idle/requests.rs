//! Event streams and parked polls.

use std::net::{SocketAddr, TcpStream};

use crate::{
    Kind, MANY, cheap,
    wire::{HEADERS, ask, connect, read_to, send},
};

fn plain_stream(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let request = format!("GET /primus/sse HTTP/1.1\r\n{HEADERS}Accept: text/event-stream\r\n\r\n");
    send(&mut stream, request.as_bytes());
    read_to(&mut stream, ":\n\n");
    stream
}

fn resumable_stream(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    ask(&mut stream, "POST /primus/sse?v=2", "", "primus::attach::{}");
    read_to(&mut stream, "primus::attach::");
    stream
}

/// A poll that waits, on the connection by which the session was opened.
fn resumable_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    ask(&mut stream, "POST /primus/poll?v=2", "", "primus::attach::{}");
    let answer = read_to(&mut stream, "}\n");
    let (_, token) = answer.split_once("\"token\":\"").expect("a token");
    let (token, _) = token.split_once('"').expect("a token");
    let poll =
        format!("GET /primus/poll?v=2&recv=0 HTTP/1.1\r\n{HEADERS}Primus-Token: {token}\r\n\r\n");
    send(&mut stream, poll.as_bytes());
    stream
}

fn plain_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let open = format!("GET /primus/poll HTTP/1.1\r\n{HEADERS}\r\n");
    send(&mut stream, open.as_bytes());
    let answer = read_to(&mut stream, "\r\n\r\n");
    let (_, token) = answer.split_once("primus-token: ").expect("a token");
    let (token, _) = token.split_once('\r').expect("a token");
    let poll = format!("GET /primus/poll?token={token} HTTP/1.1\r\n{HEADERS}\r\n");
    send(&mut stream, poll.as_bytes());
    stream
}

#[tokio::test]
async fn an_idle_event_stream_costs_no_more_than_four_kib() {
    let kinds: &[Kind] = &[
        ("a bare event stream", 2487, plain_stream),
        ("an event stream of our client", 2503, resumable_stream),
    ];
    cheap("", MANY, kinds).await;
}

#[tokio::test]
async fn a_parked_poll_costs_no_more_than_four_kib() {
    let kinds: &[Kind] =
        &[("a bare poll", 2842, plain_poll), ("a poll of our client", 2877, resumable_poll)];
    cheap("", MANY, kinds).await;
}
