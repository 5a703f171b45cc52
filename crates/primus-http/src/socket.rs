//! A connection that can change hands: what one has read ahead is what the next reads first.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use primus_core::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::awaited::Awaited;

/// What is read of a client that speaks out of turn, before it has to wait.
const AHEAD: usize = 512;

pub(crate) struct Socket<I> {
    io: I,
    ahead: Bytes,
    awaited: Awaited,
}

impl<I: Io> Socket<I> {
    pub(crate) fn new(io: I, awaited: Awaited) -> Self {
        Self { io, ahead: Bytes::new(), awaited }
    }

    /// What is lent by this connection.
    pub(crate) fn awaited(&self) -> Awaited {
        self.awaited.clone()
    }

    /// Puts `first` before what comes.
    pub(crate) fn unread(&mut self, first: &[u8]) {
        if !first.is_empty() {
            // A copy, that keeps no larger buffer alive.
            self.ahead = [first, &self.ahead].concat().into();
        }
    }

    /// Ready once the client is gone. What it says meanwhile is kept for later.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_empty() {
            let mut space = [0; AHEAD];
            let mut space = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut space));
            if read.is_err() || space.filled().is_empty() {
                return Poll::Ready(());
            }
            self.ahead = Bytes::copy_from_slice(space.filled());
        }
        Poll::Pending
    }

    /// The connection itself, if nothing has been read ahead.
    pub(crate) fn into_io(self) -> Box<dyn Io> {
        if self.ahead.is_empty() { Box::new(self.io) } else { Box::new(self) }
    }

    fn wrote<T>(&self, wrote: Poll<T>) -> Poll<T> {
        self.awaited.set_blocked(wrote.is_pending());
        wrote
    }
}

impl<I: Io> AsyncRead for Socket<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, space);
        }
        let count = self.ahead.len().min(space.remaining());
        space.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Io> AsyncWrite for Socket<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrote = Pin::new(&mut self.io).poll_flush(cx);
        self.wrote(wrote)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
