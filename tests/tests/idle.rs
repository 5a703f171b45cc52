//! What a client costs that is there and says nothing: bytes on the server's heap, where the server
//! is a process of its own, `weigh`.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use primus_tests::{
    server::PATIENCE,
    weighed::{PAUSE, Weighed},
    ws,
};

/// More than this on the heap is more than an idle client may cost.
const MOST: usize = 4096;
/// The same for WebSockets: what they cost when this was written, and 5 percent. A handler's future, which
/// is the application's, is in it.
const WEBSOCKET: usize = 1657;
/// Bytes of a large message.
const LARGE: usize = 200_000;
/// Clients that are weighed, and those that come before, for what is allocated once.
const CLIENTS: usize = 1000;
const BEFORE: usize = 64;

/// Bytes for each of many clients.
async fn weigh(server: &mut Weighed, open: impl Fn(SocketAddr) -> TcpStream) -> usize {
    let to = server.address();
    let mut clients: Vec<_> = (0..BEFORE).map(|_| open(to)).collect();
    let before = server.at_rest(PAUSE).await.heap;
    clients.extend((0..CLIENTS).map(|_| open(to)));
    let each = server.at_rest(PAUSE).await.heap.saturating_sub(before) / CLIENTS;
    drop(clients);
    each
}

/// What a browser says of itself with each request.
const HEADERS: &str = "Host: localhost:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0\r\n\
    Origin: http://localhost:8080\r\n\
    Referer: http://localhost:8080/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cache-Control: no-store\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-origin\r\n";

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

fn ask(stream: &mut TcpStream, line: &str, headers: &str, body: &str) {
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\n{HEADERS}{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it is sent");
}

/// Reads up to what the answer has to have; returns what was read.
fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read);
        if text.contains(end) {
            return text.into_owned();
        }
    }
}

fn plain_stream(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let request = format!("GET /primus/sse HTTP/1.1\r\n{HEADERS}Accept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
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
    stream.write_all(poll.as_bytes()).expect("it is sent");
    stream
}

fn plain_poll(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    let open = format!("GET /primus/poll HTTP/1.1\r\n{HEADERS}\r\n");
    stream.write_all(open.as_bytes()).expect("it is sent");
    let answer = read_to(&mut stream, "\r\n\r\n");
    let (_, token) = answer.split_once("primus-token: ").expect("a token");
    let (token, _) = token.split_once('\r').expect("a token");
    let poll = format!("GET /primus/poll?token={token} HTTP/1.1\r\n{HEADERS}\r\n");
    stream.write_all(poll.as_bytes()).expect("it is sent");
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

fn upgrade(to: SocketAddr, headers: &str) -> TcpStream {
    upgrade_at("/primus", to, headers, "\r\n\r\n")
}

/// Up to what the server says, and is to be waited for.
fn upgrade_at(path: &str, to: SocketAddr, headers: &str, end: &str) -> TcpStream {
    let mut stream = connect(to);
    let request = format!(
        "GET {path} HTTP/1.1\r\n{HEADERS}{headers}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    read_to(&mut stream, end);
    stream
}

/// A frame of text, masked with nothing.
fn send(stream: &mut TcpStream, text: &str) {
    let length = u64::try_from(text.len()).expect("a length");
    let head = [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    stream.write_all(&[&head, text.as_bytes()].concat()).expect("it is sent");
}

fn plain_websocket(to: SocketAddr) -> TcpStream {
    upgrade(to, "")
}

fn resumable_websocket(to: SocketAddr) -> TcpStream {
    let mut stream = upgrade(to, "Sec-WebSocket-Protocol: primus.2\r\n");
    send(&mut stream, "primus::attach::{}");
    read_to(&mut stream, "primus::attach::");
    stream
}

/// One through which a large message went each way.
fn websocket_that_was_busy(to: SocketAddr) -> TcpStream {
    let mut stream = plain_websocket(to);
    let large = format!("\"{}\"", "x".repeat(LARGE));
    send(&mut stream, &large);
    let mut frame = vec![0; 10 + large.len()];
    stream.read_exact(&mut frame).expect("an echo");
    assert!(frame.ends_with(large.as_bytes()));
    stream
}

const SOCKJS: &str = "transformer = \"sockjs\"\n";
const ENGINE_IO: &str = "path = \"/engine.io\"\ntransformer = \"engine.io\"\n";

fn engine_io_websocket(to: SocketAddr) -> TcpStream {
    upgrade_at("/engine.io/?EIO=4&transport=websocket", to, "", "maxPayload")
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
    let mut stream = upgrade_at(path, to, "", "maxPayload");
    stream.write_all(&ws::frame(0x81, "40")).expect("it is sent");
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
    let mut stream = upgrade(to, "");
    send(&mut stream, SHAKE);
    let answer = read_to(&mut stream, "}]");
    send(&mut stream, &bayeux_connect(&answer, "websocket"));
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
    upgrade_at("/cable", to, offer, "{\"type\":\"welcome\"}")
}

async fn cheap(what: &str, most: usize, open: impl Fn(SocketAddr) -> TcpStream) {
    cheap_with("", what, most, open).await;
}

async fn cheap_with(config: &str, what: &str, most: usize, open: impl Fn(SocketAddr) -> TcpStream) {
    let mut server = Weighed::start(env!("CARGO_BIN_EXE_weigh"), config);
    let each = weigh(&mut server, open).await;
    println!("{what}: {each} bytes");
    assert!(each <= most, "{what} costs {each} bytes of heap, more than {most}");
}

#[tokio::test]
async fn an_idle_websocket_costs_less_than_two_kib_also_after_large_messages() {
    cheap("a bare WebSocket", WEBSOCKET, plain_websocket).await;
    cheap("a WebSocket that was busy", WEBSOCKET, websocket_that_was_busy).await;
    cheap("a WebSocket of our client", WEBSOCKET, resumable_websocket).await;
}

#[tokio::test]
async fn an_idle_event_stream_costs_no_more_than_four_kib() {
    cheap("a bare event stream", MOST, plain_stream).await;
    cheap("an event stream of our client", MOST, resumable_stream).await;
}

#[tokio::test]
async fn a_parked_poll_costs_no_more_than_four_kib() {
    cheap("a bare poll", MOST, plain_poll).await;
    cheap("a poll of our client", MOST, resumable_poll).await;
}

#[tokio::test]
async fn a_sockjs_client_that_waits_costs_no_more_than_four_kib() {
    cheap_with(SOCKJS, "a SockJS stream", MOST, sockjs_stream).await;
    cheap_with(SOCKJS, "a SockJS poll", MOST, sockjs_poll).await;
}

#[tokio::test]
async fn an_idle_client_of_engine_io_costs_no_more_than_four_kib() {
    cheap_with(ENGINE_IO, "a WebSocket of Engine.IO", MOST, engine_io_websocket).await;
    cheap_with(ENGINE_IO, "a poll of Engine.IO", MOST, engine_io_poll).await;
}

#[tokio::test]
async fn an_idle_client_of_socket_io_costs_no_more_than_four_kib() {
    cheap_with(SOCKET_IO, "a WebSocket of Socket.IO", MOST, socket_io_websocket).await;
    cheap_with(SOCKET_IO, "a poll of Socket.IO", MOST, socket_io_poll).await;
}

#[tokio::test]
async fn an_idle_client_of_bayeux_costs_no_more_than_four_kib() {
    cheap_with(BAYEUX, "a WebSocket of Bayeux", MOST, bayeux_websocket).await;
    cheap_with(BAYEUX, "a poll of Bayeux", MOST, bayeux_poll).await;
}

#[tokio::test]
async fn an_idle_back_channel_of_browserchannel_costs_no_more_than_four_kib() {
    cheap_with(BROWSERCHANNEL, "a back channel of BrowserChannel", MOST, browserchannel).await;
}

#[tokio::test]
async fn an_idle_client_of_actioncable_costs_no_more_than_four_kib() {
    cheap_with(ACTIONCABLE, "a WebSocket of ActionCable", MOST, actioncable).await;
}
