//! What is fuzzed, and what has to hold for any input whatever (docs/fuzzing.md).
//!
//! A target is a function of bytes that panics when something does not hold. cargo-fuzz runs it with bytes
//! that reach new code; `cargo test -p primus-fuzz` with those in `seeds/`, where every input that once was a
//! finding stays; and without either, `cargo run -p primus-fuzz --bin driver FILE` runs it with a file.
//!
//! All of it is outside the crates that it is about: servers in memory, driven through public items.

mod batches;
mod deflate;
mod driver;
mod frames;
mod handshake;
mod heap;
mod run;
mod server;
mod wire;

pub use self::{
    batches::batches, deflate::deflate, driver::driver, frames::frames, handshake::handshake,
    run::replay,
};
