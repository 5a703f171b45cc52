//! What can be wrong when a server is built or listens.

use std::{fmt, io};

use primus_core::PluginError;
use primus_library::LibraryError;

use crate::config::{ConfigError, Origin, names::suggest};

/// Where the wrong value was set: nothing if a method set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct At(pub Option<Origin>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |origin| origin.fmt(f))
    }
}

/// A server could not be built. [`Debug`](fmt::Debug) is the message too, because that is what a
/// `main` which returns an error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file or the environment could not be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody knows this transformer, parser or plugin.
    #[error("{at}there is no {kind} `{name}`{}", suggest(nearest))]
    UnknownName {
        /// Where it was named.
        at: At,
        /// `transformer`, `parser` or `plugin`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// An option has a value that cannot be.
    #[error("{at}`{key}` {problem}")]
    Invalid {
        /// Where it was set.
        at: At,
        /// The whole key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Two mounts have the same path.
    #[error("{at}there are two mounts at `{path}`; give each a path of its own")]
    SamePath {
        /// Where the second was set.
        at: At,
        /// The path.
        path: String,
    },
    /// Two plugins, or two middleware layers, have the same name.
    #[error("there are two {kind} named `{name}`; give each a name of its own")]
    SameName {
        /// What they are.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A plugin cannot be installed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The client library of a mount cannot be made.
    #[error("the client library of `{path}`: {source}")]
    Library {
        /// The path of the mount.
        path: String,
        /// Why.
        #[source]
        source: LibraryError,
    },
}

/// A server could not listen, or stopped listening by a failure. [`Debug`](fmt::Debug) is the message
/// too.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address could not be had.
    #[error(transparent)]
    Bind(#[from] primus_http::BindError),
    /// Certificate or key cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] primus_http::TlsError),
    /// The socket failed.
    #[error("listening failed: {0}")]
    Io(#[from] io::Error),
}

impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
