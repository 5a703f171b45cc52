use std::io;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::{
    slow::{Feed, close_reason},
    *,
};

const MAX: usize = 2_000;

/// What a stream says, how it fails, and what is answered to it.
type Read = (Vec<Received>, Option<CloseReason>, Vec<u8>);

fn answers(mut out: Out) -> Vec<u8> {
    let mut answers = Vec::new();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(out.poll_write(&mut cx, &mut answers).is_ready());
    answers
}

/// Of tungstenite alone, which sees it at once.
fn by_tungstenite(stream: &[u8], max: usize) -> Read {
    let config = WebSocketConfig::default()
        .max_message_size(Some(max))
        .max_frame_size(Some(max))
        .write_buffer_size(0);
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let (mut out, mut received) = (Out::default(), Vec::new());
    let mut input = stream;
    loop {
        let mut feed = Feed { header: &[], input, out: &mut out };
        let read = context.read(&mut feed);
        let left = feed.input.len();
        input = &input[input.len() - left..];
        received.push(match read {
            Ok(Message::Text(text)) => Received::Message(text.as_str().into()),
            Ok(Message::Binary(bytes)) => Received::Message(bytes.into()),
            Ok(Message::Pong(_)) => Received::Pong,
            Ok(Message::Ping(_) | Message::Frame(_)) => continue,
            Ok(Message::Close(frame)) => {
                received.push(Received::Close(frame.map(|frame| {
                    CloseReason::from_code(frame.code.into(), frame.reason.as_str().to_owned())
                })));
                return (received, None, answers(out));
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (received, None, answers(out));
            }
            Err(error) => return (received, Some(close_reason(&error)), answers(out)),
        });
    }
}

/// The same, of a stream that comes in chunks.
fn by_frames(mut frames: Frames, stream: &[u8], chunks: &[usize]) -> Read {
    let (mut out, mut received) = (Out::default(), Vec::new());
    let (mut rest, mut sizes) = (stream, chunks.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| *size).min(rest.len());
        let input;
        (input, rest) = rest.split_at(size);
        let mut input = &mut input.to_vec()[..];
        while !input.is_empty() {
            match frames.next(&mut input, &mut out) {
                Ok(None) => {}
                Ok(Some(Received::Close(reason))) => {
                    received.push(Received::Close(reason));
                    return (received, None, answers(out));
                }
                Ok(Some(message)) => received.push(message),
                Err(reason) => return (received, Some(reason), answers(out)),
            }
        }
    }
    (received, None, answers(out))
}

/// What tungstenite alone would say, except that ours need not wait for the end of a frame to see that it is wrong. Then
/// that is what tungstenite says when the frame is complete.
fn agrees(ours: &Read, stream: &[u8]) -> Result<(), TestCaseError> {
    let mut theirs = by_tungstenite(stream, MAX);
    if ours.1.is_some() && theirs.1.is_none() {
        theirs = by_tungstenite(&[stream, &[b'x'; MAX]].concat(), MAX);
    }
    prop_assert_eq!(ours, &theirs);
    Ok(())
}

/// A frame, mostly as a client would send it.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => Just(0x81u8), 4 => Just(0x82u8), 2 => Just(0x01u8), 2 => Just(0x00u8),
        2 => Just(0x80u8), 1 => Just(0x89u8), 1 => Just(0x8au8), 1 => Just(0x88u8), 1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        8 => "[a-zé€😀]{0,40}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => proptest::collection::vec(Just(b'x'), 120..MAX + 20),
    ];
    let masked = prop_oneof![30 => Just(true), 1 => Just(false)];
    (first, payload, any::<[u8; 4]>(), masked, 0..3u8).prop_map(
        |(first, payload, mask, masked, form)| {
            let bit = if masked { 0x80 } else { 0 };
            let mut frame = vec![first];
            match (payload.len(), form) {
                (length @ 0..=125, 0 | 1) => frame.push(bit | length as u8),
                (length, 0 | 2) => {
                    frame.push(bit | 126);
                    frame.extend((length as u16).to_be_bytes());
                }
                (length, _) => {
                    frame.push(bit | 127);
                    frame.extend((length as u64).to_be_bytes());
                }
            }
            if masked {
                frame.extend(mask);
            }
            let mask = if masked { mask } else { [0; 4] };
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            frame
        },
    )
}

proptest! {
    // More by the variable PROPTEST_CASES: docs/fuzzing.md.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2000)))]

    #[test]
    fn frames_are_read_as_tungstenite_reads_them(
        frames in proptest::collection::vec(frame(), 0..12),
        chunks in proptest::collection::vec(prop_oneof![1..9usize, 1..2000usize], 1..8),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut stream = frames.concat();
        if let Some((index, byte)) = damage && !stream.is_empty() {
            let index = index.index(stream.len());
            stream[index] = byte;
        }
        let plain = Frames::new(MAX, usize::MAX);
        agrees(&by_frames(plain, &stream, &chunks), &stream)?;
    }
}

#[test]
fn a_wrong_byte_of_text_is_refused_before_its_frame_is_complete() {
    let masked = |text: &[u8]| -> Vec<u8> {
        text.iter().zip(b"mask".iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
    };
    let text = b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80edited";
    let first = [b"\x01\x82mask", &masked(&text[..2])[..]].concat();
    let rest = [b"\x80\x8emask", &masked(&text[2..])[..]].concat();
    let stream = [&first[..], b"\x89\x80mask", &rest].concat();
    // In one frame, and in two with a ping between: up to the byte before the wrong one all is well.
    let whole = [b"\x81\x8fmask", &masked(text)[..]].concat();
    for (stream, wrong) in [(&whole, 6 + 6), (&stream, first.len() + 6 + 6 + 4)] {
        for chunk in [1, 2, 5, stream.len()] {
            let parts = by_frames(Frames::new(MAX, 9), &stream[..wrong], &[chunk]);
            assert_eq!((&parts.0[..], &parts.1), (&[][..], &None), "{chunk}");
            let parts = by_frames(Frames::new(MAX, 9), &stream[..=wrong], &[chunk]);
            assert_eq!((&parts.0[..], parts.1), (&[][..], Some(CloseReason::INVALID_TEXT)));
        }
    }
    // What is no text is not looked at, neither before nor behind.
    let bytes = [b"\x02\x82mask\xff\xff", &b"\x80\x82mask\xff\xff"[..], &whole[..whole.len() - 8]];
    let (received, error, _) = by_frames(Frames::new(MAX, 9), &bytes.concat(), &[7]);
    assert!(
        matches!(&received[..], [Received::Message(Payload::Binary(bytes))] if bytes.len() == 4)
    );
    assert_eq!(error, Some(CloseReason::INVALID_TEXT));
}

/// The code by which a stream fails with its last byte, and not before, however it is cut.
fn fails_with_its_last_byte(stream: &[u8]) -> Option<u16> {
    let codes = [1, 3, stream.len()].map(|chunk| {
        let frames = || Frames::new(MAX, 9);
        assert_eq!(by_frames(frames(), &stream[..stream.len() - 1], &[chunk]).1, None);
        by_frames(frames(), stream, &[chunk]).1.map(|reason| reason.code())
    });
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    codes[0]
}

#[test]
fn a_wrong_frame_is_refused_by_its_header() {
    const MASK: [u8; 4] = *b"mask";
    let header = |first: u8, length: u16| {
        let mut header = vec![first, 0xfe];
        header.extend(length.to_be_bytes());
        [&header, &MASK[..]].concat()
    };
    let begun = [&b"\x01\x81mask"[..], &[b'a' ^ b'm']].concat();
    for (what, stream, code) in [
        ("RSV1", header(0xc1, 200), 1002),
        ("RSV2", header(0xa2, 200), 1002),
        ("RSV3", header(0x91, 200), 1002),
        ("an opcode that is none", header(0x83, 200), 1002),
        ("a control opcode that is none", header(0x8b, 100), 1002),
        ("a ping in pieces", header(0x09, 100), 1002),
        ("a long ping", header(0x89, 126), 1002),
        ("a continuation of nothing", header(0x80, 200), 1002),
        ("text in the midst of text", [&begun[..], &header(0x81, 200)].concat(), 1002),
        ("no mask", vec![0x81, 0x7e, 0, 200], 1002),
        ("a frame that is too big", header(0x81, MAX as u16 + 1), 1009),
        ("the same with RSV1", header(0xc1, MAX as u16 + 1), 1009),
        ("a message that is too big", [&begun[..], &header(0x80, MAX as u16)].concat(), 1009),
    ] {
        assert_eq!(fails_with_its_last_byte(&stream), Some(code), "{what}");
        let theirs = by_tungstenite(&[&stream[..], &[b'x'; MAX]].concat(), MAX);
        assert_eq!(theirs.1.map(|reason| reason.code()), Some(code), "{what}");
    }
    let many = [&begun[..], &b"\x00\x80mask".repeat(8)].concat();
    assert_eq!(by_frames(Frames::new(MAX, 9), &many, &[5]), (vec![], None, vec![]));
    assert_eq!(fails_with_its_last_byte(&[&many[..], b"\x00\x80mask"].concat()), Some(1008));
}

#[test]
fn the_first_wrong_byte_of_a_text_is_refused() {
    for (text, at) in [
        (&b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80edited"[..], 6), // above U+10FFFF
        (b"a\xed\xa0\x80", 2),                                   // a surrogate
        (b"\xc0\xaf", 0),                                        // longer than need be
        (b"\xe2\x82a", 2),                                       // cut by another character
        (b"\xff", 0),
    ] {
        let masked = text.iter().zip(b"mask".iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let stream: Vec<u8> = b"\x01\xa0mask".iter().copied().chain(masked).collect();
        assert_eq!(fails_with_its_last_byte(&stream[..=6 + at]), Some(1007), "{text:?}");
    }
}

#[test]
fn between_messages_nothing_is_held() {
    let mut frames = Frames::new(1 << 20, 10);
    let mut out = Out::default();
    // A ping, a message in two pieces, a large one in two reads.
    let mut large = vec![0x82, 0xff];
    large.extend(200_000u64.to_be_bytes());
    large.extend([0; 200_004]);
    let parts = [
        &b"\x89\x80abcd"[..],
        &b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b"[..],
        &large[..1000],
        &large[1000..],
    ];
    let mut received = Vec::new();
    for part in parts {
        let mut part = &mut part.to_vec()[..];
        while !part.is_empty() {
            received.extend(frames.next(&mut part, &mut out).unwrap());
        }
    }
    assert_eq!(
        received,
        [Received::Message("ab".into()), Received::Message(vec![0; 200_000].into())]
    );
    assert!(frames.slow.is_none());
}
