//! Tests of compressed messages: streams of them, and what may not be in such a stream.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::*;
use crate::deflate::{Inflate, compressed_bound};

/// The opcodes of data (RFC 6455 §5.2).
const TEXT: u8 = 1;
const BINARY: u8 = 2;

const MAX: usize = 64 << 10;

/// A client that compresses, with or without context takeover.
struct Client {
    state: Compress,
    takeover: bool,
}

impl Client {
    fn new(takeover: bool) -> Self {
        let level = Compression::default();
        Self { state: Compress::new_with_window_bits(level, false, 15), takeover }
    }

    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.state.reset();
        }
        let mut out = Vec::with_capacity(payload.len() * 2 + 100);
        self.state.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.len() < out.capacity());
        // zlib flushes nothing twice: an empty message behind another has no byte at all.
        out.truncate(out.len().saturating_sub(4));
        out
    }

    /// A message in so many frames, with a ping behind each but the last.
    fn message(&mut self, message: &Sent) -> Vec<u8> {
        let (opcode, bytes) = match &message.content {
            Received::Message(message) if message.is_binary() => (BINARY, message.as_bytes()),
            Received::Message(message) => (TEXT, message.as_bytes()),
            _ => unreachable!("only data is sent"),
        };
        let payload = if message.compressed { self.compress(bytes) } else { bytes.to_vec() };
        let size = payload.len().div_ceil(message.frames).max(1);
        let mut pieces: Vec<&[u8]> = payload.chunks(size).collect();
        if pieces.is_empty() {
            pieces.push(b"");
        }
        let mut stream = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let fin = if index + 1 == pieces.len() { 0x80 } else { 0 };
            let first = if index > 0 { 0 } else { opcode | (u8::from(message.compressed) * RSV1) };
            stream.extend(frame(fin | first, piece));
            if fin == 0 {
                stream.extend(frame(0x89, b"ping"));
            }
        }
        stream
    }
}

#[derive(Debug, Clone)]
struct Sent {
    content: Received,
    compressed: bool,
    frames: usize,
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn frames(takeover: bool) -> Frames {
    let inflate = if takeover { Inflate::Kept(None) } else { Inflate::Each };
    Frames::new(MAX, 1000).inflating(Some(inflate))
}

/// What a stream says that comes in such chunks, and how it fails.
fn read(frames: &mut Frames, stream: &[u8], chunk: usize) -> (Vec<Received>, Option<CloseReason>) {
    let (mut out, mut received) = (Out::default(), Vec::new());
    for input in stream.chunks(chunk.max(1)) {
        let mut input = &mut input.to_vec()[..];
        while !input.is_empty() {
            match frames.next(&mut input, &mut out) {
                Ok(message) => received.extend(message),
                Err(reason) => return (received, Some(reason)),
            }
        }
    }
    (received, None)
}

fn code(stream: &[u8]) -> Option<u16> {
    let codes = [1, 7, stream.len()].map(|chunk| {
        let (received, error) = read(&mut frames(false), stream, chunk);
        assert_eq!(received, []);
        error.map(|error| error.code())
    });
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    codes[0]
}

fn sent() -> impl Strategy<Value = Sent> {
    let content = prop_oneof![
        4 => "[a-zé€😀]{0,40}".prop_map(|text| Received::Message(text.into())),
        1 => "[ab]{500,3000}".prop_map(|text| Received::Message(text.into())),
        1 => proptest::collection::vec(any::<u8>(), 0..3000)
            .prop_map(|bytes| Received::Message(bytes.into())),
    ];
    (content, prop::bool::weighted(0.8), 1..5usize).prop_map(|(content, compressed, frames)| Sent {
        content,
        compressed,
        frames,
    })
}

proptest! {
    #[test]
    fn compressed_and_plain_messages_arrive_however_they_are_cut(
        messages in proptest::collection::vec(sent(), 0..8),
        takeover in any::<bool>(),
        chunk in prop_oneof![1..20usize, 20..5000usize],
    ) {
        let mut client = Client::new(takeover);
        let stream: Vec<u8> = messages.iter().flat_map(|one| client.message(one)).collect();
        let mut frames = frames(takeover);
        let (received, error) = read(&mut frames, &stream, chunk);
        prop_assert_eq!(error, None);
        let contents: Vec<_> = messages.into_iter().map(|one| one.content).collect();
        prop_assert_eq!(received, contents);
        prop_assert!(frames.slow.is_none());
    }

    #[test]
    fn damaged_streams_harm_nobody(
        messages in proptest::collection::vec(sent(), 1..8),
        takeover in any::<bool>(),
        chunk in 1..3000usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut client = Client::new(takeover);
        let mut stream: Vec<u8> = messages.iter().flat_map(|one| client.message(one)).collect();
        for (index, byte) in damage {
            let index = index.index(stream.len());
            stream[index] = byte;
        }
        // However it is cut, it says the same, as far as it goes.
        let (received, error) = read(&mut frames(takeover), &stream, chunk);
        let (whole, reason) = read(&mut frames(takeover), &stream, stream.len());
        if reason.is_none() && error.is_some() {
            prop_assert_eq!(error, Some(CloseReason::INVALID_TEXT)); // seen before the frame is complete
            prop_assert_eq!(received, whole);
        } else {
            prop_assert_eq!((received, error), (whole, reason));
        }
    }
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_message_and_only_where_it_was_agreed_on() {
    let hello = Client::new(false).compress(b"Hello");
    assert_eq!(hello, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]); // RFC 7692 §7.2.3.1
    let message = frame(0xc1, &hello);
    let (received, error) = read(&mut frames(false), &message, 3);
    assert_eq!((received, error), (vec![Received::Message("Hello".into())], None));
    // Nothing was agreed on.
    for chunk in [1, message.len()] {
        let (received, error) = read(&mut Frames::new(MAX, 9), &message, chunk);
        assert_eq!((received, error), (vec![], Some(CloseReason::PROTOCOL_ERROR)));
    }
    let begins = frame(0x41, &hello[..3]);
    for (what, stream) in [
        ("a ping", frame(0xc9, b"")),
        ("a close", frame(0xc8, b"")),
        ("a continuation", [begins.clone(), frame(0xc0, &hello[3..])].concat()),
        ("a continuation of plain text", [frame(0x01, b"a"), frame(0xc0, b"b")].concat()),
        ("a continuation of nothing", frame(0xc0, b"b")),
        ("a message in the midst of another", [begins.clone(), message].concat()),
        ("a plain one there", [begins, frame(0x81, b"a")].concat()),
        ("RSV2 beside it", frame(0xe1, &hello)),
        ("RSV3 beside it", frame(0xd1, &hello)),
        ("an opcode that is none", frame(0xc3, &hello)),
        ("a frame without a mask", [&[0xc1, hello.len() as u8][..], &hello].concat()),
    ] {
        assert_eq!(code(&stream), Some(1002), "{what}");
    }
}

#[test]
fn what_is_no_compressed_text_is_1007() {
    let not_utf8 = Client::new(false).compress(b"abc\xff");
    let hello = Client::new(false).compress(b"Hello");
    // A hundred bytes as they are, of which two come: what stands behind them would be read for the others.
    let stored = [0x00, 100, 0x00, 0xff - 100, 0xff, b'H', b'e'];
    for (what, first, payload) in [
        ("not UTF-8", 0xc1, &not_utf8[..]),
        ("not deflate", 0xc1, &[0xff, 0xff, 0xff]),
        ("cut in a block", 0xc1, &hello[..4]),
        ("cut in a block, and no text", 0xc2, &hello[..4]),
        ("cut in a stored block", 0xc1, &stored),
        ("cut in a stored block, and no text", 0xc2, &stored),
        ("with its tail", 0xc1, &[&hello[..], &[0, 0, 0xff]].concat()),
    ] {
        assert_eq!(code(&frame(first, payload)), Some(1007), "{what}");
        let pieces = [frame(first & 0x7f, payload), frame(0x80, b"")].concat();
        assert_eq!(code(&pieces), Some(1007), "{what}");
    }
    let binary = frame(0xc2, &not_utf8);
    let (received, error) = read(&mut frames(false), &binary, 5);
    assert_eq!((received, error), (vec![Received::Message(b"abc\xff".to_vec().into())], None));
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7692 §7.2.3: a last block, a stored one, two blocks, an empty message. Then what is not quite right:
    // a message without any byte, and a last block without the empty one behind it.
    for (payload, text) in [
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00][..], "Hello"),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
        (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
        (&[0x00], ""),
        (&[], ""),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
    ] {
        for takeover in [false, true] {
            for chunk in [1, 100] {
                let (received, error) = read(&mut frames(takeover), &frame(0xc1, payload), chunk);
                assert_eq!((received, error), (vec![Received::Message(text.into())], None));
            }
        }
    }
    // A second message that refers to the first (§7.2.3.2), which needs context takeover.
    let both = [
        frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        frame(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00]),
    ]
    .concat();
    let hello = || Received::Message("Hello".into());
    assert_eq!(read(&mut frames(true), &both, 4), (vec![hello(), hello()], None));
    let (received, error) = read(&mut frames(false), &both, 4);
    assert_eq!((received, error.map(|error| error.code())), (vec![hello()], Some(1007)));
}

#[test]
fn a_message_is_bounded_while_it_is_inflated() {
    let message = |length: usize, compressed: bool| {
        let content = Received::Message(vec![7; length].into());
        Client::new(false).message(&Sent { content, compressed, frames: 2 })
    };
    let length = |stream: &[u8]| match read(&mut frames(false), stream, 1000) {
        (received, None) => match &received[..] {
            [Received::Message(message)] => Ok(message.len()),
            other => panic!("{other:?}"),
        },
        (_, Some(error)) => Err(error.code()),
    };
    assert_eq!(length(&message(MAX, true)), Ok(MAX));
    assert_eq!(length(&message(MAX + 1, true)), Err(1009));
    assert_eq!(length(&message(MAX, false)), Ok(MAX));
    assert_eq!(length(&message(MAX + 1, false)), Err(1009));
    // What does not compress may be longer on its way; a plain message behind it may not.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..MAX)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let content = Received::Message(noise.into());
    let noise = Client::new(false).message(&Sent { content, compressed: true, frames: 3 });
    assert!(noise.len() > MAX + 30);
    assert_eq!(length(&noise), Ok(MAX));
    // What is larger than anything that could be inflated to it is refused by its header.
    let mut claim = frame(0x82, b"")[..1].to_vec();
    claim[0] |= RSV1;
    claim.push(0xff);
    claim.extend((compressed_bound(MAX) as u64 + 1).to_be_bytes());
    claim.extend([0; 4]);
    assert_eq!(code(&claim), Some(1009));
}

#[test]
fn without_context_takeover_nothing_is_held_between_messages() {
    let text = "hello ".repeat(1000);
    let sent = Sent { content: Received::Message(text.into()), compressed: true, frames: 3 };
    let mut without = frames(false);
    let mut client = Client::new(false);
    for _ in 0..3 {
        let (received, error) = read(&mut without, &client.message(&sent), 500);
        assert_eq!((received, error), (vec![sent.content.clone()], None));
        assert!(
            matches!(without.inflate.as_deref(), Some(Inflate::Each)) && without.slow.is_none()
        );
    }
}
