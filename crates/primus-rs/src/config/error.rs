//! What can be wrong with a configuration.

use std::{fmt, io, path::PathBuf};

use super::{names::suggest, value::Origin};

/// A configuration could not be read. Every message says where: `primus.toml:3: `, or the name of
/// the environment variable. [`Debug`](fmt::Debug) is the message too, because that is what a `main` which
/// returns an error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{at}this is not TOML: {problem}")]
    Syntax {
        /// Where.
        at: Origin,
        /// What the parser says.
        problem: String,
    },
    /// There is no such option.
    #[error("{at}there is no option `{key}`{}", suggest(nearest))]
    UnknownKey {
        /// Where it stands.
        at: Origin,
        /// The whole key, such as `client.reconnect.min`.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// There is no option for this environment variable.
    #[error(
        "there is no option for the environment variable {name}{}; if it is not meant for Primus, name it in PRIMUS_EXEMPT",
        suggest(nearest)
    )]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
    /// An environment variable is not UTF-8.
    #[error("the environment variable {0} is not UTF-8")]
    NotText(String),
    /// A value of the wrong type, or out of range.
    #[error("{at}`{key}` is {found}; expected {expected}")]
    Value {
        /// Where it stands.
        at: Origin,
        /// The whole key.
        key: String,
        /// What is expected.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The same option twice, under two of its names.
    #[error("{at}`{key}` is set twice, also as `{other}`; keep one")]
    Twice {
        /// Where it stands the second time.
        at: Origin,
        /// The whole key.
        key: String,
        /// The other name.
        other: String,
    },
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
