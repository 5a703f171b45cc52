//! From bytes to messages (RFC 6455 §5).
//!
//! A data frame that is whole, unfragmented and plain is read where it lies, which nearly all are.
//! Everything else goes to tungstenite, frame by frame, until a message is complete; then nothing of it
//! is kept. Both judge alike: a test compares them over random and hostile streams.
//!
//! ```text
//!          ┌── whole data frame ──▶ unmask, check UTF-8 ──▶ message
//! boundary ┤
//!          └── fragment, control, cut or wrong ──▶ tungstenite ──▶ message complete ──▶ boundary
//! ```

use std::io::{self, Read, Write};

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::CloseReason;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use crate::{fragments::Fragments, out::Out};

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Text(ByteString),
    Binary(Bytes),
    Pong,
    /// It closes, and says why.
    Close(Option<CloseReason>),
}

/// Reads one connection's frames. Between two messages it holds no heap.
#[derive(Debug)]
pub(crate) struct Frames {
    max_message: usize,
    max_fragments: usize,
    /// In the midst of a message, or closing.
    slow: Option<Box<Slow>>,
}

/// tungstenite, and where in the stream it is.
#[derive(Debug)]
struct Slow {
    context: WebSocketContext,
    fragments: Fragments,
    /// A close frame has been read or written: from here on all is tungstenite's.
    closing: bool,
}

/// What tungstenite reads from and writes to: a slice of input, then `WouldBlock`.
struct Feed<'a> {
    input: &'a [u8],
    out: &'a mut Out,
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Frames {
    pub(crate) fn new(max_message: usize, max_fragments: usize) -> Self {
        Self { max_message, max_fragments, slow: None }
    }

    /// Bounds the messages from the next one on.
    pub(crate) fn limit(&mut self, max_message: usize) {
        self.max_message = max_message;
    }

    /// Reads the next message of `input`, and takes from it what was used. `None`: more is needed.
    ///
    /// # Errors
    /// When the client breaks the protocol; nothing may be read after that.
    pub(crate) fn next(
        &mut self,
        input: &mut &[u8],
        out: &mut Out,
    ) -> Result<Option<Received>, CloseReason> {
        while !input.is_empty() {
            if self.slow.is_none()
                && let Some((frame, rest)) = whole(input, self.max_message)
            {
                *input = rest;
                return frame.read().map(Some);
            }
            if let Some(received) = self.next_slowly(input, out)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Gives tungstenite the rest of the current frame, or what there is of it.
    fn next_slowly(
        &mut self,
        input: &mut &[u8],
        out: &mut Out,
    ) -> Result<Option<Received>, CloseReason> {
        let max_fragments = self.max_fragments;
        let slow = self.slow();
        let frame = slow.fragments.frame(input, max_fragments).ok_or_else(too_many_fragments)?;
        let (now, rest) = input.split_at(frame);
        *input = rest;
        let mut feed = Feed { input: now, out };
        let read = loop {
            match slow.context.read(&mut feed) {
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                read => break read,
            }
        };
        let received = match read {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => return Err(close_reason(&error)),
            Ok(Message::Text(text)) => {
                ByteString::try_from(Bytes::from(text)).ok().map(Received::Text)
            }
            Ok(Message::Binary(bytes)) => Some(Received::Binary(bytes)),
            Ok(Message::Close(frame)) => {
                slow.closing = true;
                Some(Received::Close(frame.map(|frame| {
                    let text = frame.reason.as_str().to_owned();
                    CloseReason::from_code(frame.code.into(), text)
                })))
            }
            Ok(Message::Pong(_)) => Some(Received::Pong),
            Ok(Message::Ping(_) | Message::Frame(_)) => None,
        };
        if slow.fragments.is_between_messages() && !slow.closing {
            // No buffer that grew stays grown, and none that did not either.
            self.slow = None;
        }
        Ok(received)
    }

    fn slow(&mut self) -> &mut Slow {
        self.slow.get_or_insert_with(|| {
            let config = WebSocketConfig::default()
                // Eagerly allocated by tungstenite, and only a way station: input comes by slices.
                .read_buffer_size(512)
                .write_buffer_size(0)
                .max_message_size(Some(self.max_message))
                .max_frame_size(Some(self.max_message));
            let context = WebSocketContext::new(Role::Server, Some(config));
            Box::new(Slow { context, fragments: Fragments::default(), closing: false })
        })
    }

    /// Queues our close frame. tungstenite does it, so that it knows the peer's as the answer.
    pub(crate) fn close(&mut self, reason: &CloseReason, out: &mut Out) {
        let code = CloseCode::from(reason.code());
        let frame = CloseFrame { code, reason: reason.frame_text().to_owned().into() };
        let slow = self.slow();
        slow.closing = true;
        let mut feed = Feed { input: &[], out };
        // It fails only where the peer has closed already; then its answer is queued.
        let _ = slow.context.close(&mut feed, code.is_allowed().then_some(frame));
    }

    /// Queues the answer to the peer's close, behind everything else.
    pub(crate) fn answer_close(&mut self, out: &mut Out) {
        let mut feed = Feed { input: &[], out };
        // An error says that the connection is closed, which is the point.
        let _ = self.slow().context.flush(&mut feed);
    }
}

/// A data frame that is a whole message, still masked.
struct Whole<'a> {
    text: bool,
    mask: [u8; 4],
    payload: &'a [u8],
}

/// The frame that begins `input`, if it is a whole message and the whole of it is there; and what
/// follows it.
fn whole(input: &[u8], max: usize) -> Option<(Whole<'_>, &[u8])> {
    let (&[first, second], rest) = input.split_first_chunk()?;
    let text = match first {
        0x81 => true,
        0x82 => false,
        _ => return None,
    };
    if second & 0x80 == 0 {
        return None; // a client's frames are masked (RFC 6455 §5.1)
    }
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= max)?;
    let (&mask, rest) = rest.split_first_chunk()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((Whole { text, mask, payload }, rest))
}

impl Whole<'_> {
    fn read(self) -> Result<Received, CloseReason> {
        let mut payload = self.payload.to_vec();
        unmask(&mut payload, self.mask);
        if self.text {
            let text = String::from_utf8(payload).map_err(|_| CloseReason::INVALID_TEXT)?;
            Ok(Received::Text(text.into()))
        } else {
            Ok(Received::Binary(payload.into()))
        }
    }
}

/// Takes the mask off (RFC 6455 §5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], [a, b, c, d]: [u8; 4]) {
    let mask = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// Which close code tells a peer what it did wrong.
fn close_reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(_) => CloseReason::TOO_BIG,
        Error::Utf8(_) => CloseReason::INVALID_TEXT,
        Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::GOING_AWAY,
        _ => CloseReason::PROTOCOL_ERROR,
    }
}

fn too_many_fragments() -> CloseReason {
    CloseReason::POLICY.with_text("too many fragments")
}

#[cfg(test)]
mod tests;
