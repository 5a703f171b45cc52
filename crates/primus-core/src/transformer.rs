//! The trait behind which every family of wire protocol lives.

use std::sync::Arc;

use crate::{
    mount::Mount,
    request::{BoxFuture, Head, Request, Response},
};

/// One family of wire protocol: turns HTTP requests into sessions, frames into messages and back.
///
/// # How a transformer works
///
/// 1. [`claims`](Self::claims) says whether a request below the mount's path is of its family.
///    Origin check, CORS, middleware and body limits of HTTP are done by the server in front of it.
/// 2. [`serve`](Self::serve) answers the request. To make a session it calls
///    [`Mount::open`], which authorizes, and refuses with a [`Rejection`](crate::Rejection) that
///    becomes the answer.
/// 3. [`Session::attach`](crate::Session::attach) gives it the session's [`Carrier`](crate::Carrier):
///    it takes [`Work`](crate::Work) from it and writes that in its own form, and hands what the
///    client sent to [`Session::deliver`](crate::Session::deliver).
///
/// Everything else — the handler, limits of queues, transforms, broadcast, the end — is the
/// session's business and is the same for all transformers.
pub trait Transformer: Send + Sync + 'static {
    /// The name used in configuration, by `spark.transformer()` and in metrics.
    fn name(&self) -> &'static str;

    /// Whether the request is of this family. `tail` is the path behind the mount's: empty or
    /// beginning with `/`. Must be cheap; the first transformer that claims a request serves it. Those with a
    /// [`client_module`](Self::client_module) are asked first for requests of our own client, which bear its
    /// mark, and last for all others.
    fn claims(&self, head: &Head, tail: &str) -> bool;

    /// Answers a request that this transformer claimed.
    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response>;

    /// Whether its answers have the headers of CORS that its protocol wants, preflights included. The
    /// origin is checked before all the same. Without this the server adds its own.
    fn answers_cors(&self) -> bool {
        false
    }

    /// More rooms whose members, as far as they are on a mount with this transformer, get what is written
    /// to the room `name`: in protocols whose clients subscribe to patterns, those of the patterns that the
    /// name fits. Who is in several gets it once. Must be cheap: every write to a room asks.
    fn wider_rooms(&self, name: &str) -> Vec<String> {
        let _ = name;
        Vec::new()
    }

    /// The module of the generated client that speaks this protocol, if there is one.
    fn client_module(&self) -> Option<&'static str> {
        None
    }
}
