//! A socket with its protocol state: reads into the thread's scratch, feeds tungstenite, and queues what
//! is to be written. Before there is a session it is used as it is; then a task drives it.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use primus_core::{Carrier, CloseReason, MountSettings, Payload, Upgraded};
use tokio::{io::AsyncWriteExt as _, task::coop::poll_proceed};

use crate::{
    deflate::{Agreed, Deflate, Inflate},
    dialect::Dialect,
    frame,
    frames::{Frames, Received},
    out::Out,
    socket::Socket,
    task::Task,
};

/// What a worker thread reads into. Nothing of it survives a turn.
pub(crate) const SCRATCH: usize = 64 << 10;

thread_local! {
    static READ: Cell<Box<[u8]>> = Cell::default();
}

/// The thread's read buffer, as long as this is held.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    pub(crate) fn take() -> Self {
        let buffer = READ.take();
        Self(if buffer.is_empty() { vec![0; SCRATCH].into() } else { buffer })
    }

    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // While a thread ends there is nobody left to keep it.
        let _ = READ.try_with(|read| read.set(std::mem::take(&mut self.0)));
    }
}

/// A WebSocket that is open.
///
/// What a dialect has to say before there is a session, it says by [`receive`](Self::receive) and
/// [`send`](Self::send); then it lets the connection [`drive`](Self::drive) the session, or
/// [`refuse`](Self::refuse)s it.
#[repr(C)] // so that it begins with what each message to the client needs
pub struct Connection {
    pub(crate) out: Out,
    pub(crate) io: Socket,
    /// Read and not yet parsed: what came with the handshake, or behind a full inbox.
    backlog: Option<Box<BytesMut>>,
    pub(crate) frames: Frames,
}

impl Connection {
    pub(crate) fn new(
        upgraded: Upgraded,
        settings: &MountSettings,
        compression: Option<Agreed>,
    ) -> Self {
        let limits = &settings.limits;
        let frames = Frames::new(limits.max_message, limits.max_fragments);
        let mut out = Out::default();
        out.deflate = compression.map(|agreed| Box::new(Deflate::new(agreed)));
        let mut connection = Self {
            io: upgraded.io.into(),
            frames: frames.inflating(compression.map(Inflate::new)),
            backlog: None,
            out,
        };
        connection.put_back(upgraded.read.into());
        connection
    }

    /// What was put back.
    pub(crate) fn take_back(&mut self) -> Option<Box<BytesMut>> {
        self.backlog.take()
    }

    /// Keeps what was read and is not parsed now.
    pub(crate) fn put_back(&mut self, read: BytesMut) {
        self.backlog = (!read.is_empty()).then(|| Box::new(read));
    }

    /// The next message, of at most `max` bytes, after what was sent has been written. Nothing is lost
    /// when this is dropped while it waits.
    ///
    /// # Errors
    /// Why the connection cannot go on: what the client did wrong, or that it has gone.
    pub async fn receive(&mut self, max: usize) -> Result<Payload, CloseReason> {
        poll_fn(|cx| {
            let usual = self.frames.limit(max);
            let received = self.poll_receive(cx);
            self.frames.limit(usual);
            received
        })
        .await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Payload, CloseReason>> {
        loop {
            let mut backlog = self.take_back().unwrap_or_default();
            let mut input = &mut backlog[..];
            let received = self.frames.next(&mut input, &mut self.out)?;
            let left = input.len();
            backlog.advance(backlog.len() - left);
            self.put_back(*backlog);
            let written = self.out.poll_write(cx, &mut self.io);
            if let Poll::Ready(Err(_)) = written {
                return Poll::Ready(Err(CloseReason::GOING_AWAY));
            }
            match received {
                Some(Received::Close(_)) => return Poll::Ready(Err(CloseReason::GOING_AWAY)),
                Some(Received::Pong) => {}
                Some(Received::Message(message)) => return Poll::Ready(Ok(message)),
                None => {
                    let mut scratch = Scratch::take();
                    let read = match ready!(self.poll_read(cx, &mut scratch)) {
                        Ok(read) if !read.is_empty() => BytesMut::from(&*read),
                        _ => return Poll::Ready(Err(CloseReason::GOING_AWAY)),
                    };
                    self.put_back(read);
                }
            }
        }
    }

    /// Queues a message. It leaves with the next [`receive`](Self::receive) or
    /// [`flush`](Self::flush), or when the connection is driven.
    pub fn send(&mut self, message: &Payload) {
        self.out.push_message(message);
    }

    /// Writes what has been sent.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.out.poll_write(cx, &mut self.io)).await
    }

    /// Carries a session from here on, in a task of its own, until either is over.
    pub fn drive<D: Dialect>(self, carrier: Carrier, dialect: D) {
        Task::spawn(self, carrier, dialect);
    }

    /// Reads once, out of the budget that the runtime gives the task for one poll, so that who reads on without end lets
    /// others run, and its own timeout. Nothing at the end of the stream.
    fn poll_read<'a>(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &'a mut Scratch,
    ) -> Poll<io::Result<&'a mut [u8]>> {
        let budget = ready!(poll_proceed(cx));
        let read = ready!(self.io.poll_read(cx, scratch.room()))?;
        budget.made_progress();
        Poll::Ready(Ok(&mut scratch.room()[..read]))
    }

    /// Queues our close frame.
    pub(crate) fn close(&mut self, reason: &CloseReason) {
        self.frames.close(reason, &mut self.out);
    }

    /// Queues the answer to the peer's close, behind everything else.
    pub(crate) fn answer_close(&mut self) {
        self.frames.answer_close(&mut self.out);
    }

    /// Sends last words and closes, waiting for the peer for a while. For connections that never
    /// got a session.
    pub async fn refuse(
        mut self,
        words: Option<Payload>,
        reason: &CloseReason,
        patience: Duration,
    ) {
        if let Some(words) = words {
            self.out.push_message(&words);
        }
        self.out.small(|tail| frame::put_close(tail, reason));
        let farewell = async {
            poll_fn(|cx| self.out.poll_write(cx, &mut self.io)).await?;
            self.io.shutdown().await?;
            // Unread input would make the kernel reset the connection under our last words.
            while poll_fn(|cx| self.poll_discard(cx)).await? {}
            Ok::<_, io::Error>(())
        };
        let _ = tokio::time::timeout(patience, farewell).await;
    }

    /// Reads once, and throws it away. False at the end of the stream.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut scratch = Scratch::take();
        self.poll_read(cx, &mut scratch).map_ok(|read| !read.is_empty())
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("out", &self.out.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use bytes::Bytes;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// A client that has one more frame for each read, without end.
    struct Endless([u8; 6]);

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(&self.0);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn who_says_nothing_without_end_does_not_keep_others_from_running() {
        for first in [0x89, 0x8a] {
            let io = Box::new(Endless([first, 0x80, 1, 2, 3, 4]));
            let upgraded = Upgraded { io, read: Bytes::new() };
            let mut connection = Connection::new(upgraded, &MountSettings::new("/primus"), None);
            let received = connection.receive(64);
            let waited = tokio::time::timeout(Duration::from_millis(1), received).await;
            assert!(waited.is_err(), "the time limit was never looked at");
        }
    }
}
