//! Puts a server together: its options, and what cannot stand in a file.

use std::{future::Future, path::Path, sync::Arc};

use primus_core::{
    End, Flow, FromFn, Head, Kind, Message, Middleware, Parser, Place, Plugin, Response,
    Transformer,
    handle::Spark,
    transform::{Incoming, Outgoing, Transforms},
};
use primus_sockjs::SockJsOptions;

use crate::{
    build,
    config::{ClientOptions, Config, ConfigError, Mount, TlsFiles},
    error::BuildError,
    known::Known,
    primus::Primus,
};

/// Adds one layer to the finished server.
type AddMiddleware = Box<dyn FnOnce(&primus_core::Primus) + Send>;

/// Makes a [`Primus`]. Every option of [`Config`] is a method.
///
/// ```
/// use primus::{Mount, Primus};
/// use std::time::Duration;
///
/// let primus = Primus::builder()
///     .transformers(["websocket", "sse"])
///     .ping_interval(Duration::from_secs(20))
///     .mount("/ws", Mount::new().parser("raw").max_message(16 << 20))
///     .build()?;
/// # Ok::<(), primus::BuildError>(())
/// ```
#[derive(Default)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    pub(crate) config: Config,
    pub(crate) known: Known,
    pub(crate) transforms: Transforms,
    pub(crate) plugins: Vec<Arc<dyn Plugin>>,
    pub(crate) middlewares: Vec<(String, AddMiddleware)>,
}

impl Builder {
    /// With the defaults of every option.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the options of the file at `path`, and over them those of the environment
    /// (`PRIMUS_*`).
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Config::load(path).map(Self::from)
    }

    /// With the options of the environment (`PRIMUS_*`) over the defaults.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Config::from_env().map(Self::from)
    }

    /// The options as they are by now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Builds the server, and checks everything.
    ///
    /// # Errors
    /// At the first thing that cannot be. The error says where it was set, and what would be
    /// right.
    pub fn build(self) -> Result<Primus, BuildError> {
        build::build(self)
    }

    // ---- options that are tables ----

    /// The one transformer: the same as [`transformers`](Self::transformers) with a list of one.
    pub fn transformer(self, transformer: impl Into<String>) -> Self {
        self.transformers([transformer.into()])
    }

    /// One more mount at `path`. What it leaves out it has from the options of the server. One
    /// that was set for the same path before is replaced.
    pub fn mount(mut self, path: impl Into<String>, mount: Mount) -> Self {
        let path = path.into();
        self.forget(&crate::config::options::join("mounts", &path));
        self.config.mounts.insert(path, mount);
        self
    }

    /// Options of the clients that load `primus.js`.
    pub fn client(mut self, client: ClientOptions) -> Self {
        self.forget("client");
        self.config.client = client;
        self
    }

    /// Serves TLS with a chain of certificates and a private key, both PEM files. It needs the
    /// feature `tls`.
    pub fn tls(mut self, cert: impl Into<String>, key: impl Into<String>) -> Self {
        self.forget("tls");
        self.config.tls = TlsFiles::new().cert(cert).key(key);
        self
    }

    /// How [`Primus::shutdown`] ends the server.
    pub fn end(mut self, end: End) -> Self {
        self.forget("end");
        self.config.end = end;
        self
    }

    /// What SockJS clients meet.
    pub fn sockjs(mut self, sockjs: SockJsOptions) -> Self {
        self.forget("sockjs");
        self.config.sockjs = sockjs;
        self
    }

    /// A method has the last word about `key` and all keys below it.
    fn forget(&mut self, key: &str) {
        let below = format!("{key}.");
        self.config.sources.retain(|other, _| other != key && !other.starts_with(&below));
    }

    // ---- what cannot stand in a file ----

    /// Makes a transformer of your own known by its name; name it in
    /// [`transformers`](Self::transformers) to use it. One of the same name is replaced.
    pub fn add_transformer(mut self, transformer: impl Transformer) -> Self {
        self.known.add_transformer(Arc::new(transformer));
        self
    }

    /// Makes a parser of your own known by its name; name it in [`parser`](Self::parser) to use
    /// it. One of the same name is replaced.
    pub fn add_parser(mut self, parser: impl Parser) -> Self {
        self.known.add_parser(Arc::new(parser));
        self
    }

    /// Makes a plugin of your own known by its name; name it in [`plugins`](Self::plugins) to
    /// install it. One of the same name is replaced.
    pub fn add_plugin(mut self, plugin: impl Plugin) -> Self {
        self.known.add_plugin(Arc::new(plugin));
        self
    }

    /// Installs a plugin, behind those that are named in [`plugins`](Self::plugins): its hooks in
    /// the server, its script in the client.
    ///
    /// Plugins can be changed later: [`Primus::plugins`](primus_core::Primus::plugins).
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Adds a transform of incoming messages, behind those that are there.
    ///
    /// ```
    /// use primus::{Flow, Primus};
    /// let builder = Primus::builder().transform_in(|_spark, message| {
    ///     if message.payload().is_empty() { Flow::Drop } else { Flow::Pass }
    /// });
    /// ```
    pub fn transform_in(
        mut self,
        transform: impl Fn(&Spark, &mut Message) -> Flow + Send + Sync + 'static,
    ) -> Self {
        self.transforms.incoming(Incoming::Sync(Box::new(transform)));
        self
    }

    /// Adds a transform of incoming messages that may wait; the messages behind wait with it.
    /// `None` drops the message.
    pub fn transform_in_async<F, Fut>(mut self, transform: F) -> Self
    where
        F: Fn(Spark, Message) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<Message>> + Send + 'static,
    {
        let transform = move |spark, message| -> primus_core::BoxFuture<'static, _> {
            Box::pin(transform(spark, message))
        };
        self.transforms.incoming(Incoming::Async(Box::new(transform)));
        self
    }

    /// Adds a transform of outgoing messages that does not ask for whom they are; a broadcast
    /// passes it once.
    pub fn transform_out(
        mut self,
        transform: impl Fn(&mut Message) -> Flow + Send + Sync + 'static,
    ) -> Self {
        self.transforms.outgoing(Outgoing::Shared(Box::new(transform)));
        self
    }

    /// Adds a transform of outgoing messages that looks at the spark. It runs, and the message is
    /// framed, once for each receiver of a broadcast.
    pub fn transform_out_per_spark(
        mut self,
        transform: impl Fn(&Spark, &mut Message) -> Flow + Send + Sync + 'static,
    ) -> Self {
        self.transforms.outgoing(Outgoing::PerSpark(Box::new(transform)));
        self
    }

    /// Adds HTTP middleware that sees every request of ours and every upgrade, behind the layers
    /// that are there. What it returns is the answer, and stops the chain.
    ///
    /// Layers can be changed later: [`Primus::middleware`](primus_core::Primus::middleware).
    pub fn middleware(
        self,
        name: impl Into<String>,
        layer: impl Fn(&mut Head) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        self.middleware_for(name, Kind::Both, FromFn::new(layer))
    }

    /// Adds HTTP middleware of any type, for requests of one kind.
    pub fn middleware_for(
        mut self,
        name: impl Into<String>,
        kind: Kind,
        layer: impl Middleware,
    ) -> Self {
        let name = name.into();
        let add = {
            let name = name.clone();
            move |primus: &primus_core::Primus| {
                // `Last` names no layer that could be missing.
                let _ = primus.middleware().add(&name, kind, Place::Last, layer);
            }
        };
        self.middlewares.push((name, Box::new(add)));
        self
    }
}

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self { config, ..Self::default() }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
