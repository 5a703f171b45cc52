//! The event stream transformer: messages leave as server-sent events, and come in by POST.
//!
//! It exists for networks that let HTTP through and WebSockets not, and for clients that are
//! nothing but an `EventSource` or `curl -N`. Our own client attaches by `POST {path}/sse?v=2` and
//! reads the answer with `fetch`; a bare client says `GET {path}/sse` (docs/protocol.md §4, §8).
//! What it POSTs is served by [`primus_http::post`], which polling uses too.

#![deny(clippy::unwrap_used)]

mod event;
mod stream;
mod transformer;

pub use transformer::Sse;
