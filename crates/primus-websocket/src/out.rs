//! Bytes on their way to the socket: pieces of shared frames, and small things gathered between.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use primus_core::Payload;
use tokio::io::AsyncWrite;

use crate::frame;

/// Pieces of one vectored write.
const SLICES: usize = 32;
/// A payload of one's own from this size on is not copied behind its header.
const COPY: usize = 4096;

/// Empty, it holds no heap.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// A shared frame: a reference, not a copy.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.seal();
        self.bytes += frame.len();
        if !frame.is_empty() {
            self.pieces.push_back(frame);
        }
    }

    /// A message for this connection alone.
    pub(crate) fn push_message(&mut self, payload: &Payload) {
        self.small(|tail| frame::put_header(tail, payload));
        match payload {
            Payload::Text(text) if text.len() >= COPY => self.push(text.clone().into_bytes()),
            Payload::Binary(bytes) if bytes.len() >= COPY => self.push(bytes.clone()),
            small => self.small(|tail| tail.extend_from_slice(small.as_bytes())),
        }
    }

    /// Something small, gathered with what is small before and behind it.
    pub(crate) fn small(&mut self, put: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        put(&mut self.tail);
        self.bytes += self.tail.len() - before;
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// Writes until nothing is left or the socket is full.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.pieces.is_empty() {
                let written = ready!(Pin::new(&mut *socket).poll_write(cx, &self.tail))?;
                self.tail.advance(written);
                written
            } else {
                self.seal();
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = self.pieces.len().min(SLICES);
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(piece);
                }
                let slices = &slices[..count];
                let written = ready!(Pin::new(&mut *socket).poll_write_vectored(cx, slices))?;
                self.advance(written);
                written
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.bytes -= written;
        }
        // No buffer that grew stays grown.
        *self = Self::default();
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
    }
}

/// For tungstenite, which writes pongs and closes: they line up between data frames.
impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.small(|tail| tail.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes at most `step` bytes at a time.
    struct Narrow {
        step: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let step = self.step.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..step]);
            Poll::Ready(Ok(step))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn order_is_kept_through_partial_writes() {
        for step in [1, 3, 100, 100_000] {
            let mut out = Out::default();
            let mut expected = Vec::new();
            for index in 0..200_usize {
                let payload = Payload::from(index.to_string().repeat(1 + index * index / 20));
                if index % 3 == 0 {
                    out.push(frame::message(&payload));
                } else {
                    out.push_message(&payload);
                }
                expected.extend_from_slice(&frame::message(&payload));
            }
            assert_eq!(out.len(), expected.len());
            let mut socket = Narrow { step, taken: Vec::new() };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(matches!(out.poll_write(&mut cx, &mut socket), Poll::Ready(Ok(()))));
            assert!(socket.taken == expected && out.is_empty(), "step {step}");
        }
    }
}
