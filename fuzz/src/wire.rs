//! Frames of a WebSocket as they lie on the wire (RFC 6455 §5.2), written and read as simply as can be.

/// A frame that a server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, RSV1 to RSV3, opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn is_control(&self) -> bool {
        self.first & 0x08 != 0
    }

    /// Of a close frame that has one.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        code.filter(|_| self.first == 0x88)
    }
}

/// The frames of a server, which are whole and not masked.
pub(crate) fn read(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => {
                let (length, rest) = rest.split_first_chunk().expect("a length of 16 bits");
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk().expect("a length of 64 bits");
                (u64::from_be_bytes(*length) as usize, rest)
            }
            length => (usize::from(*length), rest),
        };
        assert!(length <= rest.len(), "a frame of {length} bytes was cut to {}", rest.len());
        let (payload, rest) = rest.split_at(length);
        frames.push(Frame { first: *first, payload: payload.to_vec() });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame was cut in its first byte");
    frames
}

/// Adds the frame of a client. The mask is zero, so that what a fuzzer changes is what the server reads.
pub(crate) fn put(stream: &mut Vec<u8>, first: u8, payload: &[u8]) {
    stream.push(first);
    match payload.len() {
        length @ 0..=125 => stream.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            stream.push(0x80 | 126);
            stream.extend((length as u16).to_be_bytes());
        }
        length => {
            stream.push(0x80 | 127);
            stream.extend((length as u64).to_be_bytes());
        }
    }
    stream.extend([0; 4]);
    stream.extend(payload);
}
