//! HTTP middleware: what stands before every request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use primus::{Builder, FromFn, Head, Kind, Middleware, Place, Primus, Response, core::request};
use primus_tests::{
    http::{get, post},
    peer::{Peer, TRANSPORTS},
    server::{Server, echo},
    ws,
};
use tokio::sync::Semaphore;

/// Puts its name into the header `x-trace`.
fn mark(name: &'static str) -> impl Fn(&mut Head) -> Option<Response> + Send + Sync + 'static {
    move |head| {
        head.headers.append("x-trace", HeaderValue::from_static(name));
        None
    }
}

fn layer(name: &'static str) -> impl Middleware {
    FromFn::new(mark(name))
}

/// A server whose handler says which layers its opening request has passed.
async fn traced(builder: Builder) -> Server {
    let server = Server::start(builder.keep_headers(["x-trace"])).await;
    server.on_connection(async |spark| {
        let trace = spark.headers().get_all("x-trace").iter();
        let trace: Vec<_> = trace.filter_map(|value| value.to_str().ok()).collect();
        spark.write(&trace.join(" "))?;
        echo(spark).await
    });
    server
}

async fn trace(server: &Server, transport: &str) -> String {
    let mut peer = Peer::connect(server.address(), transport).await;
    peer.text().await.trim_matches('"').to_owned()
}

#[tokio::test]
async fn middleware_runs_in_order_and_by_kind_on_all_transports() {
    let builder = Primus::builder()
        .middleware("b", mark("b"))
        .middleware_for("request", Kind::Request, layer("request"))
        .middleware_for("upgrade", Kind::Upgrade, layer("upgrade"));
    let server = traced(builder).await;
    let layers = server.middleware();
    layers.add("a", Kind::Both, Place::Before("b"), layer("a")).unwrap();
    layers.add("c", Kind::Both, Place::After("b"), layer("c")).unwrap();
    layers.add("last", Kind::Both, Place::Last, layer("last")).unwrap();
    layers.add("first", Kind::Both, Place::First, layer("first")).unwrap();
    let error = layers.add("x", Kind::Both, Place::After("y"), layer("x")).unwrap_err();
    assert_eq!(error.to_string(), "there is no middleware named `y`");

    assert_eq!(trace(&server, "websocket").await, "first a b c upgrade last");
    assert_eq!(trace(&server, "sse").await, "first a b c request last");
    assert_eq!(trace(&server, "polling").await, "first a b c request last");
    let once = post("/primus", "").send(server.address()).await;
    assert_eq!(once.text().lines().next(), Some("\"first a b c request last\""));
}

#[tokio::test]
async fn middleware_can_be_changed_while_the_server_runs() {
    let server = traced(Primus::builder().middleware("a", mark("a"))).await;
    let layers = server.middleware();
    let mut open = Peer::connect(server.address(), "polling").await;
    assert_eq!(open.text().await, "\"a\"");
    for transport in TRANSPORTS {
        assert_eq!(trace(&server, transport).await, "a");
        assert!(layers.disable("a"));
        assert_eq!(trace(&server, transport).await, "");
        assert!(layers.enable("a"));
        layers.add("b", Kind::Both, Place::Last, layer("b")).unwrap();
        assert_eq!(trace(&server, transport).await, "a b");
        // One of the same name takes its place.
        layers.add("a", Kind::Both, Place::Last, layer("A")).unwrap();
        assert_eq!(trace(&server, transport).await, "A b");
        layers.add("a", Kind::Both, Place::Last, layer("a")).unwrap();
        assert!(layers.remove("b") && !layers.remove("b"));
        assert_eq!(trace(&server, transport).await, "a");
    }
    assert!(!layers.enable("nobody") && !layers.disable("nobody"));

    // It acts on the next request of a session that is open.
    open.send("\"one\"").await;
    let closed = FromFn::new(|_: &mut Head| Some(request::status(StatusCode::IM_A_TEAPOT)));
    layers.add("closed", Kind::Request, Place::First, closed).unwrap();
    let poll = get("/primus/poll?v=2").header("primus-token", open.token());
    assert_eq!(poll.send(server.address()).await.status, 418);
    assert!(layers.remove("closed"));
    assert_eq!(open.text().await, "\"one\"", "nothing was lost by it");
}

/// Answers in the server's place, after a while.
struct Maintenance(Arc<Semaphore>);

#[async_trait]
impl Middleware for Maintenance {
    async fn call(&self, _: &mut Head) -> Option<Response> {
        let _permit = self.0.acquire().await.ok()?;
        let mut response = request::text(StatusCode::SERVICE_UNAVAILABLE, "back soon");
        response.headers_mut().insert("retry-after", HeaderValue::from_static("60"));
        Some(response)
    }
}

#[tokio::test]
async fn a_layer_that_answers_stops_everything_behind_it() {
    let gate = Arc::new(Semaphore::new(0));
    let behind = Arc::<AtomicUsize>::default();
    let (count, authorized) = (Arc::clone(&behind), Arc::clone(&behind));
    let builder = Primus::builder()
        .middleware_for("maintenance", Kind::Both, Maintenance(Arc::clone(&gate)))
        .middleware("behind", move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            None
        });
    let server = Server::echo(builder).await;
    server.authorize(move |_| {
        authorized.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    let to = server.address();
    let requests = async {
        for call in [
            get("/primus/sse"),
            post("/primus/sse?v=2", "primus::attach::{}"),
            get("/primus/poll"),
            post("/primus/poll?v=2", "primus::attach::{}"),
            post("/primus/send?v=2", ""),
            post("/primus", "\"once\""),
        ] {
            let answer = call.send(to).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (503, "back soon"));
            assert_eq!(answer.header("retry-after"), "60");
        }
        for protocol in [&[][..], &[("sec-websocket-protocol", ws::RESUMABLE)]] {
            let refused = ws::Client::open(to, "/primus", protocol).await.err().unwrap();
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()["retry-after"]),
                (503, &HeaderValue::from_static("60"))
            );
        }
    };
    // It may wait; then requests wait with it.
    let ((), ()) = tokio::join!(requests, async { gate.add_permits(1) });
    assert_eq!(behind.load(Ordering::Relaxed), 0);
    assert_eq!(server.sessions(), 0);
    // The library and the spec are files, and no business of middleware.
    assert_eq!(get("/primus/primus.js").send(to).await.status, 200);
}
