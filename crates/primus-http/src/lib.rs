//! The HTTP side of Primus: it stands between an HTTP server and the transformers.
//!
//! An [`App`] is one Primus with its HTTP options. It is mounted into an application as a
//! [`Layer`](tower_layer::Layer) or [`Service`](tower_service::Service), listens by itself
//! ([`App::bind`]), or serves single connections of somebody's own accept loop
//! ([`App::attach`]). For each request it finds the mount, checks the origin, answers CORS,
//! runs the middleware, and hands the request to the transformer that claims it. What nobody
//! claims goes on to the inner service.

#![deny(clippy::unwrap_used)]

mod app;
mod awaited;
pub mod cors;
mod forwarded;
mod framing;
mod io;
mod listen;
mod options;
mod origin;
mod outflow;
mod page;
mod patient;
pub mod post;
mod scripts;
mod serve;
mod service;
mod socket;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tls")]
pub use self::tls::TlsError;
pub use self::{
    app::App,
    forwarded::{BadNetwork, Network},
    io::PeerAddr,
    listen::{BindError, Listener},
    options::Options,
    origin::{BadOrigin, Origins},
    page::{Page, page},
    service::{Inner, NotFound, PrimusLayer, PrimusService},
};
