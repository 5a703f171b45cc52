//! Counts the fragments of a message while its bytes pass by. tungstenite bounds the bytes of a
//! message, not the pieces: a million empty fragments would pass.

/// Follows frame boundaries (RFC 6455 §5.2) without looking at payloads.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    header: [u8; 10],
    have: u8,
    /// Payload and mask bytes of the current frame that are still to come.
    skip: u64,
    count: usize,
}

impl Fragments {
    /// How many of the next bytes of the stream belong to the current frame: up to its end, or all.
    /// `None` when it is one fragment of a message more than `max`.
    #[must_use]
    pub(crate) fn frame(&mut self, bytes: &[u8], max: usize) -> Option<usize> {
        let mut at = 0;
        while self.skip == 0 {
            let Some(byte) = bytes.get(at) else { return Some(at) };
            self.header[usize::from(self.have)] = *byte;
            self.have += 1;
            at += 1;
            if let Some(rest) = self.complete() {
                self.have = 0;
                self.skip = rest;
                if !self.count_frame(max) {
                    return None;
                }
                if rest == 0 {
                    return Some(at);
                }
            }
        }
        let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len() - at);
        self.skip -= step as u64;
        Some(at + step)
    }

    /// Whether all that has been seen are whole messages.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.have == 0 && self.skip == 0 && self.count == 0
    }

    /// The bytes that follow the length, once the length is known.
    fn complete(&self) -> Option<u64> {
        let have = usize::from(self.have);
        if have < 2 {
            return None;
        }
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        let length = match self.header[1] & 0x7f {
            126 if have == 4 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 if have == 10 => self.header[2..].iter().fold(0, |n, b| n << 8 | u64::from(*b)),
            126 | 127 => return None,
            short => u64::from(short),
        };
        Some(length.saturating_add(mask))
    }

    fn count_frame(&mut self, max: usize) -> bool {
        let (fin, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        if opcode < 8 {
            self.count = if opcode == 0 { self.count + 1 } else { 1 };
            if self.count > max {
                return false;
            }
            if fin {
                self.count = 0;
            }
        }
        true
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
                let Some(frame) = fragments.frame(chunk, max) else { return (passed, false) };
                chunk = &chunk[frame..];
                passed += frame;
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
            assert!((third..third + 4).contains(&passed) && !between, "{chunk}: {passed}");
        }
    }

    #[test]
    fn a_message_in_one_piece_is_one_fragment() {
        let mut fragments = Fragments::default();
        for _ in 0..1000 {
            assert_eq!(fragments.frame(&frame(0x81, 3), 1), Some(9));
            assert!(fragments.is_between_messages());
        }
    }
}
