//! The core of Primus for Rust: the vocabulary, the traits, and the machine.
//!
//! It exists so that one handler serves every kind of realtime client. A [`Transformer`] turns
//! HTTP requests of one wire family into [`Session`]s; a session has an outbox, an inbox and the
//! handler's future, and outlives nothing and nobody: it is passive data that a carrier lends its
//! task to. Handlers see a [`handle::Spark`].
//!
//! This crate knows neither sockets nor an HTTP server; `primus-http` does. Applications use the
//! facade, `primus-rs`.

#![deny(clippy::unwrap_used)]

mod admission;
mod authorize;
mod broadcast;
pub mod channel;
pub mod classic;
mod close;
mod end;
mod envelope;
pub mod events;
pub mod handle;
mod handshake;
mod hooks;
mod id;
mod message;
mod metrics;
mod middleware;
mod mount;
mod names;
pub mod native;
mod packet;
pub mod parser;
mod plugin;
mod plugins;
mod prefetch;
mod primus;
mod registry;
pub mod request;
mod resume;
pub mod rooms;
mod sending;
mod session;
mod settings;
mod shared;
#[cfg(test)]
mod simulation;
mod snapshot;
mod spark;
mod stats;
pub mod transform;
mod transformer;

pub use self::{
    admission::Pending,
    authorize::{AuthorizeRequest, Authorizer, Rejection, User},
    broadcast::{Audience, EmitError},
    channel::{Channel, ChannelRequest, ChannelRules},
    close::CloseReason,
    end::{End, EndReport},
    envelope::{Envelope, Heading, Subject},
    events::{Answer, Answers, RequestError, Requesting},
    handshake::Handshake,
    hooks::HandlerResult,
    id::{ParseIdError, Secret, SparkId},
    message::{Message, Payload},
    middleware::{FromFn, Kind, Middleware, Middlewares, Place, UnknownLayer},
    mount::{Attached, Mount, Opening},
    names::{NameError, is_event_name},
    packet::{Delivery, FrameCounters, Outgoing, Packet, WireForm},
    parser::{DecodeError, EncodeError, Parser},
    plugin::Plugin,
    plugins::{ClientScript, PluginError, Plugins},
    primus::{ListenerGuard, Primus},
    request::{Body, BoxError, BoxFuture, Head, Io, Query, Request, Response, Upgrade, Upgraded},
    rooms::{JoinError, Keep, Member, NotAvailable, Page, Position, PresenceChange},
    sending::Sending,
    session::{
        Asked, Batch, Callbacks, Carriage, Carrier, DeliverError, PublishError, Resume, Session,
        Taken, Turn, Wire, Work,
    },
    settings::{Compression, Limits, MountSettings, Overflow, Settings},
    shared::Phase,
    spark::{State, WriteError, Written},
    stats::Stats,
    transform::Flow,
    transformer::Transformer,
};
