//! A hostile network in virtual time.
//!
//! On one side the real [`Mount`](crate::mount::Mount) and [`Session`](crate::session::Session); on
//! the other a model client, written after docs/protocol.md §4 and §5; between them a network that
//! does all that networks do. Both applications number their messages themselves, and check. A seed
//! decides everything: what is said, how fast, what the limits are, and what goes wrong.
//!
//! - [`network`]: connections that are slow, break, and lie about it; [`faults`]: what goes wrong;
//! - [`server`]: the server's ends of connections, which do what the transformers do, without bytes;
//! - [`client`] and [`carriers`]: the client's numbers, and how it attaches, repeats and gives up;
//! - [`application`]: the handler, what it knows, and what may be lost for which cause;
//! - [`run`]: one seed, and what has to hold in it; [`seeds`]: many of them.
//!
//! ```text
//! cargo test --release -p primus-core simulation -- --nocapture
//! PRIMUS_SEEDS=100000 cargo test …    so many seeds; 10,000 unless said, and 200 in a debug build
//! PRIMUS_SEED=4711 cargo test …       this seed alone
//! ```
//!
//! What must have gone wrong how often scales with the number of seeds ([`faults::Coverage::shortfalls`]).

mod application;
mod carriers;
mod client;
mod faults;
mod network;
mod rng;
mod run;
mod seeds;
mod server;

pub(crate) use self::rng::next_id;
