//! Follows the frames of a stream while its bytes pass by (RFC 6455 §5.2), for what tungstenite does not do:
//! it bounds the bytes of a message, not the pieces, so a million empty fragments would pass; and it looks
//! at the text of a frame when all of it is there, however long that takes.

use crate::{frame::unmask, utf8::Utf8};

/// The longest header of a masked frame.
const HEADER: usize = 14;
/// Text is unmasked on the stack, in pieces of this size.
const PIECE: usize = 512;

/// Where in the stream it is.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    header: [u8; HEADER],
    have: u8,
    /// Payload bytes of the current frame that are still to come.
    skip: u64,
    /// Frames of the current message.
    count: usize,
    /// The text of the current message, as far as it has come. `None`: it is no text.
    text: Option<Utf8>,
    /// The mask of the current frame, if that is a piece of the text. Its first byte is for the next.
    mask: Option<[u8; 4]>,
}

/// What comes next in the stream: some bytes of one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) length: usize,
    /// What of it is payload.
    payload: usize,
}

/// There are more fragments than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Fragments {
    /// How many of the next bytes of the stream belong to the current frame: up to its end, or all.
    ///
    /// # Errors
    /// When the frame is one fragment of a message more than `max`.
    pub(crate) fn frame(&mut self, bytes: &[u8], max: usize) -> Result<Piece, TooMany> {
        let mut at = 0;
        while self.skip == 0 {
            let Some(byte) = bytes.get(at) else { return Ok(Piece { length: at, payload: 0 }) };
            self.header[usize::from(self.have)] = *byte;
            self.have += 1;
            at += 1;
            if let Some(length) = self.complete() {
                self.skip = length;
                self.begin(max)?;
                self.have = 0;
                if length == 0 {
                    return Ok(Piece { length: at, payload: 0 });
                }
            }
        }
        let payload = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len() - at);
        self.skip -= payload as u64;
        Ok(Piece { length: at + payload, payload })
    }

    /// Whether the text of the message can still be UTF-8, with these bytes of `piece`.
    #[must_use]
    pub(crate) fn is_text(&mut self, bytes: &[u8], piece: &Piece) -> bool {
        let (Some(text), Some(mask)) = (&mut self.text, &mut self.mask) else { return true };
        let mut plain = [0; PIECE];
        bytes[piece.length - piece.payload..].chunks(PIECE).all(|masked| {
            let plain = &mut plain[..masked.len()];
            plain.copy_from_slice(masked);
            unmask(plain, *mask);
            mask.rotate_left(masked.len() % 4);
            text.push(plain)
        })
    }

    /// Whether the next byte is the first of a frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Whether the next data frame goes on with a message.
    pub(crate) fn is_in_message(&self) -> bool {
        self.count > 0
    }

    /// Whether all that has been seen are whole messages.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.is_between_frames() && !self.is_in_message()
    }

    /// The length of the payload, once the header is complete.
    fn complete(&self) -> Option<u64> {
        let have = usize::from(self.have);
        if have < 2 {
            return None;
        }
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        let (length, payload) = match self.header[1] & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([self.header[2], self.header[3]]))),
            127 => (10, self.header[2..10].iter().fold(0, |n, b| n << 8 | u64::from(*b))),
            short => (2, u64::from(short)),
        };
        (have == length + mask).then_some(payload)
    }

    /// Takes note of a frame whose header is complete.
    fn begin(&mut self, max: usize) -> Result<(), TooMany> {
        let [first, second, ..] = self.header;
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        self.mask = None;
        if opcode >= 8 {
            return Ok(());
        }
        if opcode != 0 {
            self.text = (opcode == 1).then(Utf8::default);
        }
        // What is wrong with the frame itself is for tungstenite to say.
        let sound =
            first & 0x70 == 0 && second & 0x80 != 0 && (opcode != 0) != self.is_in_message();
        if sound && self.text.is_some() {
            self.mask = self.header[..usize::from(self.have)].last_chunk().copied();
        }
        self.count = if opcode == 0 { self.count + 1 } else { 1 };
        if self.count > max {
            return Err(TooMany);
        }
        if fin {
            self.count = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame with a payload of `length` zeros.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..=125 => frame.push(0x80 | length as u8),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0; 4 + length]);
        frame
    }

    /// How much of a stream that comes in chunks passes, and whether that ends a message.
    fn pass(stream: &[u8], chunk: usize, max: usize) -> (usize, bool) {
        let (mut fragments, mut passed) = (Fragments::default(), 0);
        for mut chunk in stream.chunks(chunk) {
            while !chunk.is_empty() {
                let Ok(piece) = fragments.frame(chunk, max) else { return (passed, false) };
                chunk = &chunk[piece.length..];
                passed += piece.length;
            }
        }
        (passed, fragments.is_between_messages())
    }

    #[test]
    fn pieces_are_counted_across_any_chunking() {
        // text, ping in the midst, two continuations (one empty), then a new message
        let stream: Vec<u8> =
            [frame(0x01, 70_000), frame(0x89, 5), frame(0x00, 0), frame(0x80, 300), frame(0x82, 1)]
                .concat();
        for chunk in [1, 2, 3, 7, 1000, stream.len()] {
            assert_eq!(pass(&stream, chunk, 3), (stream.len(), true), "{chunk}");
            // Up to the frame with the third piece, or that piece of it whose header is complete.
            let (passed, between) = pass(&stream, chunk, 2);
            let third = stream.len() - frame(0x82, 1).len() - frame(0x80, 300).len();
            assert!((third..third + 8).contains(&passed) && !between, "{chunk}: {passed}");
        }
    }

    #[test]
    fn a_message_in_one_piece_is_one_fragment() {
        let mut fragments = Fragments::default();
        for _ in 0..1000 {
            assert_eq!(fragments.frame(&frame(0x81, 3), 1), Ok(Piece { length: 9, payload: 3 }));
            assert!(fragments.is_between_messages());
        }
    }
}
