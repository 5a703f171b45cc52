//! How many requests have come, for a test that has to know that its poll waits before it goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use primus::{FromFn, Kind, Place, Primus, core::request::text};
use primus_examples::Result;

/// Answers `GET <path>/?asked` with the number of all others.
pub(crate) fn count(primus: &Primus) -> Result {
    let asked = AtomicU64::new(0);
    let count = FromFn::new(move |head| {
        if head.uri.query() == Some("asked") {
            return Some(text(StatusCode::OK, asked.load(Ordering::SeqCst).to_string()));
        }
        asked.fetch_add(1, Ordering::SeqCst);
        None
    });
    Ok(primus.middleware().add("asked", Kind::Both, Place::Last, count)?)
}
