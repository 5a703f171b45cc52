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
    /// Looks at the next bytes of the stream. How many of them may be parsed: fewer than there are
    /// when a message has more than `max` fragments.
    #[must_use]
    pub(crate) fn pass(&mut self, bytes: &[u8], max: usize) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.skip -= step as u64;
                at += step;
                continue;
            }
            self.header[usize::from(self.have)] = bytes[at];
            self.have += 1;
            if let Some(rest) = self.complete() {
                self.have = 0;
                self.skip = rest;
                if !self.count_frame(max) {
                    return at;
                }
            }
            at += 1;
        }
        at
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

    #[test]
    fn pieces_are_counted_across_any_chunking() {
        // text, ping in the midst, two continuations (one empty), then a new message
        let stream: Vec<u8> =
            [frame(0x01, 70_000), frame(0x89, 5), frame(0x00, 0), frame(0x80, 300), frame(0x82, 1)]
                .concat();
        for chunk in [1, 2, 3, 7, 1000, stream.len()] {
            let mut fragments = Fragments::default();
            for chunk in stream.chunks(chunk) {
                assert_eq!(fragments.pass(chunk, 3), chunk.len());
            }
            let mut fragments = Fragments::default();
            let mut sum = 0;
            for chunk in stream.chunks(chunk) {
                let passed = fragments.pass(chunk, 2);
                sum += passed;
                if passed < chunk.len() {
                    break;
                }
            }
            // Up to the last byte of the header of the third piece.
            assert_eq!(sum, stream.len() - frame(0x82, 1).len() - 300 - 4 - 1, "{chunk}");
        }
    }

    #[test]
    fn a_message_in_one_piece_is_one_fragment() {
        let mut fragments = Fragments::default();
        for _ in 0..1000 {
            assert_eq!(fragments.pass(&frame(0x81, 3), 1), 9);
        }
    }
}
