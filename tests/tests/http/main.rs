//! The HTTP side over real sockets.

mod attach;
mod beside;
mod cors;
mod fall_through;
mod http2;
mod library;
mod middleware;
mod mounts;
mod origins;
mod proxies;
mod statuses;
mod subprotocols;
mod tls;
mod waiting;

use std::net::SocketAddr;

use axum::{
    Router,
    http::{Method, Uri},
};
use primus_tests::peer::{Peer, TRANSPORTS};
use serde_json::Value;

/// An application that says which request it got.
fn app() -> Router {
    Router::new().fallback(async |method: Method, uri: Uri| format!("app: {method} {uri}"))
}

/// An echo goes there and back on every transport.
async fn echoes_at(to: SocketAddr, path: &str) {
    for transport in TRANSPORTS {
        let mut peer = Peer::open(to, transport, path, Value::Null).await.expect("welcome");
        peer.send("\"hello\"").await;
        assert_eq!(peer.text().await, "\"hello\"", "{transport} at {path}");
    }
}
