//! The native protocol (`docs/protocol.md`): what the `websocket`, `sse` and `polling` transformers
//! share. No I/O, no clock.

mod attach;
mod frame;
mod line;

pub(crate) use self::frame::heading;
pub use self::{
    attach::{AttachError, ClientAttach, Resume, ServerAttach, ack_frame, end_frame, refuse_frame},
    frame::{Frame, FrameError, escape, frame, from_client, has_head, parse, plain, read_message},
    line::{decode_line, encode_line, lines},
};
