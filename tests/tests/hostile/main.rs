//! What has brought down or deceived other servers, sent to this one: each input has the exact outcome that it
//! should have, another session goes on, and nothing is left behind.
//!
//! | what it once was | where |
//! |---|---|
//! | reserved bits, before the handler is there (CVE-2022-21676) | `upgrades.rs` |
//! | an upgrade to HTTP/2, then a reset (CVE-2022-41940) | `upgrades.rs` |
//! | a WebSocket's URL without an upgrade; a session that is upgraded twice | `upgrades.rs`, `resume/` |
//! | control characters in `Origin` | `upgrades.rs` |
//! | fragments without end, empty ones (CVE-2026-48779) | `limits/` |
//! | so many headers that `Upgrade` is dropped (CVE-2024-37890) | `upgrades.rs`, `limits/` |
//! | a subprotocol of spaces (CVE-2021-32640), extensions with names of JavaScript, with quotes that do not end (CVE-2020-7662) | `upgrades.rs` |
//! | a frame that announces too much (CVE-2016-10542, RUSTSEC-2022-0035) | `limits/`, `bad_input/` |
//! | a ping that gets more back than was sent (CVE-2016-10518) | `upgrades.rs` |
//! | pings without end from who reads no pong | `bad_input/` |
//! | what inflates beyond the limit (CVE-2026-54490) | `compression.rs` |
//! | a head that does not end, in small pieces (RUSTSEC-2023-0065) | `http1.rs` |
//! | a client that never reads (RUSTSEC-2020-0043) | `limits/` |
//! | floods of HTTP/2: resets, faults, CONTINUATION, empty DATA; resets that nobody reads (CVE-2023-44487, RUSTSEC-2024-0003, 2024-0332, 2026-0258) | `http2.rs` |
//! | two readings of where a request ends (RUSTSEC-2021-0078, 2021-0079, 2021-0020, 2020-0008) | `http1.rs` |
//! | a handshake of TLS in pieces, or that ends at once (RUSTSEC-2024-0336, 2024-0399) | `tls.rs` |
//! | a reservation that overflows (RUSTSEC-2026-0007) | `workspace.rs`: versions that have known holes |

mod http1;
mod http2;
mod tls;
mod upgrades;

use std::{net::SocketAddr, time::Duration};

use primus::{Builder, Primus};
use primus_tests::{
    server::{Server, echo, until},
    ws::Client,
};

fn websocket() -> Builder {
    Primus::builder().transformer("websocket").parser("raw")
}

/// A server, and a session of somebody else.
struct Scene {
    server: Server,
    bystander: Client,
    /// Of the listener, of the other's connection, and what else there is for everybody.
    tasks: usize,
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

impl Scene {
    async fn new(builder: Builder) -> Self {
        // Nobody hears a ping instead of an answer, however slow it is.
        Self::of(Server::start(builder.ping_interval(Duration::ZERO)).await).await
    }

    /// Of a server without pings.
    async fn of(server: Server) -> Self {
        server.on_connection(echo);
        let mut bystander = Client::resumable(server.address()).await;
        bystander.echoes("before").await;
        Self { server, bystander, tasks: tasks() }
    }

    fn to(&self) -> SocketAddr {
        self.server.address()
    }

    /// The other goes on, and there is nothing but it: no session, no task.
    async fn is_unharmed(&mut self, what: &str) {
        self.bystander.echoes(what).await;
        until("the end of the others", || self.server.sessions() == 1).await;
        until("the end of their tasks", || tasks() <= self.tasks).await;
    }
}
