//! Socket.IO as a language over Engine.IO.

use std::sync::Arc;

use http::HeaderMap;
use primus_core::{BoxFuture, Rejection};
use primus_engineio::{Caller, EngineIo, Greeting, Language, Opened, protocol};

use crate::{
    client::Client,
    opening::{self, Asking},
    options::Options,
    protocol::{Version, Writing},
};

/// The name in configuration.
pub(crate) const NAME: &str = "socket.io";

/// Socket.IO 3 and 4, and where Engine.IO 3 is served, 1 and 2, too.
///
/// ```
/// use primus_core::Transformer as _;
/// assert_eq!(primus_socketio::transformer().name(), "socket.io");
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SocketIo;

/// Socket.IO as a transformer, named `socket.io`. Its [`Options`] are those of the mount.
pub fn transformer() -> EngineIo {
    EngineIo::speaking(SocketIo)
}

impl Language for SocketIo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn greet<'a>(&'a self, caller: Caller<'a>) -> BoxFuture<'a, Result<Greeting, Rejection>> {
        Box::pin(async move {
            let settings = caller.mount.settings();
            let options = settings.options.get::<Options>().cloned().unwrap_or_default();
            let pending = caller.mount.pend()?;
            let version = match caller.version {
                protocol::Version::V4 => Version::Five,
                protocol::Version::V3 => Version::Four,
            };
            let patience = Some(options.connect_timeout);
            let writing = Writing { version, msgpack: options.msgpack };
            let head = Box::new(caller.head.clone());
            let mut client = Client::new(Arc::clone(caller.mount), head, writing, &options);
            let opened = match version {
                Version::Five => Opened::default(),
                // A client of this version is in the root without asking.
                Version::Four => match client.enter_root(Asking::default()) {
                    Some(request) => opening::open(request).await,
                    None => Opened::default(),
                },
            };
            Ok(Greeting {
                speaker: Box::new(client),
                sid: None,
                pending: opened.carrier.is_none().then_some(pending),
                opened,
                patience,
                headers: HeaderMap::new(),
            })
        })
    }
}
