//! The tests of the whole: Rust integration tests in `tests/`, stock clients in `interop/` and Chromium in
//! `e2e/`, both of which drive the built examples. Here is what the Rust tests share.

pub mod certificate;
pub mod http;
pub mod narrow;
pub mod peer;
pub mod program;
pub mod server;
pub mod weighed;
pub mod ws;
