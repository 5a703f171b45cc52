//! The client's side of WebSocket frames (RFC 6455), no more than a load generator needs.

/// Frames are masked once and sent often, so one key serves all.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Appends a masked frame, as a client sends it.
pub(crate) fn masked(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    head(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// A text frame as a server sends it, to compare with.
pub(crate) fn from_server(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 10);
    head(&mut out, TEXT, text.len(), 0);
    out.extend_from_slice(text);
    out
}

fn head(out: &mut Vec<u8>, opcode: u8, length: usize, mask: u8) {
    out.push(0x80 | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(mask | short),
        (_, Ok(medium)) => {
            out.push(mask | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) last: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes of the whole frame.
    pub(crate) length: usize,
}

/// The frame at the front of `input`, or `None` while it is not whole.
///
/// # Errors
/// What a server must not send.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err("a frame with reserved bits");
    }
    let (extra, length) = match second {
        0..=125 => (0, u64::from(*second)),
        126 => match rest {
            [a, b, ..] => (2, u64::from(u16::from_be_bytes([*a, *b]))),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(bytes) => (8, u64::from_be_bytes(*bytes)),
            None => return Ok(None),
        },
        128.. => return Err("a masked frame"),
    };
    let Ok(length) = usize::try_from(length) else { return Err("a frame that is too long") };
    let Some(payload) = rest.get(extra..).and_then(|rest| rest.get(..length)) else {
        return Ok(None);
    };
    let (last, opcode) = (first & 0x80 != 0, first & 15);
    Ok(Some(Frame { last, opcode, payload, length: 2 + extra + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_every_length_is_read_when_it_is_whole_and_not_before() {
        for length in [0, 1, 125, 126, 65535, 65536] {
            let text = vec![b'x'; length];
            let frame = from_server(&text);
            let read = parse(&frame).unwrap().unwrap();
            assert_eq!((read.payload, read.length), (&*text, frame.len()));
            assert!(read.last && read.opcode == TEXT);
            assert_eq!(parse(&frame[..frame.len() - 1]), Ok(None), "{length}");
        }
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[0x81, 127, 0, 0]), Ok(None));
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        let mut out = Vec::new();
        masked(&mut out, TEXT, b"hello");
        assert_eq!(out[..2], [0x81, 0x80 | 5]);
        let clear: Vec<u8> =
            out[6..].iter().zip(out[2..6].iter().cycle()).map(|(b, k)| b ^ k).collect();
        assert_eq!(clear, b"hello");
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let mut out = Vec::new();
        masked(&mut out, TEXT, b"x");
        assert_eq!(parse(&out), Err("a masked frame"));
        assert_eq!(parse(&[0xc1, 0]), Err("a frame with reserved bits"));
    }
}
