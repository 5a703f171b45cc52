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

const MAX: usize = 300;

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
        let mut feed = Feed { input, out: &mut out };
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

/// What tungstenite alone would say, except that ours need not wait for the end of a frame to see that its text
/// is none. Then that is what tungstenite says when the frame is complete, if the message is not too big as well.
fn agrees(ours: &Read, stream: &[u8]) -> Result<(), TestCaseError> {
    const LARGE: usize = 8 * MAX;
    let mut theirs = by_tungstenite(stream, MAX);
    let early = ours.1 == Some(CloseReason::INVALID_TEXT)
        && (theirs.1.is_none() || theirs.1 == Some(CloseReason::TOO_BIG));
    if early {
        theirs = by_tungstenite(&[stream, &[b'x'; LARGE]].concat(), LARGE);
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
        1 => proptest::collection::vec(Just(b'x'), 120..320),
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
