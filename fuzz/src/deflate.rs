//! Compressed messages (RFC 7692), through the whole driver: those of a client, and the echo of each.

mod inflate;

use flate2::{Compress, Compression, FlushCompress};
use primus_core::{Payload, parser};
use primus_websocket::WebSocket;

use self::inflate::{Inflated, inflate};
use crate::{heap, server, server::Server, wire};

/// Bytes of a message.
const MAX: usize = 4 << 10;
/// The compressor has some 270 KiB for itself, and with context takeover an inflater, too.
const BASE: usize = 3 << 20;
/// And more for a byte that comes. What inflates by the largest factor there is takes 1,032 for each, some times over.
const EACH: usize = 16 << 10;

/// The first byte of `data` says what is agreed on, the second how large the fragments are. Then come messages,
/// a byte of what they are, one of their length, and as many. Some are sent as they are, and are what another
/// library says that they are, or its error; some are compressed first, and arrive. Each comes back as the same.
pub fn deflate(data: &[u8]) {
    let Some(([agreed, fragment], mut rest)) = data.split_first_chunk::<2>() else { return };
    let takeover = agreed & 1 == 1;
    let fragment = if *fragment == 0 { usize::MAX } else { usize::from(*fragment) };
    let mut stream = Vec::new();
    let (mut expected, mut failed) = (Vec::new(), None);
    let mut compress = None;
    while let [kind, length, behind @ ..] = rest
        && failed.is_none()
    {
        let (piece, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        let text = kind & 1 == 0;
        let repeated;
        let (piece, message) = match kind >> 1 & 3 {
            // With context takeover another library would have to be told of all before.
            0 | 1 if !takeover => (piece, inflate(piece, MAX)),
            _ => {
                let message = piece.repeat(usize::from(kind >> 3) + 1);
                let fresh = || Compress::new(Compression::fast(), false);
                let compress = compress.get_or_insert_with(fresh);
                if !takeover {
                    compress.reset();
                }
                repeated = compressed(compress, &message);
                (&repeated[..], Inflated::Message(message))
            }
        };
        put(&mut stream, text, piece, fragment);
        match message {
            Inflated::Message(message) if message.len() > MAX => failed = Some([1009, 1009]),
            Inflated::Message(message) if text => match String::from_utf8(message) {
                Ok(text) => expected.push(Payload::from(text)),
                Err(_) => failed = Some([1007, 1007]),
            },
            Inflated::Message(message) => expected.push(message.into()),
            // Of two faults either may be seen first.
            Inflated::TooBig => failed = Some([1009, 1007]),
            Inflated::Invalid => failed = Some([1007, 1009]),
        }
    }
    let most = BASE + EACH * data.len();
    heap::bounded(most, || converse(takeover, agreed >> 1, &stream, &expected, failed));
}

/// As a client compresses, so that each message is whole at a byte's boundary.
fn compressed(state: &mut Compress, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 100);
    state.compress_vec(message, &mut out, FlushCompress::Sync).expect("it compresses");
    // Nothing comes of nothing behind what was flushed; an empty block stands for it.
    if out.is_empty() { vec![0] } else { out[..out.len() - 4].to_vec() }
}

/// One message, in fragments.
fn put(stream: &mut Vec<u8>, text: bool, piece: &[u8], fragment: usize) {
    let opcode = if text { 1 } else { 2 };
    let mut pieces = piece.chunks(fragment).peekable();
    let mut first = 0x40 | opcode;
    loop {
        let piece = pieces.next().unwrap_or_default();
        let last = if pieces.peek().is_none() { 0x80 } else { 0 };
        wire::put(stream, first | last, piece);
        if last != 0 {
            return;
        }
        first = 0;
    }
}

fn converse(
    takeover: bool,
    chunk: u8,
    stream: &[u8],
    expected: &[Payload],
    failed: Option<[u16; 2]>,
) {
    let mut mount = server::mount(|limits| {
        limits.max_message = MAX;
        limits.max_fragments = usize::MAX;
    });
    mount.parser = parser::raw();
    let mut compression = primus_core::Compression::default();
    (compression.threshold, compression.takeover) = (8, takeover);
    mount.compression = Some(compression);
    let offer = [(http::header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate")];
    let chunks = [if chunk == 0 { usize::MAX } else { usize::from(chunk) }];
    let (said, heard) = server::run(async {
        let server = Server::new(WebSocket::new(), mount);
        let said = server.converse(server::handshake("/", &offer), stream, &chunks).await;
        (wire::read(&said), server.heard())
    });
    assert_eq!(heard, expected);
    let (controls, echoes): (Vec<_>, Vec<_>) = said.into_iter().partition(wire::Frame::is_control);
    let codes: Vec<_> = controls.iter().map(wire::Frame::close_code).collect();
    match failed {
        None => assert_eq!(codes, []),
        Some(either) => assert!(
            matches!(&codes[..], [Some(code)] if either.contains(code)),
            "{codes:?} and not {either:?}"
        ),
    }
    assert_eq!(echoes.len(), expected.len());
    let mut window = inflate::Window::default();
    for (echo, expected) in echoes.iter().zip(expected) {
        assert_eq!(echo.first & 0x3f == 2, expected.is_binary());
        let message = match echo.first & 0x40 {
            0 => echo.payload.clone(),
            _ => window.message(&echo.payload, takeover),
        };
        assert_eq!(message, expected.as_bytes());
    }
}
