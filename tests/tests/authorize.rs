//! `authorize`: before any session exists, on every transport, once a session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use primus::{Builder, Primus, Rejection};
use primus_tests::{
    http::{self as client, Answer},
    peer::{Peer, TRANSPORTS},
    server::{Server, echo, until},
    ws,
};
use serde_json::{Value, json};

/// A server that counts what ran.
struct Counted {
    server: Server,
    authorized: Arc<AtomicUsize>,
    handled: Arc<AtomicUsize>,
}

impl Counted {
    /// `auth` or the query's `as` says who comes; `refuse` says with which status it is refused.
    async fn start(builder: Builder) -> Self {
        let server = Server::start(builder).await;
        let (authorized, handled) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&authorized);
        server.authorize(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                let asked = request.auth["refuse"].as_u64().map(|status| status.to_string());
                let status = asked.or_else(|| request.query("refuse"));
                let Some(status) = status else { return Ok(request.auth) };
                let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
                let said = json!({ "why": "you may not", "over": request.transformer });
                Err(Rejection::new(status, said)
                    .authenticate("Digest realm=\"here\"")
                    .retry_after(Duration::from_millis(2500)))
            }
        });
        let count = Arc::clone(&handled);
        server.on_connection(move |spark| {
            count.fetch_add(1, Ordering::Relaxed);
            echo(spark)
        });
        Self { server, authorized, handled }
    }

    fn authorized(&self) -> usize {
        self.authorized.load(Ordering::Relaxed)
    }

    /// After a refusal: nothing has come into being.
    #[track_caller]
    fn nothing_happened(&self) {
        assert_eq!(self.handled.load(Ordering::Relaxed), 0, "no handler ran");
        assert_eq!((self.server.sessions(), self.server.connected()), (0, 0));
    }
}

fn said(transformer: &str) -> Value {
    json!({ "error": { "why": "you may not", "over": transformer } })
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, transformer: &str) {
    assert_eq!(answer.status, status);
    assert_eq!(answer.json(), said(transformer));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("retry-after"), "3", "in whole seconds, rounded up");
    let challenge = if status == 401 { "Digest realm=\"here\"" } else { "" };
    assert_eq!(answer.header("www-authenticate"), challenge, "with {status}");
}

#[tokio::test]
async fn plain_and_classic_websockets_are_refused_before_the_upgrade() {
    let counted = Counted::start(Primus::builder()).await;
    let to = counted.server.address();
    for status in [401, 403, 503] {
        for query in ["", "&_primuscb=1-0"] {
            let path = format!("/primus?refuse={status}{query}");
            let refused = ws::Client::open(to, &path, &[]).await.err().expect("a refusal");
            assert_eq!(refused.status(), status);
            // tungstenite may have read less than the whole body.
            assert_eq!(refused.headers()["content-type"], "application/json");
            assert_eq!(refused.headers()["retry-after"], "3");
            assert_eq!(refused.headers().contains_key("www-authenticate"), status == 401);
            let raw = client::raw(
                to,
                format!(
                    "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade, close\r\n\
                     upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                ),
            )
            .await;
            let (_, body) = raw.split_once("\r\n\r\n").unwrap();
            assert_eq!(serde_json::from_str::<Value>(body).unwrap(), said("websocket"));
        }
    }
    counted.nothing_happened();
}

#[tokio::test]
async fn resumable_websockets_are_refused_in_a_frame_and_with_4000_and_the_status() {
    let counted = Counted::start(Primus::builder()).await;
    for status in [401, 403, 503] {
        let mut pending = ws::Client::pending(counted.server.address()).await;
        pending.send(format!("primus::attach::{{\"auth\":{{\"refuse\":{status}}}}}")).await;
        let (frames, closed) = pending.rest().await;
        let [refusal] = &frames[..] else { panic!("{frames:?}") };
        let body = refusal.strip_prefix("primus::refuse::").unwrap();
        let mut expected = said("websocket");
        expected["status"] = status.into();
        expected["after"] = 2500.into();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
        assert_eq!((closed.code, &*closed.text), (4000 + status, "refused"));
    }
    counted.nothing_happened();
}

#[tokio::test]
async fn event_streams_polls_and_single_posts_are_refused_by_status() {
    let counted = Counted::start(Primus::builder()).await;
    let to = counted.server.address();
    for status in [401, 403, 503] {
        let attach = format!("primus::attach::{{\"auth\":{{\"refuse\":{status}}}}}");
        let query = format!("refuse={status}");
        for (call, transformer) in [
            (client::get(&format!("/primus/sse?{query}")), "sse"),
            (client::get(&format!("/primus?{query}")).header("accept", "text/event-stream"), "sse"),
            (client::post("/primus/sse?v=2", attach.clone()), "sse"),
            (client::get(&format!("/primus/poll?{query}")), "polling"),
            (client::post("/primus/poll?v=2", attach), "polling"),
            (client::post(&format!("/primus?{query}"), "\"hi\""), "sse"),
            (client::post(&format!("/primus/sse?{query}"), "\"hi\""), "sse"),
            (client::post(&format!("/primus/poll?{query}"), "\"hi\""), "polling"),
        ] {
            is_refused(&call.send(to).await, status, transformer);
        }
    }
    counted.nothing_happened();
}

#[tokio::test]
async fn what_a_client_gives_as_auth_arrives_and_is_its_sparks_user_on_all_transports() {
    let server = Server::start(Primus::builder()).await;
    #[derive(serde::Deserialize)]
    struct User {
        name: String,
    }
    server.authorize(async |request| {
        let user: User = serde_json::from_value(request.auth)
            .map_err(|error| Rejection::unauthorized(error.to_string()))?;
        Ok(user)
    });
    server.on_connection(async |spark| {
        let name = &spark.user::<User>().ok_or("a typed user")?.name;
        assert!(spark.user::<String>().is_none(), "of its own type only");
        spark.write(name)?;
        echo(spark).await
    });
    for transport in TRANSPORTS {
        let auth = json!({ "name": "Ada" });
        let mut peer = Peer::open(server.address(), transport, "/primus", auth).await.unwrap();
        assert_eq!(peer.text().await, "\"Ada\"", "{transport}");
        let nobody = Peer::open(server.address(), transport, "/primus", Value::Null).await;
        assert_eq!(nobody.err().expect("a refusal").status, 401, "{transport}");
    }
}

#[tokio::test]
async fn authorize_runs_once_a_session_and_not_once_a_poll_or_post() {
    let counted = Counted::start(Primus::builder()).await;
    let to = counted.server.address();
    for (sessions, transport) in (1..).zip(TRANSPORTS) {
        let mut peer = Peer::connect(to, transport).await;
        for text in ["\"a\"", "\"b\"", "\"c\""] {
            peer.send(text).await;
            assert_eq!(peer.text().await, text);
        }
        assert_eq!(counted.authorized(), sessions, "{transport}");
    }
    // A bare client's polls and POSTs present the token of its session.
    let opened = client::get("/primus/poll").send(to).await;
    let token = opened.header("primus-token");
    for text in ["\"a\"", "\"b\""] {
        let posted = client::post(&format!("/primus/poll?token={token}"), text).send(to).await;
        assert_eq!(posted.status, 204);
        let polled = client::get(&format!("/primus/poll?token={token}")).send(to).await;
        assert_eq!(polled.text(), format!("{text}\n"));
    }
    assert_eq!(counted.authorized(), 4);
    // A POST without a token is a session, and so is one whose attach is repeated.
    assert_eq!(client::post("/primus", "\"x\"").send(to).await.text(), "\"x\"\n");
    assert_eq!(counted.authorized(), 5);
}

#[tokio::test]
async fn authorize_sees_the_request_of_the_client() {
    let server = Server::echo(Primus::builder().path("/live")).await;
    server.authorize(async |request| -> Result<(), _> {
        Err(Rejection::forbidden(json!([
            request.transformer,
            &*request.mount,
            request.head.method.as_str(),
            request.header("cookie"),
            request.query("room"),
            request.head.address.map(|address| address.to_string()),
            request.head.secure,
            request.auth,
        ])))
    });
    let answer =
        client::get("/live/sse?room=a%20b").header("cookie", "sid=1").send(server.address()).await;
    let expected = json!(["sse", "/live", "GET", "sid=1", "a b", "127.0.0.1", false, null]);
    assert_eq!(answer.json()["error"], expected);
}

#[tokio::test]
async fn a_panic_in_authorize_is_a_500_and_the_server_lives() {
    let server = Server::echo(Primus::builder()).await;
    server.authorize(async |request| {
        assert!(request.query("panic").is_none() && request.auth["panic"].is_null(), "as asked");
        Ok(())
    });
    let to = server.address();
    let expected = json!({ "error": "Internal Server Error" });
    for transport in TRANSPORTS {
        let auth = json!({ "panic": true });
        let refused = Peer::open(to, transport, "/primus", auth).await.err().expect("a refusal");
        assert_eq!(refused.status, 500, "{transport}");
        assert_eq!(refused.body["error"], expected["error"], "{transport}");
    }
    let plain = ws::Client::open(to, "/primus?panic", &[]).await.err().expect("a refusal");
    assert_eq!(plain.status(), 500);
    for path in ["/primus/sse?panic", "/primus/poll?panic"] {
        let refused = client::get(path).send(to).await;
        assert_eq!((refused.status.as_u16(), refused.json()), (500, expected.clone()));
    }
    until("the end of what was refused", || server.sessions() == 0).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(to, transport).await;
        peer.send("\"alive\"").await;
        assert_eq!(peer.text().await, "\"alive\"");
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_is_authorized_leaves_nothing_behind() {
    let server = Server::echo(Primus::builder()).await;
    let (asked, mut asking) = tokio::sync::mpsc::channel(8);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let closed = Arc::clone(&gate);
    server.authorize(move |_| {
        let (asked, gate) = (asked.clone(), Arc::clone(&closed));
        async move {
            asked.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    let to = server.address();
    for transport in TRANSPORTS {
        let opening = tokio::spawn(Peer::open(to, transport, "/primus", Value::Null));
        asking.recv().await.unwrap();
        opening.abort();
        assert!(opening.await.err().expect("it was cancelled").is_cancelled());
    }
    gate.add_permits(3);
    until("the end of those that went", || gate.available_permits() == 0 && server.sessions() == 0)
        .await;
}
