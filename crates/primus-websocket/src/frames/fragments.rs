//! Follows the frames of a stream while its bytes pass by (RFC 6455 §5.2), for what tungstenite does not do. It
//! judges a frame when all of it is there, however long that takes; reserves what a header announces, of which
//! nothing need ever come; and bounds the bytes of a message, not its frames, so a million empty ones would pass.
//!
//! So a frame is judged here by its header, as tungstenite would judge it. And what has come of a data frame is a
//! fragment for tungstenite, which thus holds what has come, and refuses a text by its first wrong byte.

use primus_core::CloseReason;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::RSV1;
use crate::deflate::compressed_bound;

/// The longest header of a masked frame.
const HEADER: usize = 14;
/// The longest payload of a control frame.
const CONTROL: u64 = 125;

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of a message.
    pub(super) message: usize,
    /// Frames of a message.
    pub(super) fragments: usize,
    /// Whether messages may be compressed, which was agreed on in the handshake.
    pub(super) compressed: bool,
}

/// Where in the stream it is.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    header: [u8; HEADER],
    have: u8,
    /// The one whose payload comes.
    frame: Option<Frame>,
    /// Frames of the current message, and bytes of their payloads.
    count: usize,
    size: u64,
    /// The current message has to be inflated, and then: it is text.
    pub(super) compressed: Option<bool>,
}

#[derive(Debug)]
struct Frame {
    fin: bool,
    /// Of its next piece.
    opcode: OpCode,
    mask: [u8; 4],
    /// Bytes of its payload that are still to come.
    left: u64,
}

/// What has come of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// What tungstenite is to see in front of it, with its length.
    pub(super) header: Option<(FrameHeader, u64)>,
    pub(super) payload: &'a [u8],
}

impl Fragments {
    /// Takes what belongs to one frame from the input. `None`: there is none of its payload yet.
    ///
    /// # Errors
    /// When the frame is wrong, or too much.
    pub(super) fn next<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Piece<'a>>, CloseReason> {
        let mut begins = false;
        while self.frame.is_none() {
            let Some(byte) = input.split_off_first_mut() else { return Ok(None) };
            self.header[usize::from(self.have)] = *byte;
            self.have += 1;
            if let Some((length, mask)) = self.complete() {
                self.have = 0;
                self.frame = Some(self.begin(length, mask, limits)?);
                begins = true;
            }
        }
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let length = usize::try_from(frame.left).unwrap_or(usize::MAX).min(input.len());
        let Some(payload) = input.split_off_mut(..length) else { return Ok(None) };
        let header = frame.piece(payload.len() as u64, begins);
        if frame.left == 0 {
            if frame.fin && matches!(frame.opcode, OpCode::Data(_)) {
                (self.count, self.size) = (0, 0);
            }
            self.frame = None;
        }
        Ok(Some(Piece { header, payload }))
    }

    /// Whether all that has been seen are whole messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.have == 0 && self.frame.is_none() && self.count == 0
    }

    /// The length of the payload and its mask, if it has one, once the header is complete.
    fn complete(&self) -> Option<(u64, Option<[u8; 4]>)> {
        let have = usize::from(self.have);
        if have < 2 {
            return None;
        }
        let masked = self.header[1] & 0x80 != 0;
        let (length, payload) = match self.header[1] & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([self.header[2], self.header[3]]))),
            127 => (10, self.header[2..10].iter().fold(0, |n, b| n << 8 | u64::from(*b))),
            short => (2, u64::from(short)),
        };
        if !masked {
            return (have == length).then_some((payload, None));
        }
        (have == length + 4).then(|| (payload, self.header[..have].last_chunk().copied()))
    }

    /// Judges a frame whose header is complete: where several things are wrong, as tungstenite does.
    fn begin(
        &mut self,
        length: u64,
        mask: Option<[u8; 4]>,
        limits: &Limits,
    ) -> Result<Frame, CloseReason> {
        let first = self.header[0];
        let fin = first & 0x80 != 0;
        let mut opcode = OpCode::from(first & 0x0f);
        let in_message = self.count > 0;
        let compressed = limits.compressed
            && first & 0x70 == RSV1
            && matches!(opcode, OpCode::Data(Data::Text | Data::Binary))
            && !in_message;
        if compressed {
            self.compressed = Some(opcode == OpCode::Data(Data::Text));
            opcode = OpCode::Data(Data::Binary);
        }
        let max = match self.compressed {
            Some(_) => compressed_bound(limits.message),
            None => limits.message,
        } as u64;
        let sound = match opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(CloseReason::PROTOCOL_ERROR);
            }
            OpCode::Control(_) => fin && length <= CONTROL,
            OpCode::Data(Data::Continue) => in_message,
            OpCode::Data(_) => !in_message,
        };
        if length > max {
            return Err(CloseReason::TOO_BIG);
        }
        let reserved = first & 0x70 & if compressed { !RSV1 } else { 0xff };
        let Some(mask) = mask.filter(|_| sound && reserved == 0) else {
            return Err(CloseReason::PROTOCOL_ERROR);
        };
        if matches!(opcode, OpCode::Data(_)) {
            self.count += 1;
            self.size = self.size.saturating_add(length);
            if self.count > limits.fragments {
                return Err(CloseReason::POLICY.with_text("too many fragments"));
            }
            if self.size > max {
                return Err(CloseReason::TOO_BIG);
            }
        }
        Ok(Frame { fin, opcode, mask, left: length })
    }
}

impl Frame {
    /// Goes on by so many bytes. What is to be seen in front of them: of a data frame each piece is a fragment, of
    /// which the first says what they are; a control frame cannot be in fragments.
    fn piece(&mut self, length: u64, begins: bool) -> Option<(FrameHeader, u64)> {
        let all = self.left;
        self.left -= length;
        let header =
            FrameHeader { opcode: self.opcode, mask: Some(self.mask), ..FrameHeader::default() };
        if matches!(self.opcode, OpCode::Control(_)) {
            return begins.then_some((header, all));
        }
        self.opcode = OpCode::Data(Data::Continue);
        self.mask.rotate_left((length % 4) as usize);
        Some((FrameHeader { is_final: self.fin && self.left == 0, ..header }, length))
    }
}
