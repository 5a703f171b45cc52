//! What is fuzzed, and what has to hold for any input whatever (docs/fuzzing.md).
//!
//! A target is a function of bytes that panics when something does not hold. cargo-fuzz runs it with bytes
//! that reach new code; `cargo test -p primus-fuzz` with those in `seeds/`, where every input that once was a
//! finding stays; and without either, `cargo run -p primus-fuzz --bin driver FILE` runs it with a file.
//!
//! All of it is outside the crates that it is about: servers in memory, driven through public items.

mod actioncable;
mod batches;
mod bayeux;
mod browserchannel;
mod deflate;
mod driver;
mod engineio;
mod frames;
mod handshake;
mod heap;
mod run;
mod server;
mod socketio;
mod sockjs;
mod wire;

pub use self::{
    actioncable::actioncable, batches::batches, bayeux::bayeux, browserchannel::browserchannel,
    deflate::deflate, driver::driver, engineio::engineio, frames::frames, handshake::handshake,
    run::replay, socketio::socketio, sockjs::sockjs,
};
