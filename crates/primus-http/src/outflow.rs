//! The rest of a streamed answer, once hyper has written its head and has been let go.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http_body::Body as _;
use primus_core::{Body, Io};
use tokio::io::AsyncWrite as _;

use crate::socket::Socket;

/// Pieces, and bytes of them, that leave in one chunk.
const PIECES: usize = 14;
const BYTES: usize = 64 << 10;
/// With what stands around a chunk, and the last one.
const SLICES: usize = PIECES + 3;

/// Writes a body as it comes. Nothing of it is copied, and one that waits holds no buffer.
pub(crate) struct Outflow {
    body: Body,
    /// RFC 9112 §7.1; else the end of the connection is the end of the body.
    chunked: bool,
    out: VecDeque<Bytes>,
    flushed: bool,
    ended: bool,
}

impl Outflow {
    pub(crate) fn new(body: Body, chunked: bool) -> Self {
        Self { body, chunked, out: VecDeque::new(), flushed: true, ended: false }
    }

    /// Ready when all of it has been written.
    pub(crate) fn poll<I: Io>(
        &mut self,
        socket: &mut Socket<I>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.out.is_empty() && !self.ended {
                self.gather(cx)?;
            }
            if self.out.is_empty() {
                self.out = VecDeque::new();
                if !self.flushed {
                    ready!(Pin::new(&mut *socket).poll_flush(cx))?;
                    self.flushed = true;
                }
                return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let written = ready!(Pin::new(&mut *socket).poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.flushed = false;
            self.written(written);
        }
    }

    /// Takes what there is, as one chunk.
    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = 0;
        while self.out.len() < PIECES && bytes < BYTES {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.ended = true;
                    break;
                }
                Poll::Ready(Some(frame)) => {
                    // Trailers, which nobody asked for, are left out.
                    let data = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
                    if !data.is_empty() {
                        bytes += data.len();
                        self.out.push_back(data);
                    }
                }
            }
        }
        if self.chunked && bytes > 0 {
            self.out.push_front(format!("{bytes:X}\r\n").into());
            self.out.push_back(Bytes::from_static(b"\r\n"));
        }
        if self.chunked && self.ended {
            self.out.push_back(Bytes::from_static(b"0\r\n\r\n"));
        }
        Ok(())
    }

    fn written(&mut self, mut bytes: usize) {
        while let Some(first) = self.out.front_mut() {
            if first.len() > bytes {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.out.pop_front();
        }
    }
}
