//! The protocol, version 8, as values: no I/O, no clock, no lock. Every parser is total.

pub mod arrays;
pub mod chunk;
pub mod json;
pub mod maps;
pub mod query;
pub mod rids;
