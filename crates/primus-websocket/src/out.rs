//! Bytes on their way to the socket: pieces of shared frames, and small things gathered between.

use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use primus_core::{Envelope, Outgoing, Payload};
use tokio::io::AsyncWrite;

use crate::{
    deflate::{Deflate, Form, put_compressed},
    frame,
};

#[cfg(test)]
mod tests;

/// Pieces of one vectored write.
const SLICES: usize = 32;
/// A payload of one's own from this size on is not copied behind its header.
const COPY: usize = 4096;
/// A thread keeps no larger buffer than this.
const LARGEST: usize = 256 << 10;

thread_local! {
    /// The buffers of this thread, which a connection has while it writes: what all write is gathered
    /// in them, and they do not grow anew each time.
    static SPARE: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

#[derive(Debug, Default)]
struct Buffers {
    pieces: VecDeque<Bytes>,
    /// Behind the pieces.
    tail: Vec<u8>,
    /// Bytes of the tail that have been written.
    written: usize,
}

/// What is to be written to one WebSocket. Empty, it holds no heap but what compression wants.
#[derive(Debug, Default)]
pub struct Out {
    buffers: Option<Box<Buffers>>,
    bytes: usize,
    /// The socket may hold back some of what it took, as TLS does.
    unflushed: bool,
    /// `None`: nothing is compressed.
    pub(crate) deflate: Option<Box<Deflate>>,
}

impl Out {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && !self.unflushed
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Puts a message out in a form that has to be made: once for all who share it. It may be several on
    /// the wire, which stay together, or none: then nothing is sent.
    pub fn put<M: IntoIterator<Item = Payload>>(
        &mut self,
        outgoing: &Outgoing,
        form: &Form,
        make: impl Fn(&Envelope) -> M,
    ) {
        if put_compressed(outgoing, form, self, &make) {
            return;
        }
        match outgoing {
            Outgoing::Own(envelope) => {
                make(envelope).into_iter().for_each(|payload| self.push_message(&payload));
            }
            Outgoing::Shared(packet) => self.push(packet.frame(form.plain(), |envelope| {
                frame::join(make(envelope).into_iter().map(|payload| frame::message(&payload)))
            })),
        }
    }

    /// Puts out a message as our own client reads it.
    #[inline(always)]
    pub(crate) fn put_as_it_is(&mut self, outgoing: &Outgoing, form: &Form) {
        match outgoing {
            Outgoing::Own(envelope) if self.deflate.is_none() => {
                self.push_message(envelope.frame());
            }
            _ => self.put_form(outgoing, form),
        }
    }

    /// The same, where it is shared, or may be compressed.
    #[inline(never)]
    fn put_form(&mut self, outgoing: &Outgoing, form: &Form) {
        if put_compressed(outgoing, form, self, |envelope| Some(envelope.frame().clone())) {
            return;
        }
        match outgoing {
            Outgoing::Own(envelope) => self.push_message(envelope.frame()),
            Outgoing::Shared(packet) => {
                self.push(packet.frame(form.plain(), |envelope| frame::message(envelope.frame())));
            }
        }
    }

    /// Frames that are prepared, as [`frame`](crate::frame()) makes them: a reference, not a copy.
    pub fn push(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        self.bytes += frame.len();
        let buffers = self.buffers();
        buffers.seal();
        buffers.pieces.push_back(frame);
    }

    /// A message for this connection alone.
    #[inline(always)]
    pub fn push_message(&mut self, payload: &Payload) {
        if payload.len() < COPY {
            self.small(|tail| frame::put_message(tail, payload));
        } else {
            self.push_large(payload);
        }
    }

    #[inline(never)]
    fn push_large(&mut self, payload: &Payload) {
        self.small(|tail| frame::put_header(tail, payload));
        self.push(match payload {
            Payload::Text(text) => text.clone().into_bytes(),
            Payload::Binary(bytes) => bytes.clone(),
        });
    }

    /// A ping of the WebSocket protocol.
    pub fn push_ping(&mut self) {
        self.small(frame::put_ping);
    }

    /// Something small, gathered with what is small before and behind it.
    #[inline]
    pub(crate) fn small(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let tail = &mut self.buffers().tail;
        let before = tail.len();
        put(tail);
        let put = tail.len() - before;
        self.bytes += put;
    }

    /// Its own buffers, or the thread's.
    #[inline]
    fn buffers(&mut self) -> &mut Buffers {
        self.buffers.get_or_insert_with(Buffers::borrow)
    }

    /// Writes until nothing is left, also not with the socket, or that is full. What is left then is kept in buffers of its
    /// own size; without anything left no buffer is.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<()>> {
        let mut written = self.write_all(cx, socket);
        if self.unflushed && matches!(written, Poll::Ready(Ok(()))) {
            written = Pin::new(&mut *socket).poll_flush(cx);
            self.unflushed = written.is_pending();
        }
        if self.bytes == 0 {
            if let Some(buffers) = self.buffers.take() {
                buffers.give_back();
            }
        } else if let Some(buffers) = &mut self.buffers {
            buffers.seal();
            buffers.tail = Vec::new();
        }
        written
    }

    fn write_all<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<()>> {
        while let Some(Buffers { pieces, tail, written }) = self.buffers.as_deref()
            && self.bytes > 0
        {
            let socket = Pin::new(&mut *socket);
            let tail = &tail[*written..];
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

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.unflushed = true;
        self.buffers().advance(written);
    }
}

impl Buffers {
    /// What comes next goes behind the tail.
    fn seal(&mut self) {
        if self.written < self.tail.len() {
            self.pieces.push_back(Bytes::copy_from_slice(&self.tail[self.written..]));
        }
        self.tail.clear();
        self.written = 0;
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
        self.written += written;
    }

    /// The thread's.
    #[inline(never)]
    fn borrow() -> Box<Self> {
        SPARE.take().unwrap_or_default()
    }

    /// To the thread, emptied.
    #[inline]
    fn give_back(mut self: Box<Self>) {
        if self.tail.capacity() <= LARGEST && self.pieces.capacity() <= SLICES {
            self.pieces.clear();
            self.tail.clear();
            self.written = 0;
            SPARE.set(Some(self));
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
