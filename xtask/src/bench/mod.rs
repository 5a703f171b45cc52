//! What servers cost beside each other: `cargo xtask bench`.
//!
//! Every server is the same application, on another stack, and runs alone on one core; the load generator of
//! `benches/load` has the next. All run once a round, so that whatever else the machine does meets them all
//! alike, and of the rounds the median counts. Figures are CPU time a message and bytes a connection: they say
//! the same on a busy machine, which messages a second do not.

mod chart;
mod figures;
mod machine;
mod options;
mod page;
mod run;
mod scenarios;
mod servers;

pub(crate) use run::bench;
