//! What `brought` stands on; a model checker has its own.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
