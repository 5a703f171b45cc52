//! What tungstenite alone makes of a stream, all of which it sees at once.

use std::io;

use primus_core::Payload;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::wire::{self, Frame};

#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) messages: Vec<Payload>,
    /// Pongs, and the answer to a close.
    pub(super) answers: Vec<Frame>,
    /// The close code that tells what is wrong.
    pub(super) failed: Option<u16>,
}

pub(super) fn read(stream: &[u8], max: usize) -> Expected {
    let config = WebSocketConfig::default()
        .max_message_size(Some(max))
        .max_frame_size(Some(max))
        .write_buffer_size(0);
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut socket = Socket { input: stream, output: Vec::new() };
    let mut expected = Expected::default();
    loop {
        match context.read(&mut socket) {
            Ok(Message::Text(text)) => expected.messages.push(text.as_str().into()),
            Ok(Message::Binary(bytes)) => expected.messages.push(bytes.into()),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => {
                // It says that the connection is closed, which is the point.
                let _ = context.flush(&mut socket);
                break;
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => {
                expected.failed = Some(match error {
                    Error::Capacity(_) => 1009,
                    Error::Utf8(_) => 1007,
                    _ => 1002,
                });
                break;
            }
        }
    }
    expected.answers = wire::read(&socket.output);
    expected
}

struct Socket<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        io::Read::read(&mut self.input, buffer)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
