//! Polling, and the POSTs that it shares with the event stream, driven by requests.

mod conversations;
#[path = "../driver/mod.rs"]
mod driver;
mod ends;
mod plain;
mod posts;
mod resumable;
