//! What our client connects by where a mount speaks dialects of others: our own carriers beside them, or a module of
//! the client that speaks one of them.

use std::sync::Arc;

use primus_core::{BoxFuture, Head, Mount, MountSettings, Request, Response, Transformer};
use primus_http::post::is_ours;

use primus_library::DIALECTS;
use primus_sockjs::SockJsOptions;

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

/// The module by which the client speaks the first of the dialects that it can, where there is none of our own
/// transformers. `None`: there is no dialect either.
///
/// # Errors
/// When there is none that it could speak: what is wrong with `native`.
pub(crate) fn module(
    known: &Known,
    names: &[String],
    mount: &MountSettings,
) -> Result<Option<&'static str>, String> {
    let dialects: Vec<_> = names.iter().filter(|name| known.is_dialect(name)).collect();
    if dialects.is_empty() {
        return Ok(None);
    }
    let found = dialects.iter().find_map(|name| DIALECTS.into_iter().find(|one| one == *name));
    let problem = match found {
        None => {
            let dialects: Vec<_> = dialects.iter().map(|name| format!("{name:?}")).collect();
            format!("`primus.js` has no client for {}", dialects.join(" or "))
        }
        Some("sockjs") if mount.options.get().is_some_and(|it: &SockJsOptions| !it.websocket) => {
            "the client for \"sockjs\" needs `sockjs_websocket`".to_owned()
        }
        Some(name @ ("sockjs" | "browserchannel")) if mount.parser.name() == "msgpack" => {
            format!("{name:?} cannot carry the bytes that the parser \"msgpack\" makes")
        }
        Some(name) => return Ok(Some(name)),
    };
    Err(format!(
        "is false, and {problem}; set it to true, or add \"websocket\", \"sse\" or \"polling\" to `transformers`"
    ))
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
