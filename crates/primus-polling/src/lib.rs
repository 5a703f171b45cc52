//! The long-polling transformer: a GET is held until there is something to say.
//!
//! It exists for networks that let nothing else through, and for clients that are nothing but
//! `fetch` or `curl`. Between two polls a session is parked: it costs no task and no connection.
//! Our own client attaches by `POST {path}/poll?v=2`, a bare one by `GET {path}/poll`
//! (docs/protocol.md §4, §8). What they POST is served by [`primus_http::post`], which the event
//! stream uses too.
//!
//! ```text
//! POST /poll?v=2 ──attach──▶ answer: attach + what is there ──park──┐
//!                                                                   ▼
//! GET /poll + token ──unpark, rewind──▶ held ──work, or 25 s──park──▶ parked ──10 s──▶ detached
//!                                        └──the end──▶ last answer ──▶ ended
//! ```

#![deny(clippy::unwrap_used)]

mod batch;
mod farewell;
mod held;
mod transformer;

pub use transformer::Polling;
