//! The transformers, parsers and plugins that can be named. To add a transformer to this repository is to
//! write its crate and one line here.

use std::sync::Arc;

use primus_bayeux::Bayeux;
use primus_browserchannel::BrowserChannel;
use primus_core::{MountSettings, Parser, Plugin, Transformer, parser};
use primus_library::MODULES;
use primus_sockjs::SockJs;

use crate::config::names::nearest;

/// The transformers of our own client, in the order in which it tries them.
pub(crate) const NATIVE: [&str; 3] = MODULES;

pub(crate) struct Known {
    transformers: Vec<Source>,
    parsers: Vec<Arc<dyn Parser>>,
    plugins: Vec<Arc<dyn Plugin>>,
}

/// Where a transformer comes from.
enum Source {
    /// Made for each mount.
    Ours(&'static str, fn(&MountSettings) -> Arc<dyn Transformer>),
    Given(Arc<dyn Transformer>),
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours(name, _) => name,
            Self::Given(transformer) => transformer.name(),
        }
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            transformers: vec![
                Source::Ours("websocket", |_| Arc::new(primus_websocket::WebSocket::new())),
                Source::Ours("sse", |_| Arc::new(primus_sse::Sse::new())),
                Source::Ours("polling", |_| Arc::new(primus_polling::Polling::new())),
                Source::Ours("engine.io", |_| Arc::new(primus_engineio::EngineIo::new())),
                Source::Ours("socket.io", |_| Arc::new(primus_socketio::transformer())),
                Source::Ours("actioncable", |mount| {
                    let options = mount.options.get().cloned().unwrap_or_default();
                    Arc::new(primus_actioncable::ActionCable::new(options))
                }),
                Source::Ours("sockjs", |mount| {
                    Arc::new(SockJs::new(mount.options.get().cloned().unwrap_or_default()))
                }),
                Source::Ours("browserchannel", |mount| {
                    Arc::new(BrowserChannel::new(mount.options.get().cloned().unwrap_or_default()))
                }),
                Source::Ours("bayeux", |mount| {
                    Arc::new(Bayeux::new(mount.options.get().cloned().unwrap_or_default()))
                }),
                // By this name Primus 8 for Node has a plain WebSocket, which this is.
                Source::Ours("faye", |_| Arc::new(primus_websocket::WebSocket::new())),
            ],
            parsers: vec![
                parser::json(),
                #[cfg(feature = "msgpack")]
                parser::msgpack(),
                parser::raw(),
            ],
            plugins: Vec::new(),
        }
    }
}

impl Known {
    pub(crate) fn add_transformer(&mut self, transformer: Arc<dyn Transformer>) {
        self.transformers.retain(|other| other.name() != transformer.name());
        self.transformers.push(Source::Given(transformer));
    }

    pub(crate) fn add_parser(&mut self, parser: Arc<dyn Parser>) {
        self.parsers.retain(|other| other.name() != parser.name());
        self.parsers.push(parser);
    }

    pub(crate) fn add_plugin(&mut self, plugin: Arc<dyn Plugin>) {
        self.plugins.retain(|other| other.name() != plugin.name());
        self.plugins.push(plugin);
    }

    /// The transformer of this name for a mount, or the nearest name.
    pub(crate) fn transformer(
        &self,
        name: &str,
        mount: &MountSettings,
    ) -> Result<Arc<dyn Transformer>, Option<String>> {
        match self.transformers.iter().find(|source| source.name() == name) {
            Some(Source::Ours(_, make)) => Ok(make(mount)),
            Some(Source::Given(transformer)) => Ok(Arc::clone(transformer)),
            None => {
                Err(nearest(name, self.transformers.iter().map(Source::name)).map(str::to_owned))
            }
        }
    }

    /// Whether it is one of this repository, and for clients of others.
    pub(crate) fn is_dialect(&self, name: &str) -> bool {
        let ours = |source: &&Source| matches!(source, Source::Ours(..)) && source.name() == name;
        self.transformers.iter().any(|source| ours(&source)) && !NATIVE.contains(&name)
    }

    /// The parser of this name, or the nearest name.
    pub(crate) fn parser(&self, name: &str) -> Result<Arc<dyn Parser>, Option<String>> {
        let found = self.parsers.iter().find(|parser| parser.name() == name);
        let names = self.parsers.iter().map(|parser| parser.name());
        found.map(Arc::clone).ok_or_else(|| nearest(name, names).map(str::to_owned))
    }

    /// The plugin of this name, or the nearest name.
    pub(crate) fn plugin(&self, name: &str) -> Result<Arc<dyn Plugin>, Option<String>> {
        let found = self.plugins.iter().find(|plugin| plugin.name() == name);
        let names = self.plugins.iter().map(|plugin| plugin.name());
        found.map(Arc::clone).ok_or_else(|| nearest(name, names).map(str::to_owned))
    }
}
