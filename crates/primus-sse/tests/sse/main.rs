//! The event stream, driven by requests.

#[path = "../../../primus-polling/tests/driver/mod.rs"]
mod driver;
mod plain;
mod resumable;
mod urls;
