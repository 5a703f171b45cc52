//! Data frames that are whole messages, read where they lie.

use bytes::Bytes;
use primus_core::Payload;

use crate::frame::unmask;

/// A frame of which everything is there, still masked.
struct Whole {
    first: u8,
    mask: [u8; 4],
    /// Where its payload is in the input.
    begin: usize,
    end: usize,
}

impl Whole {
    #[inline]
    fn at(input: &[u8], max: usize) -> Option<Self> {
        let (&[first, second], rest) = input.split_first_chunk()?;
        if second & 0x80 == 0 {
            return None; // a client's frames are masked (RFC 6455 §5.1)
        }
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
            }
            short => (usize::from(short), rest),
        };
        let (&mask, rest) = rest.split_first_chunk()?;
        if length > max || length > rest.len() {
            return None;
        }
        let begin = input.len() - rest.len();
        Some(Self { first, mask, begin, end: begin + length })
    }

    /// Its payload, unmasked.
    #[inline]
    fn payload<'a>(&self, input: &'a mut [u8]) -> &'a mut [u8] {
        let payload = &mut input[self.begin..self.end];
        unmask(payload, self.mask);
        payload
    }

    /// Takes it from the input.
    #[inline]
    fn take(&self, input: &mut &mut [u8]) {
        *input = &mut std::mem::take(input)[self.end..];
    }
}

/// Takes the message that begins `input`, if it is one frame and right. `None`: nothing was taken.
#[inline(always)]
pub(super) fn plain(input: &mut &mut [u8], max: usize) -> Option<Payload> {
    if !matches!(input.first(), Some(0x81 | 0x82)) {
        return None;
    }
    let whole = Whole::at(input, max)?;
    let payload = whole.payload(input);
    let message = if whole.first == 0x82 {
        Bytes::copy_from_slice(payload).into()
    } else if let Ok(text) = simdutf8::basic::from_utf8(payload) {
        text.into()
    } else {
        unmask(payload, whole.mask); // tungstenite says what is wrong with it
        return None;
    };
    whole.take(input);
    Some(message)
}
