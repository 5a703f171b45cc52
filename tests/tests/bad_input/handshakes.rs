//! Handshakes that are none, and what is no HTTP.

use primus::Primus;
use primus_tests::{
    server::Server,
    ws::{Client, Raw},
};

use super::{GOOD, websocket};

#[tokio::test]
async fn faults_of_the_handshake_have_each_their_status() {
    let server = Server::echo(websocket()).await;
    let everything = Server::echo(Primus::builder()).await;
    let mut bystander = Client::plain(server.address()).await;
    let without = |name: &str| -> String {
        GOOD.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect()
    };
    let with = |name: &str, value: &str| format!("{}{name}: {value}\r\n", without(name));
    let key = "sec-websocket-key";
    for (what, method, path, headers, status, closes) in [
        ("a short key", "GET", "/primus", with(key, "c2hvcnQ="), 400, true),
        ("a long key", "GET", "/primus", with(key, "dGhlIHNhbXBsZSBub25jZSEhIQ=="), 400, true),
        (
            "a key that is no base64",
            "GET",
            "/primus",
            with(key, "!!!!!!!!!!!!!!!!!!!!!!=="),
            400,
            true,
        ),
        ("no key", "GET", "/primus", without(key), 400, true),
        ("version 8", "GET", "/primus", with("sec-websocket-version", "8"), 426, true),
        ("no version", "GET", "/primus", without("sec-websocket-version"), 426, true),
        ("another protocol", "GET", "/primus", with("upgrade", "h2c"), 426, false),
        ("no upgrade", "GET", "/primus", without("upgrade"), 426, false),
        ("no connection", "GET", "/primus", without("connection"), 426, false),
        ("POST", "POST", "/primus", GOOD.to_owned(), 404, false),
        ("a foreign path", "GET", "/elsewhere", GOOD.to_owned(), 404, true),
        ("a path that begins alike", "GET", "/primusx", GOOD.to_owned(), 404, true),
        ("a path below", "GET", "/primus/deeper", GOOD.to_owned(), 404, true),
        ("the script's path", "GET", "/primus/primus.js", GOOD.to_owned(), 200, false),
    ] {
        for server in [&server, &everything] {
            let mut raw = Raw::connect(server.address()).await;
            raw.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
            let (got, head) = raw.head().await;
            let got = got.as_u16();
            // Where there are other transformers, a POST is a message, and an odd GET is nothing.
            let expected = match (std::ptr::eq(server, &everything), what) {
                (true, "POST") => 200,
                (true, "another protocol" | "no upgrade" | "no connection") => 404,
                _ => status,
            };
            assert_eq!(got, expected, "{what}: {head}");
            if got == 426 && closes {
                assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
            }
            if closes {
                assert!(head.contains("\r\nconnection: close\r\n"), "{what}: {head}");
                raw.gone().await;
            }
        }
        bystander.echoes(what).await;
    }
    assert_eq!((server.sessions(), everything.sessions()), (1, 0));
}

#[tokio::test]
async fn what_is_no_http_is_answered_and_closed() {
    let server = Server::echo(websocket()).await;
    let mut bystander = Client::plain(server.address()).await;
    for junk in [
        &b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /primus HTTP/9.9\r\n\r\n",
        b"GET /primus HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /primus HTTP/1.1\r\n: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello\r\n\r\n",
        b"POST /primus HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame of HTTP/2, at all",
    ] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(junk).await;
        raw.gone().await;
        bystander.echoes("1").await;
    }
}
