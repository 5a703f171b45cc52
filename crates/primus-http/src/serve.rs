//! Serves HTTP on one connection: HTTP/1.1 or HTTP/2, with the limits of the options.

use std::{future::Future, io, net::SocketAddr, pin::pin};

use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use primus_core::BoxError;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tower_service::Service;

use crate::{
    app::App,
    io::PeerAddr,
    options::Options,
    service::{Inner, PrimusService},
};

/// Which HTTP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl App {
    /// Serves one connection of your own accept loop until it closes, with `inner` behind
    /// Primus. The protocol is HTTP/1.1, or HTTP/2 if the client begins with its preface.
    ///
    /// When the server ends with `close`, it finishes the request under way; at the deadline the
    /// connection is cut and counts in the report.
    ///
    /// # Errors
    /// When the connection fails or breaks the protocol. There is nothing to do but log it.
    pub async fn attach<S: Inner>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        inner: S,
    ) -> Result<(), BoxError> {
        let guard = self.primus().listener();
        let served = async {
            let Some(version) = sniff(&stream, self.options()).await? else { return Ok(()) };
            let shutdown = async {
                guard.closing().await;
            };
            let service = self.around(inner);
            serve(stream, version, peer.into(), service, self.options(), shutdown).await
        };
        let deadline = async {
            match guard.closing().await.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = served => result,
            () = deadline => {
                guard.cut(1);
                Ok(())
            }
        }
    }
}

/// Waits for the first bytes, and tells HTTP/2's preface from a request line. `None`: the client
/// went, or sent nothing for too long.
pub(crate) async fn sniff(stream: &TcpStream, options: &Options) -> io::Result<Option<Version>> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut first = [0; PREFACE.len()];
    // hyper's own deadline for the head starts with the first byte.
    match timeout(options.handshake_timeout, stream.peek(&mut first)).await {
        Err(_) | Ok(Ok(0)) => Ok(None),
        Ok(Err(error)) => Err(error),
        Ok(Ok(read)) if options.http2 && read >= 3 && first[..read] == PREFACE[..read] => {
            Ok(Some(Version::Two))
        }
        Ok(Ok(_)) => Ok(Some(Version::One)),
    }
}

/// Serves until the connection closes; after `shutdown` it finishes what is under way.
pub(crate) async fn serve<I, S>(
    io: I,
    version: Version,
    peer: PeerAddr,
    service: PrimusService<S>,
    options: &Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Inner,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let mut service = service.clone();
        async move { service.call(request).await }
    });
    let io = TokioIo::new(io);
    let mut shutdown = pin!(shutdown);
    match version {
        Version::One => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(options.handshake_timeout)
                .max_headers(options.max_headers)
                .max_buf_size(options.max_header_bytes.max(8192))
                .half_close(false)
                .serve_connection(io, service)
                .with_upgrades();
            let mut connection = pin!(connection);
            tokio::select! {
                result = &mut connection => return Ok(result?),
                () = &mut shutdown => connection.as_mut().graceful_shutdown(),
            }
            Ok(connection.await?)
        }
        Version::Two => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .enable_connect_protocol()
                .max_concurrent_streams(128)
                .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
                .max_pending_accept_reset_streams(20)
                .max_send_buf_size(64 << 10)
                .keep_alive_interval(std::time::Duration::from_secs(30))
                .serve_connection(io, service);
            let mut connection = pin!(connection);
            tokio::select! {
                result = &mut connection => return Ok(result?),
                () = &mut shutdown => connection.as_mut().graceful_shutdown(),
            }
            Ok(connection.await?)
        }
    }
}
