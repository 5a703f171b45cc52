//! Every option of a server: one struct, read from a file, from the environment, and set by the
//! methods of the [`Builder`](crate::Builder).
//!
//! `docs/configuration.md` is the reference.

pub(crate) mod amounts;
mod client;
mod env;
mod error;
mod file;
mod mounts;
pub(crate) mod names;
pub(crate) mod options;
#[cfg(test)]
mod reference;
mod serde;
mod server;
mod tables;
pub(crate) mod units;
pub(crate) mod value;
mod words;

pub use self::{
    client::{ClientOptions, ReconnectOptions},
    error::ConfigError,
    mounts::{Mount, SockJsMount},
    server::{Config, TlsFiles},
    value::Origin,
    words::{Credentials, Strategy},
};
