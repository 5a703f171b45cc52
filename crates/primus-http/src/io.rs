//! From hyper's upgraded connections to plain sockets, and what a listener tells of them.

use std::net::SocketAddr;

use hyper::upgrade::{OnUpgrade, Upgraded as HyperUpgraded};
use hyper_util::rt::TokioIo;
use primus_core::{BoxError, Upgrade, Upgraded};
use tokio::net::TcpStream;

use crate::socket::Socket;

/// A request extension: the peer of the connection. Servers that Primus is mounted into insert it
/// so that `spark.address()` is known and limits per address hold; our own listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr {
    /// The peer.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self { address, secure: false }
    }
}

/// The upgrade as the core knows it. Nothing of hyper remains where the socket can be had.
pub(crate) fn upgrade(on: OnUpgrade) -> Upgrade {
    Box::pin(async move { Ok::<_, BoxError>(unwrap(on.await?)) })
}

fn unwrap(upgraded: HyperUpgraded) -> Upgraded {
    let upgraded = match upgraded.downcast::<TokioIo<Socket<TcpStream>>>() {
        Ok(parts) => {
            return Upgraded { io: parts.io.into_inner().into_io(), read: parts.read_buf };
        }
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match upgraded.downcast::<TokioIo<Socket<crate::tls::TlsStream>>>() {
        Ok(parts) => {
            return Upgraded { io: parts.io.into_inner().into_io(), read: parts.read_buf };
        }
        Err(upgraded) => upgraded,
    };
    // An HTTP server that somebody else runs.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            return Upgraded { io: Box::new(parts.io.into_inner()), read: parts.read_buf };
        }
        Err(upgraded) => upgraded,
    };
    // axum's and other servers' automatic HTTP/1-or-2 connections wrap the socket once more.
    match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => Upgraded { io: Box::new(parts.io.into_inner()), read: parts.read_buf },
        Err(upgraded) => {
            Upgraded { io: Box::new(TokioIo::new(upgraded)), read: Default::default() }
        }
    }
}
