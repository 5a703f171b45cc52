//! SockJS as text: URLs, frames and payloads. No I/O and no clock; everything here is total.

pub(crate) mod callback;
pub(crate) mod escape;
pub(crate) mod frame;
pub(crate) mod payload;
pub(crate) mod url;
