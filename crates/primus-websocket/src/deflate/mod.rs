//! Compressed messages: permessage-deflate (RFC 7692).
//!
//! ```text
//! handshake   offers ─▶ Agreed ─▶ answer
//! reading     first frame has RSV1 ─▶ whole message ─▶ Inflate, bounded ─▶ UTF-8 ─▶ message
//! writing     payload of `threshold` bytes ─▶ Deflate ─▶ frame with RSV1, one for all who agreed alike
//! ```
//!
//! Without context takeover, the default, a connection holds nothing for it: the states are the thread's,
//! and each message stands for itself, so that a broadcast is compressed once.

mod header;
mod inflate;
mod offer;
mod write;

use flate2::{Compression as Level, FlushCompress, FlushDecompress};

pub use self::write::Form;
pub(crate) use self::{
    inflate::{Inflate, compressed_bound},
    offer::{Agreed, negotiate},
    write::{Deflate, put_compressed},
};

/// The last bytes of what is flushed at a byte's boundary, an empty block: never sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
