//! Bytes on their way to the socket: pieces of shared frames, and small things gathered between.

use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use primus_core::Payload;
use tokio::io::AsyncWrite;

use crate::frame;

/// Pieces of one vectored write.
const SLICES: usize = 32;
/// A payload of one's own from this size on is not copied behind its header.
const COPY: usize = 4096;
/// A thread keeps no larger buffer than this.
const LARGEST: usize = 256 << 10;

thread_local! {
    /// The buffers of this thread, which a connection has while it writes: what all write is gathered
    /// in them, and they do not grow anew each time.
    static SPARE: Cell<Buffers> = const { Cell::new(Buffers::new()) };
}

#[derive(Debug, Default)]
struct Buffers {
    pieces: VecDeque<Bytes>,
    /// Behind the pieces.
    tail: Vec<u8>,
}

impl Buffers {
    const fn new() -> Self {
        Self { pieces: VecDeque::new(), tail: Vec::new() }
    }
}

/// Empty, it holds no heap.
#[derive(Debug, Default)]
pub(crate) struct Out {
    buffers: Buffers,
    /// Bytes of the tail that have been written.
    written: usize,
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
        if frame.is_empty() {
            return;
        }
        self.borrow();
        self.seal();
        self.bytes += frame.len();
        self.buffers.pieces.push_back(frame);
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
    pub(crate) fn small(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.borrow();
        let before = self.buffers.tail.len();
        put(&mut self.buffers.tail);
        self.bytes += self.buffers.tail.len() - before;
    }

    /// Takes the thread's buffers, if it has none.
    fn borrow(&mut self) {
        if self.bytes == 0 && self.buffers.tail.capacity() == 0 {
            self.buffers = SPARE.take();
        }
    }

    fn seal(&mut self) {
        if self.written < self.buffers.tail.len() {
            let piece = Bytes::copy_from_slice(&self.buffers.tail[self.written..]);
            self.buffers.pieces.push_back(piece);
        }
        self.buffers.tail.clear();
        self.written = 0;
    }

    /// Writes until nothing is left or the socket is full. What is left then is kept in buffers of its
    /// own size; without anything left no buffer is.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<()>> {
        let written = self.write_all(cx, socket);
        if self.bytes > 0 {
            self.seal();
            self.buffers.tail = Vec::new();
        } else {
            self.give_back();
        }
        written
    }

    /// Gives the thread its buffers back, emptied.
    fn give_back(&mut self) {
        self.written = 0;
        let Buffers { mut pieces, mut tail } = std::mem::take(&mut self.buffers);
        let borrowed = tail.capacity() > 0 || pieces.capacity() > 0;
        if borrowed && tail.capacity() <= LARGEST && pieces.capacity() <= SLICES {
            pieces.clear();
            tail.clear();
            SPARE.set(Buffers { pieces, tail });
        }
    }

    fn write_all<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.bytes > 0 {
            let Buffers { pieces, tail } = &self.buffers;
            let socket = Pin::new(&mut *socket);
            let tail = &tail[self.written..];
            let written = match pieces.front() {
                None => ready!(socket.poll_write(cx, tail))?,
                Some(piece) if piece.len() == self.bytes => ready!(socket.poll_write(cx, piece))?,
                Some(_) => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let mut count = 0;
                    let parts = pieces.iter().map(|piece| &piece[..]).chain([tail]);
                    for (slice, part) in slices.iter_mut().zip(parts) {
                        *slice = IoSlice::new(part);
                        count += 1;
                    }
                    ready!(socket.poll_write_vectored(cx, &slices[..count]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(piece) = self.buffers.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.buffers.pieces.pop_front();
        }
        self.written += written;
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

    /// A socket that takes at most `step` bytes at a time, and is full after each `rests` of them.
    struct Narrow {
        step: usize,
        rests: usize,
        calls: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.calls += 1;
            if self.calls.is_multiple_of(self.rests) {
                return Poll::Pending;
            }
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

    fn spare() -> usize {
        let buffers = SPARE.take();
        let capacity = buffers.tail.capacity();
        SPARE.set(buffers);
        capacity
    }

    #[test]
    fn order_is_kept_through_partial_writes_and_full_sockets() {
        for (step, rests) in [(1, 7), (3, 2), (100, 3), (100, usize::MAX), (100_000, 2)] {
            let mut out = Out::default();
            let mut socket = Narrow { step, rests, calls: 0, taken: Vec::new() };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut expected = Vec::new();
            for index in 0..200_usize {
                let payload = Payload::from(index.to_string().repeat(1 + index * index / 20));
                if index % 3 == 0 {
                    out.push(frame::message(&payload));
                } else {
                    out.push_message(&payload);
                }
                expected.extend_from_slice(&frame::message(&payload));
                assert_eq!(out.len(), expected.len() - socket.taken.len());
                if index % 5 == 0 {
                    let _ = out.poll_write(&mut cx, &mut socket);
                }
            }
            while out.poll_write(&mut cx, &mut socket).is_pending() {}
            assert!(socket.taken == expected && out.is_empty(), "step {step}, rests {rests}");
        }
    }

    #[test]
    fn the_buffers_are_the_threads_and_those_who_have_nothing_to_write_leave_them_there() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut socket = Vec::new();
        let mut out = Out::default();
        out.push_message(&"x".repeat(1000).into());
        assert!(out.poll_write(&mut cx, &mut socket).is_ready());
        assert_eq!(out.buffers.tail.capacity(), 0);
        let kept = spare();
        assert!(kept >= 1000);
        assert!(Out::default().poll_write(&mut cx, &mut socket).is_ready());
        assert_eq!(spare(), kept);
        // What is left for a socket that is full is in a piece of its own size.
        let mut full = Narrow { step: 10, rests: 2, calls: 0, taken: Vec::new() };
        out.push_message(&"y".repeat(100).into());
        assert!(out.poll_write(&mut cx, &mut full).is_pending());
        assert_eq!((out.len(), out.buffers.tail.capacity()), (92, 0));
        assert_eq!(out.buffers.pieces[0].len(), 92);
    }
}
