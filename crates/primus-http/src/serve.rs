//! Serves HTTP on one connection: HTTP/1.1 or HTTP/2, with the limits of the options.

use std::{
    convert::Infallible,
    future::{Future, poll_fn, ready},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, StatusCode, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use primus_core::{BoxError, BoxFuture, Io, Response};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};
use tower_service::Service;

use crate::{
    app::{App, refuse},
    awaited::{Asked, Awaited, Held, What},
    framing,
    io::PeerAddr,
    options::Options,
    outflow::Outflow,
    patient::Patient,
    service::{Inner, PrimusService},
    socket::Socket,
};

/// How often a peer of HTTP/2 is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// How long it has to answer.
const PONG: Duration = Duration::from_secs(20);

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
            let shutdown = Box::pin(async {
                guard.closing().await;
            });
            serve(stream, version, peer.into(), self.around(inner), shutdown).await
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
pub(crate) fn serve<'a, I: Io, S: Inner>(
    io: I,
    version: Version,
    peer: PeerAddr,
    service: PrimusService<S>,
    shutdown: BoxFuture<'a, ()>,
) -> BoxFuture<'a, Result<(), BoxError>> {
    match version {
        Version::One => Box::pin(one(io, peer, service, shutdown)),
        Version::Two => Box::pin(two(io, peer, service, shutdown)),
    }
}

/// HTTP/1.1. While an answer is awaited and while a stream is open, the connection has no HTTP
/// server: hyper is given up, and made anew when it is needed. So that hyper writes the head of every
/// answer, it is asked again for one that was awaited, and has it at hand.
///
/// ```text
///  ┌─▶ hyper ──an answer is awaited──▶ waiting ──it is there──▶ hyper, asked again ─┐
///  │     └─────a stream is awaited───▶ outflow ──its end──┐                         │
///  └──────────────────────────────────────────────────────┴─────────────────────────┘
/// ```
///
/// No `async fn`, whose future would have room for its arguments twice.
fn one<'a, I: Io, S: Inner>(
    io: I,
    peer: PeerAddr,
    service: PrimusService<S>,
    mut shutdown: BoxFuture<'a, ()>,
) -> impl Future<Output = Result<(), BoxError>> + Send + use<'a, I, S> {
    let awaited = Awaited::default();
    let mut draining = false;
    let mut connection = http1(Socket::new(io, awaited.clone()), peer, &service, None);
    async move {
        loop {
            let held = poll_fn(|cx| {
                // First hyper, which closes at once if it is told to end before it has read anything,
                // also when there is an answer to write.
                while Pin::new(&mut *connection).poll(cx)?.is_pending() {
                    if draining || shutdown.as_mut().poll(cx).is_pending() {
                        let held = awaited.take();
                        return held.map_or(Poll::Pending, |held| Poll::Ready(Ok(Some(held))));
                    }
                    draining = true;
                    Pin::new(&mut *connection).graceful_shutdown();
                }
                Poll::Ready(Ok::<_, hyper::Error>(None))
            });
            let Some((held, mut socket)) = held.await?.zip(take_apart(connection)) else {
                return Ok(());
            };
            let mut poll_shutdown = |cx: &mut Context<'_>| {
                draining = draining || shutdown.as_mut().poll(cx).is_ready();
            };
            let Held { what, asked } = held;
            connection = match what {
                What::Answer(mut answer) => {
                    let answered = poll_fn(|cx| {
                        poll_shutdown(cx);
                        match answer.as_mut().poll(cx) {
                            Poll::Ready(answer) => Poll::Ready(Some(answer)),
                            Poll::Pending => socket.poll_gone(cx).map(|()| None),
                        }
                    });
                    let Some(answer) = answered.await else { return Ok(()) };
                    socket.unread(asked.again(!draining).as_bytes());
                    http1(socket, peer, &service, Some((answer, asked)))
                }
                What::Stream(body) => {
                    let mut outflow = Outflow::new(body, asked.is_chunked());
                    let written = poll_fn(|cx| {
                        poll_shutdown(cx);
                        match outflow.poll(&mut socket, cx) {
                            Poll::Ready(written) => Poll::Ready(written.map(|()| true)),
                            Poll::Pending => socket.poll_gone(cx).map(|()| Ok(false)),
                        }
                    });
                    if !written.await? {
                        return Ok(()); // the client has gone
                    }
                    if draining || !asked.goes_on() {
                        return Ok(socket.shutdown().await?);
                    }
                    http1(socket, peer, &service, None)
                }
            };
        }
    }
}

/// hyper over a connection. `answer`: it is to be asked for that first.
fn http1<I: Io, S: Inner>(
    socket: Socket<I>,
    peer: PeerAddr,
    service: &PrimusService<S>,
    answer: Option<(Response, Asked)>,
) -> Box<http1::UpgradeableConnection<TokioIo<Socket<I>>, Answering<S>>> {
    let options = service.app().options();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.handshake_timeout)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_header_bytes.max(8192))
        .half_close(false);
    let service = Answering {
        service: service.clone(),
        peer,
        awaited: socket.awaited(),
        answer: Mutex::new(answer),
    };
    Box::new(http.serve_connection(TokioIo::new(socket), service).with_upgrades())
}

/// The socket, and nothing of hyper.
#[expect(
    clippy::boxed_local,
    reason = "unboxed before, the future of `one` would have room for it"
)]
fn take_apart<I: Io, S: Inner>(
    connection: Box<http1::UpgradeableConnection<TokioIo<Socket<I>>, Answering<S>>>,
) -> Option<Socket<I>> {
    let parts = connection.into_parts()?;
    let mut socket = parts.io.into_inner();
    socket.unread(&parts.read_buf);
    Some(socket)
}

/// The service, behind the answer to a request that is asked for again.
struct Answering<S> {
    service: PrimusService<S>,
    peer: PeerAddr,
    awaited: Awaited,
    answer: Mutex<Option<(Response, Asked)>>,
}

impl<S: Inner> hyper::service::Service<Request<Incoming>> for Answering<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((answer, asked)) = answer {
            let answer = self.awaited.clone().stream(asked, answer);
            return Box::pin(ready(Ok(answer)));
        }
        if !framing::is_plain(request.headers()) {
            let error = "the only transfer coding is chunked, once";
            let mut answer = refuse(StatusCode::BAD_REQUEST, error);
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
            return Box::pin(ready(Ok(answer)));
        }
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.awaited.clone());
        self.service.clone().call(request)
    }
}

async fn two<I: Io, S: Inner>(
    io: I,
    peer: PeerAddr,
    service: PrimusService<S>,
    mut shutdown: BoxFuture<'_, ()>,
) -> Result<(), BoxError> {
    let app = service.app().clone();
    let options = app.options();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let mut service = service.clone();
        async move { service.call(request).await }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_send_buf_size(64 << 10)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(Patient::new(io, PING + PONG)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = &mut connection => return Ok(result?),
        () = &mut shutdown => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use primus_core::{Primus, Settings};
    use tokio::io::duplex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_of_http2_that_reads_nothing_is_given_up() {
        let primus = Primus::new(Settings::default(), Default::default(), []);
        let service = App::new(primus, [], Options::default()).service();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
        // Too little room for the server's settings and a ping.
        let (near, mut far) = duplex(40);
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        far.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat())
            .await
            .unwrap();
        let served = serve(near, Version::Two, peer, service, Box::pin(pending()));
        let ended = timeout(2 * (PING + PONG), served).await.expect("it ends");
        assert!(ended.is_err());
    }
}
