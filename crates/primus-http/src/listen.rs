//! Listening by ourselves.

use std::{io, net::SocketAddr, time::Duration};

use primus_core::{BoxFuture, ListenerGuard};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    app::App,
    serve::{serve, sniff},
    service::{Inner, PrimusService},
};

/// The address could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", advice(.source))]
pub struct BindError {
    address: String,
    #[source]
    source: io::Error,
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another port"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose a higher one, or put a proxy in front"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// A socket that listens. It accepts from [`serve`](Self::serve) on.
pub struct Listener {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    guard: ListenerGuard,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl App {
    /// Takes an address such as `127.0.0.1:8080`. Port 0 takes a free one.
    ///
    /// # Errors
    /// When it cannot be had; the error says what to do.
    pub async fn bind(&self, address: &str) -> Result<Listener, BindError> {
        let failed = |source| BindError { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Listener {
            app: self.clone(),
            listener,
            address,
            guard: self.primus().listener(),
            #[cfg(feature = "tls")]
            tls: None,
        })
    }
}

impl Listener {
    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    #[cfg(feature = "tls")]
    pub(crate) fn options(&self) -> &crate::options::Options {
        self.app.options()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn set_tls(&mut self, acceptor: tokio_rustls::TlsAcceptor) {
        self.tls = Some(acceptor);
    }

    /// Serves Primus alone; other paths are answered 404. See [`serve_with`](Self::serve_with).
    ///
    /// # Errors
    /// When the socket itself fails. Connections that fail are their own business.
    pub async fn serve(self) -> io::Result<()> {
        let nobody = self.app.nobody();
        self.serve_with(nobody).await
    }

    /// Serves Primus with `inner` behind it, until the server ends with `close`: then it takes no
    /// more connections, lets requests finish until the deadline, and cuts the rest.
    ///
    /// # Errors
    /// When the socket itself fails. Connections that fail are their own business.
    pub async fn serve_with<S: Inner>(self, inner: S) -> io::Result<()> {
        // Where the connections are: a caller that blocks a thread of its own on this would have to be
        // woken for each of them. It ends with this future.
        let mut task = JoinSet::new();
        task.spawn(self.accept(inner));
        match task.join_next().await {
            Some(Ok(served)) => served,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Ok(()), // the runtime ends
            },
            None => Ok(()),
        }
    }

    async fn accept<S: Inner>(self, inner: S) -> io::Result<()> {
        let Self { app, listener, guard, .. } = &self;
        let service = app.around(inner);
        let max = app.primus().settings().max_connections;
        // Who finds all places taken is to be told so, and needs a connection for that.
        let max = max.saturating_add((max / 8).max(64));
        let (shutdown, receiver) = watch::channel(());
        let mut connections = JoinSet::new();
        let phase = {
            let mut closing = std::pin::pin!(guard.closing());
            loop {
                tokio::select! {
                    phase = &mut closing => break phase,
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) if connections.len() >= max => {
                            tracing::warn!(max, "too many connections (max_connections)");
                            drop(stream);
                        }
                        Ok((stream, peer)) => {
                            let service = service.clone();
                            let connection =
                                self.connection(stream, peer, service, receiver.clone());
                            connections.spawn(connection);
                        }
                        Err(error) if is_transient(&error) => {}
                        Err(error) => {
                            // Out of descriptors or memory: others have to end before we go on.
                            tracing::error!(%error, "accept failed");
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                }
            }
        };
        let Self { listener, guard, .. } = self;
        drop(listener);
        drop(shutdown);
        let done = async { while connections.join_next().await.is_some() {} };
        match phase.deadline {
            None => done.await,
            Some(deadline) => {
                if tokio::time::timeout_at(deadline, done).await.is_err() {
                    guard.cut(connections.len());
                    connections.shutdown().await;
                }
            }
        }
        Ok(())
    }

    fn connection<S: Inner>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        service: PrimusService<S>,
        mut shutdown: watch::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + use<S> {
        #[cfg(feature = "tls")]
        let tls = self.tls.clone();
        // Boxed, so that a connection that is being served has no room for how it began.
        let begin = Box::pin(async move {
            let _ = stream.set_nodelay(true);
            let options = service.app().options();
            // The sender is dropped when the listener closes; nothing is ever sent.
            let mut shutdown: BoxFuture<'static, ()> =
                Box::pin(async move { while shutdown.changed().await.is_ok() {} });
            #[cfg(feature = "tls")]
            if let Some(tls) = tls {
                let accepted = tokio::select! {
                    accepted = crate::tls::accept(tls, stream, options) => accepted,
                    () = &mut shutdown => None,
                };
                let (stream, version) = accepted?;
                let peer = crate::io::PeerAddr { address: peer, secure: true };
                return Some(serve(stream, version, peer, service, shutdown));
            }
            let version = tokio::select! {
                version = sniff(&stream, options) => version,
                // Who has not said anything yet, as browsers that connect ahead, is not waited for.
                () = &mut shutdown => Ok(None),
            };
            match version {
                Ok(version) => Some(serve(stream, version?, peer.into(), service, shutdown)),
                Err(error) => {
                    tracing::debug!(%error, "connection failed");
                    None
                }
            }
        });
        async move {
            let serving = begin.await;
            if let Some(serving) = serving
                && let Err(error) = serving.await
            {
                tracing::debug!(%error, "connection failed");
            }
        }
    }
}

/// The client went before it was accepted.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
