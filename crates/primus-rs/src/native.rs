//! Our own carriers beside a dialect of others, so that the mount's `primus.js` connects.

use std::sync::Arc;

use primus_core::{BoxFuture, Head, Mount, MountSettings, Request, Response, Transformer};
use primus_http::post::is_ours;

use crate::known::{Known, NATIVE};

/// Adds our own transformers where those that are named are for clients of others.
pub(crate) fn add_native(
    known: &Known,
    names: &[String],
    mount: &MountSettings,
    transformers: &mut Vec<Arc<dyn Transformer>>,
) {
    let chosen = names.iter().any(|name| NATIVE.contains(&&**name));
    if chosen || !names.iter().any(|name| known.is_dialect(name)) {
        return;
    }
    for name in NATIVE {
        // `faye` is our WebSocket already.
        if transformers.iter().all(|one| one.name() != name)
            && let Ok(transformer) = known.transformer(name, mount)
        {
            transformers.push(Arc::new(Beside(transformer)));
        }
    }
}

/// One that serves our own client and nobody else: whatever else is asked of the mount stays what it is to its
/// dialect.
struct Beside(Arc<dyn Transformer>);

impl Transformer for Beside {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        is_ours(head) && self.0.claims(head, tail)
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Arc::clone(&self.0).serve(request, mount)
    }

    fn answers_cors(&self) -> bool {
        self.0.answers_cors()
    }

    fn wider_rooms(&self, name: &str) -> Vec<String> {
        self.0.wider_rooms(name)
    }

    fn client_module(&self) -> Option<&'static str> {
        self.0.client_module()
    }
}
