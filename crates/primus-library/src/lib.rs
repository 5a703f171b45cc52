//! The client library that a Primus server serves as `/primus/primus.js`.
//!
//! It exists so that a page never needs a build step, and never disagrees with its server: the
//! script has the transports that this server speaks and no others, its path, its parser, the
//! options of the application, and the scripts of its plugins. The client itself is built from
//! `client-js/` and embedded here, one script for each combination of transports and one for each dialect that it speaks, so nobody who
//! uses this crate needs Node.
//!
//! ```
//! use primus_library::{Library, LibraryConfig};
//!
//! let library = Library::new(LibraryConfig::new("/primus", ["websocket", "sse"]))?;
//! assert!(library.script().contains(r#""transports":["websocket","sse"]"#));
//! # Ok::<(), primus_library::LibraryError>(())
//! ```

#![deny(clippy::unwrap_used)]

mod clients;
mod config;
mod encoding;
mod etag;
mod library;
mod respond;

pub use self::{
    clients::{DIALECTS, MODULES},
    config::{LibraryConfig, LibraryError, PluginScript},
    library::Library,
};
