//! Stock clients of others.

use std::net::{SocketAddr, TcpStream};

use primus_tests::ws::opcode::TEXT;

use crate::{
    MANY, cheap,
    wire::{ask, connect, frame, read_to, send, upgrade},
};

/// A WebSocket that is greeted.
fn greeted(to: SocketAddr, path: &str, headers: &str, greeting: &str) -> TcpStream {
    let mut stream = upgrade(to, path, headers);
    read_to(&mut stream, greeting);
    stream
}

/// One of a SockJS session that no other connection has.
fn sockjs(stream: &TcpStream, transport: &str) -> String {
    let port = stream.local_addr().expect("an address").port();
    format!("POST /primus/000/{port}/{transport}")
}

fn sockjs_stream(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let line = sockjs(&stream, "xhr_streaming");
    ask(&mut stream, &line, "", "");
    read_to(&mut stream, "o\n");
    stream
}

/// A poll that waits, on the connection by which the session was opened.
fn sockjs_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let line = sockjs(&stream, "xhr");
    ask(&mut stream, &line, "", "");
    read_to(&mut stream, "o\n");
    ask(&mut stream, &line, "", "");
    stream
}

const SOCKJS: &str = "transformer = \"sockjs\"\n";
const ENGINE_IO: &str = "path = \"/engine.io\"\ntransformer = \"engine.io\"\n";

fn engine_io_websocket(to: SocketAddr) -> TcpStream {
    greeted(to, "/engine.io/?EIO=4&transport=websocket", "", "maxPayload")
}

fn engine_io_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    ask(&mut stream, "GET /engine.io/?EIO=4&transport=polling", "", "");
    let answer = read_to(&mut stream, "}");
    let (_, sid) = answer.split_once("\"sid\":\"").expect("a sid");
    let (sid, _) = sid.split_once('"').expect("a sid");
    ask(&mut stream, &format!("GET /engine.io/?EIO=4&transport=polling&sid={sid}"), "", "");
    stream
}

const SOCKET_IO: &str = "path = \"/socket.io\"\ntransformer = \"socket.io\"\n";

fn socket_io_websocket(to: SocketAddr) -> TcpStream {
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut stream = greeted(to, path, "", "maxPayload");
    send(&mut stream, &frame(TEXT, b"40"));
    read_to(&mut stream, "{\"sid\":\"");
    stream
}

fn socket_io_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    ask(&mut stream, "GET /socket.io/?EIO=4&transport=polling", "", "");
    let answer = read_to(&mut stream, "}");
    let (_, sid) = answer.split_once("\"sid\":\"").expect("a sid");
    let (sid, _) = sid.split_once('"').expect("a sid");
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    ask(&mut stream, &format!("POST {path}"), "", "40");
    read_to(&mut stream, "ok");
    ask(&mut stream, &format!("GET {path}"), "", "");
    read_to(&mut stream, "\"}");
    ask(&mut stream, &format!("GET {path}"), "", "");
    stream
}

const BAYEUX: &str = "transformer = \"bayeux\"\n";
const SHAKE: &str = r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket","long-polling"]}"#;

/// The connect of the client that this answers a handshake of.
fn bayeux_connect(answer: &str, way: &str) -> String {
    let (_, client) = answer.split_once("\"clientId\":\"").expect("a client");
    let (client, _) = client.split_once('"').expect("a client");
    format!(r#"{{"channel":"/meta/connect","clientId":"{client}","connectionType":"{way}"}}"#)
}

/// A connect that waits, on the connection by which the session was opened.
fn bayeux_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let json = "Content-Type: application/json\r\n";
    ask(&mut stream, "POST /primus", json, SHAKE);
    let answer = read_to(&mut stream, "}]");
    ask(&mut stream, "POST /primus", json, &bayeux_connect(&answer, "long-polling"));
    stream
}

/// The same on a WebSocket.
fn bayeux_websocket(to: SocketAddr) -> TcpStream {
    let mut stream = upgrade(to, "/primus", "");
    send(&mut stream, &frame(TEXT, SHAKE.as_bytes()));
    let answer = read_to(&mut stream, "}]");
    send(&mut stream, &frame(TEXT, bayeux_connect(&answer, "websocket").as_bytes()));
    stream
}

const BROWSERCHANNEL: &str =
    "transformer = \"browserchannel\"\nbrowserchannel_clients = \"plain\"\n";

/// A back channel, on the connection by which the session was opened.
fn browserchannel(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    ask(&mut stream, "POST /primus/bind?VER=8&RID=1&CVER=1", form, "count=0");
    let answer = read_to(&mut stream, ",8]]]\n");
    let (_, sid) = answer.split_once("[\"c\",\"").expect("a SID");
    let (sid, _) = sid.split_once('"').expect("a SID");
    let back = format!("GET /primus/bind?VER=8&SID={sid}&RID=rpc&CI=0&AID=0&TYPE=xmlhttp");
    ask(&mut stream, &back, "", "");
    read_to(&mut stream, "\r\n\r\n");
    stream
}

const ACTIONCABLE: &str = "path = \"/cable\"\ntransformer = \"actioncable\"\n";

fn actioncable(to: SocketAddr) -> TcpStream {
    let offer = "Sec-WebSocket-Protocol: actioncable-v1-json, actioncable-unsupported\r\n";
    greeted(to, "/cable", offer, "{\"type\":\"welcome\"}")
}

#[tokio::test]
async fn a_sockjs_client_that_waits_costs_no_more_than_four_kib() {
    cheap(
        SOCKJS,
        MANY,
        &[("a SockJS stream", 2951, sockjs_stream), ("a SockJS poll", 3942, sockjs_poll)],
    )
    .await;
}

#[tokio::test]
async fn an_idle_client_of_engine_io_costs_no_more_than_four_kib() {
    cheap(
        ENGINE_IO,
        MANY,
        &[
            ("a WebSocket of Engine.IO", 2210, engine_io_websocket),
            ("a poll of Engine.IO", 3063, engine_io_poll),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_idle_client_of_socket_io_costs_no_more_than_four_kib() {
    cheap(
        SOCKET_IO,
        MANY,
        &[
            ("a WebSocket of Socket.IO", 2961, socket_io_websocket),
            ("a poll of Socket.IO", 3981, socket_io_poll),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_idle_client_of_bayeux_costs_no_more_than_four_kib() {
    cheap(
        BAYEUX,
        MANY,
        &[
            ("a WebSocket of Bayeux", 3843, bayeux_websocket),
            ("a poll of Bayeux", 4044, bayeux_poll),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_idle_back_channel_of_browserchannel_costs_no_more_than_four_kib() {
    cheap(BROWSERCHANNEL, MANY, &[("a back channel of BrowserChannel", 2987, browserchannel)])
        .await;
}

#[tokio::test]
async fn an_idle_client_of_actioncable_costs_no_more_than_four_kib() {
    cheap(ACTIONCABLE, MANY, &[("a WebSocket of ActionCable", 1909, actioncable)]).await;
}
