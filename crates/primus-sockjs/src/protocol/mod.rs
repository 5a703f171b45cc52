//! SockJS as text: URLs, frames and payloads. No I/O and no clock; everything here is total, and every function takes bytes of
//! anybody.

pub mod callback;
pub mod escape;
pub mod frame;
pub mod payload;
pub mod url;
