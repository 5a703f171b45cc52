//! Frames that a server sends: never masked, so that one frame serves every receiver. And the mask of those
//! that it gets.

use bytes::{BufMut as _, Bytes};
use primus_core::{CloseReason, Payload};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// RSV1.
const COMPRESSED: u8 = 0x40;

/// The longest header of an unmasked frame.
pub(crate) const MAX_HEADER: usize = 10;

/// Appends the header of a whole message (RFC 6455 §5.2), with the shortest form of its length.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, payload: &Payload) {
    let first = if payload.is_binary() { BINARY } else { TEXT };
    put(out, first, payload.len());
}

#[inline(always)]
fn put(out: &mut Vec<u8>, first: u8, length: usize) {
    if length <= 125 {
        out.extend_from_slice(&[first, length as u8]);
    } else {
        put_long(out, first, length);
    }
}

#[inline(never)]
fn put_long(out: &mut Vec<u8>, first: u8, length: usize) {
    match length {
        ..=0xffff => {
            out.extend_from_slice(&[first, 126]);
            out.put_u16(length as u16);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.put_u64(length as u64);
        }
    }
}

/// The same for a payload that is compressed (RFC 7692 §6): the first reserved bit says so.
pub(crate) fn put_compressed_header(out: &mut Vec<u8>, binary: bool, length: usize) {
    put(out, COMPRESSED | if binary { BINARY } else { TEXT }, length);
}

/// A message as the one frame that a server sends it in: for all receivers the same. What a dialect makes of
/// one message may be several frames, one behind the other.
pub fn message(payload: &Payload) -> Bytes {
    let mut frame = Vec::with_capacity(MAX_HEADER + payload.len());
    put_message(&mut frame, payload);
    frame.into()
}

/// Appends the same.
#[inline]
pub(crate) fn put_message(out: &mut Vec<u8>, payload: &Payload) {
    put_header(out, payload);
    out.extend_from_slice(payload.as_bytes());
}

/// Frames that stay together; one alone is not copied.
pub(crate) fn join(frames: impl Iterator<Item = Bytes>) -> Bytes {
    let mut frames = frames.fuse();
    match (frames.next(), frames.next()) {
        (None, _) => Bytes::new(),
        (Some(one), None) => one,
        (Some(first), Some(second)) => {
            let mut all = [first, second].concat();
            frames.for_each(|frame| all.extend_from_slice(&frame));
            all.into()
        }
    }
}

/// Appends a ping without a payload.
pub(crate) fn put_ping(out: &mut Vec<u8>) {
    put(out, PING, 0);
}

/// Appends a close frame. Codes that must not be on the wire (RFC 6455 §7.4) are left out.
pub(crate) fn put_close(out: &mut Vec<u8>, reason: &CloseReason) {
    let code = reason.code();
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return put(out, CLOSE, 0);
    }
    let text = reason.frame_text();
    put(out, CLOSE, 2 + text.len());
    out.put_u16(code);
    out.extend_from_slice(text.as_bytes());
}

/// Takes the mask off (RFC 6455 §5.3), 32 bytes at a time, which is two registers of every machine of today.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (blocks, rest) = payload.as_chunks_mut::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks_mut::<4>();
        words.iter_mut().for_each(|word| *word = xor(*word, mask));
    }
    let (words, rest) = rest.as_chunks_mut::<4>();
    words.iter_mut().for_each(|word| *word = xor(*word, mask));
    rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

fn xor(word: [u8; 4], mask: [u8; 4]) -> [u8; 4] {
    (u32::from_ne_bytes(word) ^ u32::from_ne_bytes(mask)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        FrameHeader,
        coding::{Data, OpCode},
    };

    use super::*;

    #[test]
    fn headers_are_those_of_tungstenite() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            for (payload, data) in [
                (Payload::from("x".repeat(length)), Data::Text),
                (Payload::from(vec![0; length]), Data::Binary),
            ] {
                let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
                let mut expected = Vec::new();
                header.format(length as u64, &mut expected).unwrap();
                expected.extend_from_slice(payload.as_bytes());
                assert_eq!(message(&payload), expected);
            }
        }
    }

    #[test]
    fn close_frames() {
        let close = |reason: &CloseReason| {
            let mut out = Vec::new();
            put_close(&mut out, reason);
            out
        };
        assert_eq!(close(&CloseReason::ENDED), b"\x88\x07\x0f\xa0ended");
        assert_eq!(close(&CloseReason::from_code(1006, "lost")), b"\x88\x00");
        assert_eq!(close(&CloseReason::from_code(4100, "é".repeat(90))).len(), 2 + 2 + 122);
    }
}
