//! What another library makes of a compressed message: miniz_oxide, which has nothing of zlib.

use miniz_oxide::{
    DataFormat, MZError, MZFlush,
    inflate::{
        TINFLStatus,
        core::{
            DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        },
        stream::{InflateState, inflate as step},
    },
};

/// What is taken off the end of a message (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// An empty last block: it can be read behind a message that is whole.
const LAST: [u8; 2] = [0x03, 0x00];

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    Message(Vec<u8>),
    TooBig,
    Invalid,
}

/// A message that stands for itself.
pub(super) fn inflate(piece: &[u8], max: usize) -> Inflated {
    if piece.is_empty() {
        return Inflated::Message(Vec::new());
    }
    // One that ends with a last block needs nothing behind it.
    let (ended, message) = blocks(piece, max);
    if ended || message.len() > max {
        return found(ended, message, max);
    }
    // Otherwise the tail ends it, and then nothing but a last block follows: what was cut in the midst of a block
    // would take either for data.
    let (_, tailed) = blocks(&[piece, &TAIL].concat(), max);
    let (ended, message) = blocks(&[piece, &TAIL, &LAST].concat(), max);
    found(ended && message.len() == tailed.len(), message, max)
}

fn found(whole: bool, message: Vec<u8>, max: usize) -> Inflated {
    match whole {
        _ if message.len() > max => Inflated::TooBig,
        true => Inflated::Message(message),
        false => Inflated::Invalid,
    }
}

/// Whether `piece` is blocks up to a last one, and what is in them. Others may follow a last one (RFC 7692 §7.2.3.4).
fn blocks(mut piece: &[u8], max: usize) -> (bool, Vec<u8>) {
    let mut message = Vec::new();
    loop {
        // Not the stream's functions, for which there are zeros before the first byte.
        let mut out = vec![0; max + 1 - message.len()];
        let mut state = DecompressorOxide::new();
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut state, piece, &mut out, 0, flags);
        message.extend_from_slice(&out[..written]);
        piece = &piece[read..];
        if status != TINFLStatus::Done || message.len() > max || piece.is_empty() {
            return (status == TINFLStatus::Done && piece.is_empty(), message);
        }
    }
}

/// What a client keeps to inflate what a server sends.
#[derive(Default)]
pub(super) struct Window(Option<Box<InflateState>>);

impl Window {
    /// A message of the server, which is right, or the server is not.
    pub(super) fn message(&mut self, piece: &[u8], takeover: bool) -> Vec<u8> {
        if !takeover {
            self.0 = None;
        }
        let state = self.0.get_or_insert_with(|| InflateState::new_boxed(DataFormat::Raw));
        let piece = [piece, &TAIL].concat();
        let (mut rest, mut message, mut buffer) = (&piece[..], Vec::new(), [0; 4096]);
        loop {
            let done = step(state, rest, &mut buffer, MZFlush::Sync);
            message.extend_from_slice(&buffer[..done.bytes_written]);
            rest = &rest[done.bytes_consumed..];
            match done.status {
                Ok(_) if !rest.is_empty() || done.bytes_written == buffer.len() => {}
                Ok(_) | Err(MZError::Buf) => return message,
                Err(error) => panic!("the server's message cannot be inflated: {error:?}"),
            }
        }
    }
}
