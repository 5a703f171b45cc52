//! Frames that tungstenite reads: those that are not there as a whole, fragments, and control.

use std::io::{self, Read, Write};

use bytes::Bytes;
use bytestring::ByteString;
use primus_core::CloseReason;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use super::{
    Received,
    fragments::{Fragments, Piece},
};
use crate::out::Out;

/// tungstenite, and where in the stream it is.
#[derive(Debug)]
pub(super) struct Slow {
    context: WebSocketContext,
    pub(super) fragments: Fragments,
    /// A close frame has been read or written: from here on all is tungstenite's.
    pub(super) closing: bool,
}

/// What tungstenite reads from and writes to: a header and what has come behind it, then `WouldBlock`.
pub(super) struct Feed<'a> {
    pub(super) header: &'a [u8],
    pub(super) input: &'a [u8],
    pub(super) out: &'a mut Out,
}

impl Default for Slow {
    fn default() -> Self {
        let config = WebSocketConfig::default()
            // Eagerly allocated by tungstenite, and only a way station: input comes by slices.
            .read_buffer_size(512)
            .write_buffer_size(0)
            // What is too big never comes here.
            .max_message_size(None)
            .max_frame_size(None);
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self { context, fragments: Fragments::default(), closing: false }
    }
}

impl Slow {
    /// Reads bytes of one frame.
    pub(super) fn read(
        &mut self,
        piece: &Piece<'_>,
        out: &mut Out,
    ) -> Result<Option<Received>, CloseReason> {
        let mut header = Vec::new();
        if let Some((first, length)) = &piece.header {
            // It fails only where it cannot be written, and this can.
            let _ = first.format(*length, &mut header);
        }
        let mut feed = Feed { header: &header, input: piece.payload, out };
        let read = loop {
            match self.context.read(&mut feed) {
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                read => break read,
            }
        };
        Ok(match read {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => return Err(close_reason(&error)),
            Ok(Message::Text(text)) => {
                let text = ByteString::try_from(Bytes::from(text)).ok();
                text.map(|text| Received::Message(text.into()))
            }
            Ok(Message::Binary(bytes)) => Some(Received::Message(bytes.into())),
            Ok(Message::Close(frame)) => {
                self.closing = true;
                Some(Received::Close(frame.map(|frame| {
                    let text = frame.reason.as_str().to_owned();
                    CloseReason::from_code(frame.code.into(), text)
                })))
            }
            Ok(Message::Pong(_)) => Some(Received::Pong),
            Ok(Message::Ping(_) | Message::Frame(_)) => None,
        })
    }

    /// Queues our close frame.
    pub(super) fn close(&mut self, reason: &CloseReason, out: &mut Out) {
        let code = CloseCode::from(reason.code());
        let frame = CloseFrame { code, reason: reason.frame_text().to_owned().into() };
        self.closing = true;
        let mut feed = Feed { header: &[], input: &[], out };
        // It fails only where the peer has closed already; then its answer is queued.
        let _ = self.context.close(&mut feed, code.is_allowed().then_some(frame));
    }

    /// Queues the answer to the peer's close.
    pub(super) fn answer_close(&mut self, out: &mut Out) {
        let mut feed = Feed { header: &[], input: &[], out };
        // An error says that the connection is closed, which is the point.
        let _ = self.context.flush(&mut feed);
    }
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.header.is_empty() && self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = self.header.read(buffer)?;
        Ok(length + self.input.read(&mut buffer[length..])?)
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

/// Which close code tells a peer what it did wrong.
pub(super) fn close_reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(_) => CloseReason::TOO_BIG,
        Error::Utf8(_) => CloseReason::INVALID_TEXT,
        Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::GOING_AWAY,
        _ => CloseReason::PROTOCOL_ERROR,
    }
}
