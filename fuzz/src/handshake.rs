//! The opening handshake of a WebSocket (RFC 6455 §4.2, RFC 8441, RFC 7692 §5).

use http::{HeaderName, HeaderValue, Method, header};
use http_body_util::BodyExt as _;
use primus_core::{Compression, Response};
use primus_websocket::WebSocket;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{heap, server, server::Server};

/// What a server and a handshake may take in sum.
const BASE: usize = 1 << 20;
/// And more for a byte of it.
const EACH: usize = 1 << 10;

/// The first byte of `data` says how the server is set up and what the request is. Each line of the rest is a
/// header: its letter, how it is put there, and its value. The server accepts what it can, and nothing but what
/// the client asked for; whatever else comes is refused with a status of the client's faults, and words.
pub fn handshake(data: &[u8]) {
    let Some((setup, lines)) = data.split_first() else { return };
    heap::bounded(BASE + EACH * data.len(), || {
        server::run(async {
            let mut mount = server::mount(|_| {});
            mount.compression = (setup & 1 == 1).then(|| {
                let mut compression = Compression::default();
                compression.takeover = setup & 2 == 2;
                compression
            });
            if setup & 4 == 4 {
                mount.subprotocols = vec!["a".into(), "chat".into()];
            }
            let server = Server::new(WebSocket::new(), mount);
            let uri = if setup & 8 == 8 { "/?_primuscb=1" } else { "/" };
            let mut head = server::handshake(uri, &[]);
            if setup & 16 == 16 {
                head.method = Method::CONNECT;
                head.connect_protocol = Some("websocket".into());
            }
            for line in lines.split(|byte| *byte == b'\n') {
                put(&mut head.headers, line);
            }
            let asked = head.clone();
            let (response, client) = server.upgrade(head).await;
            check(&asked, &server, response).await;
            drop(client);
            while server.primus.sessions() > 0 {
                tokio::task::yield_now().await;
            }
        });
    });
}

fn put(headers: &mut http::HeaderMap, line: &[u8]) {
    let [letter, how, value @ ..] = line else { return };
    let name: HeaderName = match letter {
        b'k' => header::SEC_WEBSOCKET_KEY,
        b'v' => header::SEC_WEBSOCKET_VERSION,
        b'p' => header::SEC_WEBSOCKET_PROTOCOL,
        b'e' => header::SEC_WEBSOCKET_EXTENSIONS,
        b'u' => header::UPGRADE,
        b'c' => header::CONNECTION,
        b'o' => header::ORIGIN,
        _ => header::USER_AGENT,
    };
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    match how {
        b'-' => drop(headers.remove(name)),
        b'+' => drop(headers.append(name, value)),
        _ => drop(headers.insert(name, value)),
    }
}

async fn check(asked: &primus_core::Head, server: &Server, response: Response) {
    let (answer, body) = response.into_parts();
    let text = |name| answer.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap());
    if !answer.status.is_success() && answer.status != 101 {
        assert!(matches!(answer.status.as_u16(), 400 | 426), "{}", answer.status);
        let body = body.collect().await.unwrap().to_bytes();
        assert!(body.starts_with(br#"{"error":"not a WebSocket handshake: "#), "{body:?}");
        assert_eq!(text(header::SEC_WEBSOCKET_VERSION).is_some(), answer.status == 426);
        return;
    }
    let offered = |name| {
        let values = asked.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim)
    };
    if asked.method == Method::CONNECT {
        assert_eq!(answer.status, 200);
    } else {
        let key = asked.headers.get(header::SEC_WEBSOCKET_KEY).expect("there was a key");
        let accept = derive_accept_key(key.as_bytes());
        assert_eq!(text(header::SEC_WEBSOCKET_ACCEPT), Some(&*accept));
        assert!(asked.wants_websocket(), "it did not ask for a WebSocket");
    }
    if let Some(protocol) = text(header::SEC_WEBSOCKET_PROTOCOL) {
        assert!(offered(header::SEC_WEBSOCKET_PROTOCOL).any(|one| one == protocol), "{protocol}");
        let known = &server.primus.mounts()[0].settings().subprotocols;
        assert!(protocol == "primus.2" || known.is_empty() || known.contains(&protocol.into()));
    }
    if let Some(extension) = text(header::SEC_WEBSOCKET_EXTENSIONS) {
        let compression = server.primus.mounts()[0].settings().compression;
        let compression = compression.expect("it is not on");
        let mut parts = extension.split(';').map(str::trim);
        assert_eq!(parts.next(), Some("permessage-deflate"));
        let parts: Vec<_> = parts.collect();
        let asks = |what: &str| {
            let mut all = offered(header::SEC_WEBSOCKET_EXTENSIONS);
            all.any(|offer| offer.starts_with("permessage-deflate") && offer.contains(what))
        };
        assert!(asks(""), "{extension} was not offered");
        for part in &parts {
            match part.split_once('=') {
                None => assert!(matches!(
                    *part,
                    "server_no_context_takeover" | "client_no_context_takeover"
                )),
                Some((name, bits)) => {
                    assert_eq!(name, "server_max_window_bits");
                    assert!(asks(name) && (9..=15).contains(&bits.parse::<u8>().unwrap()));
                }
            }
        }
        if !compression.takeover {
            assert!(parts.contains(&"server_no_context_takeover"));
            assert!(parts.contains(&"client_no_context_takeover"));
        }
    }
}
