//! The classic dialect (docs/protocol.md §7): what the stock Primus 8 client speaks, and, with the
//! parser `json`, its plugins `primus-emitter` (events and acks) and `primus-multiplex` (channels).
//! No I/O here.
//!
//! ```text
//! text ─▶ control string? ─▶ emitter packet? ─▶ multiplex packet of a channel? ─▶ data
//!                             {type,data,id}     [0|1|2,id,channel,payload]
//! ```

mod channels;
mod client;
mod emitter;
mod incoming;
mod multiplex;
mod walk;

pub use self::{
    client::{Classic, Rendering, Sink},
    incoming::Incoming,
};
