//! Messages that go out compressed (RFC 7692 §7.2.1).

use std::cell::Cell;

use bytes::Bytes;
use flate2::{Compress, Status};
use primus_core::{Envelope, Outgoing, Payload, WireForm};

use super::{Agreed, FlushCompress, Level, TAIL};
use crate::{
    frame::{self, MAX_HEADER},
    out::Out,
};

/// Between time and size: JSON of 4 to 64 KiB takes a third to two thirds of the time of level 6, zlib's own
/// choice, and gets a tenth larger. Level 1 is twice as fast again, and gets half as large again.
const FAST: u32 = 2;
/// With context takeover size is what counts; and a fast search sees what is near, not what was said before.
const THOROUGH: u32 = 6;
/// A thread keeps no larger buffer than this.
const LARGEST: usize = 256 << 10;
/// Frames up to this size are gathered with others.
const SMALL: usize = 4096;

thread_local! {
    /// For messages that stand for themselves: the window of the last one, and zlib's state (some 270 KiB).
    static SPARE: Cell<Option<(u8, Box<Compress>)>> = const { Cell::new(None) };
    /// What is compressed into, before its size is known.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A wire form of WebSockets, made by [`form!`](crate::form!): its name, and those that it has compressed,
/// for what is compressed within a smaller window is another.
#[derive(Debug)]
pub struct Form {
    plain: WireForm,
    /// For windows of 2^9 to 2^15 bytes.
    pub(super) compressed: [WireForm; 7],
}

/// The [`Form`] of this name, a constant. Forms of two dialects have different names.
///
/// ```
/// use primus_websocket::{Form, form};
///
/// const MESSAGE: Form = form!("example");
/// ```
#[macro_export]
macro_rules! form {
    ($name:literal) => {
        $crate::Form::new(
            $name,
            [
                concat!($name, ".deflate9"),
                concat!($name, ".deflate10"),
                concat!($name, ".deflate11"),
                concat!($name, ".deflate12"),
                concat!($name, ".deflate13"),
                concat!($name, ".deflate14"),
                concat!($name, ".deflate15"),
            ],
        )
    };
}
impl Form {
    #[doc(hidden)]
    pub const fn new(plain: &'static str, [a, b, c, d, e, f, g]: [&'static str; 7]) -> Self {
        let compressed = [
            WireForm(a),
            WireForm(b),
            WireForm(c),
            WireForm(d),
            WireForm(e),
            WireForm(f),
            WireForm(g),
        ];
        Self { plain: WireForm(plain), compressed }
    }

    /// Uncompressed.
    pub fn plain(&self) -> WireForm {
        self.plain
    }

    fn compressed(&self, window: u8) -> WireForm {
        self.compressed[usize::from(window.clamp(9, 15) - 9)]
    }
}

/// Compresses what goes to one client.
#[derive(Debug)]
pub(crate) struct Deflate {
    agreed: Agreed,
    /// What was sent before, with context takeover.
    kept: Option<Box<Compress>>,
}

impl Deflate {
    pub(crate) fn new(agreed: Agreed) -> Self {
        Self { agreed, kept: None }
    }

    fn wants(&self, envelope: &Envelope) -> bool {
        envelope.len() >= self.agreed.threshold && envelope.is_compressible()
    }

    /// The frame of a message for this client alone.
    fn frame(&mut self, payload: &Payload) -> Bytes {
        let window = self.agreed.window();
        if !self.agreed.ours_take_over {
            return by_itself(payload, window);
        }
        let state = self.kept.get_or_insert_with(|| fresh(window, THOROUGH));
        // Now that it has been compressed it has to be sent so: those behind it refer to it.
        with_compressed(state, payload, |compressed| compressed_frame(payload, compressed))
    }
}

/// Puts a message out compressed, where that was agreed on and is worth it. False: it has to be put out as
/// it is. `make` makes the payloads; what has none is not sent.
pub(crate) fn put_compressed<M: IntoIterator<Item = Payload>>(
    outgoing: &Outgoing,
    form: &Form,
    out: &mut Out,
    make: impl Fn(&Envelope) -> M,
) -> bool {
    let Some(deflate) = out.deflate.as_deref_mut().filter(|one| one.wants(outgoing.envelope()))
    else {
        return false;
    };
    match outgoing {
        Outgoing::Shared(packet) if !deflate.agreed.ours_take_over => {
            let window = deflate.agreed.window();
            out.push(packet.frame(form.compressed(window), |envelope| {
                frame::join(make(envelope).into_iter().map(|payload| by_itself(&payload, window)))
            }));
        }
        _ => {
            let frames = make(outgoing.envelope()).into_iter().map(|it| deflate.frame(&it));
            let frame = frame::join(frames);
            if frame.len() < SMALL {
                out.small(|tail| tail.extend_from_slice(&frame));
            } else {
                out.push(frame);
            }
        }
    }
    true
}

/// The frame of a message that stands for itself; as it is where that is no longer.
fn by_itself(payload: &Payload, window: u8) -> Bytes {
    let spare = SPARE.take().filter(|(its, _)| *its == window);
    let mut state = spare.map_or_else(
        || fresh(window, FAST),
        |(_, mut state)| {
            state.reset();
            state
        },
    );
    let frame = with_compressed(&mut state, payload, |compressed| {
        if compressed.len() < payload.len() {
            compressed_frame(payload, compressed)
        } else {
            frame::message(payload)
        }
    });
    SPARE.set(Some((window, state)));
    frame
}

fn fresh(window: u8, level: u32) -> Box<Compress> {
    Box::new(Compress::new_with_window_bits(Level::new(level), false, window.clamp(9, 15)))
}

fn compressed_frame(payload: &Payload, compressed: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(MAX_HEADER + compressed.len());
    frame::put_compressed_header(&mut frame, payload.is_binary(), compressed.len());
    frame.extend_from_slice(compressed);
    frame.into()
}

/// Compresses a payload into the thread's buffer.
fn with_compressed<R>(state: &mut Compress, payload: &Payload, then: impl FnOnce(&[u8]) -> R) -> R {
    let mut buffer = BUFFER.take();
    buffer.clear();
    compress(state, payload.as_bytes(), &mut buffer);
    let result = then(&buffer);
    if buffer.capacity() <= LARGEST {
        BUFFER.set(buffer);
    }
    result
}

fn compress(state: &mut Compress, mut input: &[u8], out: &mut Vec<u8>) {
    loop {
        out.reserve((input.len() / 2).max(64));
        let (read, written) = (state.total_in(), out.len());
        let status = state.compress_vec(input, out, FlushCompress::Sync);
        debug_assert!(matches!(status, Ok(Status::Ok | Status::BufError)), "{status:?}");
        let read = usize::try_from(state.total_in() - read).unwrap_or(usize::MAX);
        input = input.get(read..).unwrap_or_default();
        // With room left everything is flushed. Without any progress it never will be.
        let stuck = read == 0 && out.len() == written;
        if input.is_empty() && out.len() < out.capacity() || stuck {
            break;
        }
    }
    if out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
    if out.is_empty() {
        // An empty block, without its tail (RFC 7692 §7.2.3.6).
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
    use primus_core::Compression;

    use super::*;
    use crate::deflate::{Inflate, negotiate};

    const FORM: Form = crate::form!("test");

    /// Where messages go for a client that offered this.
    fn out(offer: &'static str, takeover: bool) -> Out {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        let mut wanted = Compression::default();
        wanted.takeover = takeover;
        let agreed = negotiate(&headers, Some(&wanted)).unwrap();
        let mut out = Out::default();
        out.deflate = Some(Box::new(Deflate::new(agreed)));
        out
    }

    /// Its frame, if it was put out.
    fn put(out: &mut Out, outgoing: &Outgoing) -> Option<Vec<u8>> {
        put_compressed(outgoing, &FORM, out, |envelope| Some(envelope.body())).then(|| {
            let mut frame = Vec::new();
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(out.poll_write(&mut cx, &mut frame).is_ready());
            frame
        })
    }

    fn own(payload: impl Into<Payload>) -> Outgoing {
        Outgoing::Own(payload.into().into())
    }

    /// What a client makes of a frame.
    fn inflated(inflate: &mut Inflate, frame: &[u8]) -> Vec<u8> {
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            length => {
                assert_eq!(usize::from(length), frame.len() - 2);
                2
            }
        };
        inflate.message(1 << 24, |it| it.push(&frame[header..])).unwrap()
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn what_is_compressed_can_be_inflated() {
        for offer in ["permessage-deflate", "permessage-deflate; server_max_window_bits=9"] {
            let mut out = out(offer, false);
            for length in [1024, 5000, 70_000, 200_000] {
                let text = format!("{length} ").repeat(length / 5 + 1);
                let frame = put(&mut out, &own(&*text)).unwrap();
                assert_eq!(frame[0], 0xc1);
                assert!(frame.len() < text.len() / 10);
                assert_eq!(inflated(&mut Inflate::Each, &frame), text.as_bytes());
                let frame = put(&mut out, &own(text.into_bytes())).unwrap();
                assert_eq!(frame[0], 0xc2);
            }
        }
    }

    #[test]
    fn what_is_small_or_compressed_already_is_not() {
        let mut out = out("permessage-deflate", false);
        assert_eq!(put(&mut out, &own("x".repeat(1023))), None);
        assert!(put(&mut out, &own("x".repeat(1024))).is_some());
        // Noise gets no smaller: it is sent as it is.
        for length in [1024, 100_000] {
            let payload = Payload::from(noise(length));
            let frame = put(&mut out, &own(payload.clone())).unwrap();
            assert_eq!(frame, frame::message(&payload));
        }
        assert_eq!(put(&mut Out::default(), &own("x".repeat(5000))), None);
    }

    #[test]
    fn a_smaller_window_is_kept_within() {
        // What repeats itself after 1,000 bytes is not seen through a window of 512.
        let payload = noise(1000).repeat(20);
        let [small, large] = ["permessage-deflate; server_max_window_bits=9", "permessage-deflate"]
            .map(|offer| put(&mut out(offer, false), &own(payload.clone())).unwrap().len());
        assert!(small > 19_000 && large < 2000, "{small} {large}");
    }

    #[test]
    fn with_context_takeover_a_message_refers_to_those_before() {
        let text = || noise(3000).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let text: String = text();
        let mut with = out("permessage-deflate", true);
        let mut client = Inflate::Kept(None);
        let frames: Vec<_> = (0..3).map(|_| put(&mut with, &own(&*text)).unwrap()).collect();
        for frame in &frames {
            assert_eq!(inflated(&mut client, frame), text.as_bytes());
        }
        assert!(frames[0].len() > 1000 && frames[1].len() < 100 && frames[2].len() < 100);
        // Noise is sent compressed then, so that both sides know of it.
        let payload = noise(3000);
        for _ in 0..2 {
            let frame = put(&mut with, &own(payload.clone())).unwrap();
            assert_eq!(frame[0], 0xc2);
            assert_eq!(inflated(&mut client, &frame), payload);
        }
        // Where the client asked for none there is none.
        let mut without = out("permessage-deflate; server_no_context_takeover", true);
        let again = [put(&mut without, &own(&*text)), put(&mut without, &own(&*text))];
        assert_eq!(again[0], again[1]);
        assert!(without.deflate.unwrap().kept.is_none());
    }

    #[test]
    fn forms_have_each_a_name_of_their_own() {
        let mut names: Vec<_> = FORM.compressed.iter().chain([&FORM.plain]).collect();
        assert_eq!(FORM.compressed(9), WireForm("test.deflate9"));
        assert_eq!(FORM.compressed(15), WireForm("test.deflate15"));
        names.sort_unstable_by_key(|form| form.0);
        names.dedup();
        assert_eq!(names.len(), 8);
    }
}
