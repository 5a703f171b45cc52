//! The realtime server for every client: one handler over WebSocket, SSE and long-polling.
//!
//! ```no_run
//! use primus::Primus;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let primus = Primus::builder().build()?;
//!     primus.on_connection(async |mut spark| {
//!         while let Some(message) = spark.next().await {
//!             spark.write_message(message)?;
//!         }
//!         Ok(())
//!     });
//!     Ok(primus.listen("127.0.0.1:8080").await?)
//! }
//! ```
//!
//! A page loads `/primus/primus.js` from it and is connected by `new Primus()`, over whichever
//! transport the network allows. Applications choose the transports in the [`Builder`] or in a
//! file ([`Primus::from_config`]); handlers never notice. Plain clients — `WebSocket`,
//! `EventSource`, `curl` — and the stock client of Primus 8 reach the same handler.
//!
//! This crate is the facade: [options](Config), the [builder](Builder), and the names that an
//! application needs. The machine is in [`core`], the HTTP side in [`http`].

#![deny(clippy::unwrap_used)]

mod build;
mod builder;
mod check;
pub mod config;
mod error;
mod known;
mod native;
mod primus;

pub use primus_core as core;
pub use primus_engineio as engine_io;
pub use primus_http as http;
pub use primus_library as library;
pub use primus_socketio as socket_io;

pub use primus_core::{
    Answer, Answers, Audience, AuthorizeRequest, Authorizer, Channel, ChannelRequest, ChannelRules,
    CloseReason, DecodeError, EmitError, EncodeError, End, EndReport, Flow, FromFn, Head,
    JoinError, Keep, Kind, Member, Message, Middleware, NameError, NotAvailable, Overflow, Page,
    Parser, Payload, Place, Plugin, PluginError, Plugins, Position, PresenceChange, Query,
    Rejection, RequestError, Requesting, Response, Sending, SparkId, State, Stats, Transformer,
    WriteError, Written, handle::Spark,
};

pub use self::{
    builder::Builder,
    config::{ClientOptions, Config, ConfigError, Credentials, Mount, ReconnectOptions, Strategy},
    error::{At, BuildError, ListenError},
    primus::Primus,
};

/// What a handler returns: [`Ok`] ends the spark in peace, an error with a reason.
pub type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guarantees.md")]
mod guarantees {}

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/parsers.md")]
mod parsers {}

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
mod plugins {}

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/events.md")]
mod events {}

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rooms.md")]
mod rooms {}

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/channels.md")]
mod channels {}
