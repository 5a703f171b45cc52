//! The server, as applications hold it.

use std::{io, net::SocketAddr, ops::Deref, path::Path, sync::Arc};

use primus_core::{BoxError, EndReport};
use primus_http::{App, Inner, Listener, NotFound, PrimusLayer, PrimusService};
use primus_library::{Library, LibraryError};
use tokio::net::TcpStream;

use crate::{
    builder::Builder,
    config::Config,
    error::{BuildError, ListenError},
};

/// A realtime server. A cheap clone: all clones are the same server.
///
/// Handlers, sparks, broadcast and the end are methods of [`core::Primus`](primus_core::Primus),
/// which this derefs to. Here is what makes it a server: options, listening, mounting, and the
/// client library.
///
/// There are three ways to reach it: it [listens](Self::listen) by itself; it is a
/// [layer](Self::layer) or a [service](Self::service) of an application; or it serves the
/// [connections](Self::attach) of somebody's own accept loop.
#[derive(Clone)]
pub struct Primus {
    app: App,
    config: Arc<Config>,
}

impl Primus {
    pub(crate) fn assemble(app: App, config: Config) -> Self {
        Self { app, config: Arc::new(config) }
    }

    /// A builder with the defaults of every option.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A server with the options of the file at `path`, and over them those of the environment
    /// (`PRIMUS_*`).
    ///
    /// # Errors
    /// At the first option that is wrong; the error says where it stands, and what would be
    /// right.
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self, BuildError> {
        Builder::from_config(path)?.build()
    }

    /// The options that it was built with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    // ---- the client library ----

    /// What is served as `primus.js` of the main mount at this moment: it changes with the
    /// [plugins](primus_core::Primus::plugins).
    ///
    /// If none of its transformers has a client for browsers, nothing is served, and this is a
    /// script that throws an error which says so.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let primus = primus::Primus::builder().build()?;
    /// let library = primus.library();
    /// assert!(library.script().contains("\"path\":\"/primus\""));
    /// // A browser may keep this for ever, because another script has another name.
    /// let tag = format!("<script src=\"/primus/primus.{}.js\"></script>", library.hash());
    /// # Ok(()) }
    /// ```
    pub fn library(&self) -> Library {
        let path = self.mounts().first().map(|mount| &*mount.settings().path);
        path.and_then(|path| self.library_of(path))
            .unwrap_or_else(|| Library::unavailable(&LibraryError::NoTransport))
    }

    /// What is served as `primus.js` of the mount at `path` at this moment, if there is one.
    pub fn library_of(&self, path: &str) -> Option<Library> {
        self.app.library(path)
    }

    /// Writes the script of [`library`](Self::library) to a file, for those who bundle it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        std::fs::write(path, self.library().script())
    }

    // ---- listening ----

    /// Listens on an address such as `127.0.0.1:8080` until the server [ends](Self::shutdown).
    ///
    /// # Errors
    /// When the address cannot be had, certificate or key cannot be used, or the socket fails.
    pub async fn listen(&self, address: impl ToString) -> Result<(), ListenError> {
        Ok(self.bind(address).await?.serve().await?)
    }

    /// As [`listen`](Self::listen), with an application behind: what is not for Primus goes on to
    /// `inner`, which may be axum's `Router` or a [`page`](primus_http::page).
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub async fn listen_with(
        &self,
        address: impl ToString,
        inner: impl Inner,
    ) -> Result<(), ListenError> {
        Ok(self.bind(address).await?.serve_with(inner).await?)
    }

    /// Listens on the address of the option `listen`.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub async fn serve(&self) -> Result<(), ListenError> {
        self.listen(&self.config.listen).await
    }

    /// Takes an address; port 0 takes a free one. [`Listener::serve`] begins to accept.
    ///
    /// # Errors
    /// When the address cannot be had, or certificate or key cannot be used.
    pub async fn bind(&self, address: impl ToString) -> Result<Listener, ListenError> {
        let address = address.to_string();
        let listener = self.app.bind(&address).await?;
        #[cfg(feature = "tls")]
        if let (Some(cert), Some(key)) = (&self.config.tls.cert, &self.config.tls.key) {
            return Ok(listener.with_tls(Path::new(cert), Path::new(key))?);
        }
        Ok(listener)
    }

    // ---- mounting ----

    /// Itself as a layer around an application: what is not for Primus goes on to it.
    pub fn layer(&self) -> PrimusLayer {
        self.app.layer()
    }

    /// Itself as a service; what is not for Primus is answered 404.
    pub fn service<B>(&self) -> PrimusService<NotFound<B>> {
        self.app.service()
    }

    /// Itself in front of a service, as [`layer`](Self::layer) does it.
    pub fn around<S>(&self, inner: S) -> PrimusService<S> {
        self.app.around(inner)
    }

    /// Serves one connection of your own accept loop until it closes. What is not for Primus
    /// goes to `inner`; give it [`service`](Self::service) if there is nothing else.
    ///
    /// # Errors
    /// When the connection fails or breaks the protocol. There is nothing to do but log it.
    pub async fn attach<S: Inner>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        inner: S,
    ) -> Result<(), BoxError> {
        self.app.attach(stream, peer, inner).await
    }

    /// The HTTP side, with everything that it can do.
    pub fn app(&self) -> &App {
        &self.app
    }

    // ---- the end ----

    /// Ends the server as the options under `end` say.
    pub async fn shutdown(&self) -> EndReport {
        self.end(self.config.end.clone()).await
    }
}

impl Deref for Primus {
    type Target = primus_core::Primus;

    fn deref(&self) -> &primus_core::Primus {
        self.app.primus()
    }
}

impl std::fmt::Debug for Primus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}
