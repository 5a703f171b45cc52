//! Data frames that are whole messages, read where they lie.

use bytes::Bytes;
use primus_core::CloseReason;

use super::{Inflate, Received, compressed_bound};
use crate::frame::unmask;

/// A data frame that is a whole message, still masked.
pub(super) struct Whole {
    text: bool,
    compressed: bool,
    mask: [u8; 4],
    /// Where its payload begins in the input, and how long that is.
    at: usize,
    length: usize,
}

/// The frame that begins `input`, if it is a whole message and the whole of it is there.
#[inline]
pub(super) fn whole(input: &[u8], max: usize, may_be_compressed: bool) -> Option<Whole> {
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
    (length <= rest.len()).then(|| {
        let at = input.len() - rest.len();
        Whole { text, compressed, mask, at, length }
    })
}

impl Whole {
    /// Takes it from `input`, where its mask is taken off.
    #[inline]
    pub(super) fn read(
        self,
        input: &mut &mut [u8],
        max: usize,
        inflate: Option<&mut Inflate>,
    ) -> Result<Received, CloseReason> {
        let (frame, rest) = std::mem::take(input).split_at_mut(self.at + self.length);
        *input = rest;
        let payload = &mut frame[self.at..];
        unmask(payload, self.mask);
        if let Some(inflate) = inflate.filter(|_| self.compressed) {
            return Received::new(self.text, inflate.message(max, |it| it.push(payload))?);
        }
        if self.text {
            let text = simdutf8::basic::from_utf8(payload);
            text.map(|text| Received::Message(text.into())).map_err(|_| CloseReason::INVALID_TEXT)
        } else {
            Ok(Received::Message(Bytes::copy_from_slice(payload).into()))
        }
    }
}
