//! Data frames that are whole messages, read where they lie.

use primus_core::CloseReason;

use super::{Inflate, Received, compressed_bound};
use crate::frame::unmask;

/// What is compressed is unmasked on the stack, in pieces of this size: a multiple of the mask's.
const PIECE: usize = 4096;

/// A data frame that is a whole message, still masked.
pub(super) struct Whole<'a> {
    text: bool,
    compressed: bool,
    mask: [u8; 4],
    payload: &'a [u8],
}

/// The frame that begins `input`, if it is a whole message and the whole of it is there; and what
/// follows it.
pub(super) fn whole(
    input: &[u8],
    max: usize,
    may_be_compressed: bool,
) -> Option<(Whole<'_>, &[u8])> {
    let (&[first, second], rest) = input.split_first_chunk()?;
    let (text, compressed) = match first {
        0x81 => (true, false),
        0x82 => (false, false),
        0xc1 if may_be_compressed => (true, true),
        0xc2 if may_be_compressed => (false, true),
        _ => return None,
    };
    let max = if compressed { compressed_bound(max) } else { max };
    if second & 0x80 == 0 {
        return None; // a client's frames are masked (RFC 6455 §5.1)
    }
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= max)?;
    let (&mask, rest) = rest.split_first_chunk()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((Whole { text, compressed, mask, payload }, rest))
}

impl Whole<'_> {
    pub(super) fn read(
        self,
        max: usize,
        inflate: Option<&mut Inflate>,
    ) -> Result<Received, CloseReason> {
        let message = match inflate.filter(|_| self.compressed) {
            Some(inflate) => inflate.message(max, |inflating| {
                let mut plain = [0; PIECE];
                self.payload.chunks(PIECE).try_for_each(|masked| {
                    let plain = &mut plain[..masked.len()];
                    plain.copy_from_slice(masked);
                    unmask(plain, self.mask);
                    inflating.push(plain)
                })
            })?,
            None => {
                let mut message = self.payload.to_vec();
                unmask(&mut message, self.mask);
                message
            }
        };
        Received::new(self.text, message)
    }
}
