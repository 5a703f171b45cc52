//! The Autobahn test suite: 517 cases that say what RFC 6455 and RFC 7692 ask of a server, against the echo
//! example.
//!
//! `cargo xtask autobahn` runs them all and writes `docs/autobahn.md`. The suite `autobahn` of
//! `cargo xtask test` runs those that take seconds, where there is a Python 2.7.

mod cases;
mod page;
mod python;
mod results;
mod run;
mod server;

pub(crate) use run::{full, subset};
