//! A socket with its protocol state: reads into the thread's scratch, feeds tungstenite, and queues what
//! is to be written.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use primus_core::{CloseReason, Io, MountSettings, Payload, Upgraded};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use crate::{
    deflate::{Agreed, Deflate, Inflate},
    frame,
    frames::{Frames, Received},
    out::Out,
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
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // While a thread ends there is nobody left to keep it.
        let _ = READ.try_with(|read| read.set(std::mem::take(&mut self.0)));
    }
}

/// A socket with its protocol state.
pub(crate) struct Connection {
    pub(crate) io: Box<dyn Io>,
    pub(crate) frames: Frames,
    /// Read and not yet parsed: what came with the handshake, or behind a full inbox.
    pub(crate) backlog: Bytes,
    pub(crate) out: Out,
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
        Self {
            io: upgraded.io,
            frames: frames.inflating(compression.map(Inflate::new)),
            backlog: upgraded.read,
            out,
        }
    }

    /// The first message, in whatever chunks it comes; for the attach.
    pub(crate) async fn first(&mut self, max: usize) -> Result<Received, CloseReason> {
        self.frames.limit(max);
        poll_fn(|cx| {
            loop {
                let backlog = std::mem::take(&mut self.backlog);
                let mut input = &backlog[..];
                let received = self.frames.next(&mut input, &mut self.out)?;
                self.backlog = backlog.slice_ref(input);
                let written = self.out.poll_write(cx, &mut self.io);
                if let Poll::Ready(Err(_)) = written {
                    return Poll::Ready(Err(CloseReason::GOING_AWAY));
                }
                match received {
                    Some(Received::Close(_)) => return Poll::Ready(Err(CloseReason::GOING_AWAY)),
                    Some(Received::Pong) => {}
                    Some(message) => return Poll::Ready(Ok(message)),
                    None => {
                        let mut scratch = Scratch::take();
                        match self.poll_read(cx, &mut scratch) {
                            Poll::Pending => return Poll::Pending,
                            Poll::Ready(Ok(read)) if !read.is_empty() => {
                                self.backlog = Bytes::copy_from_slice(read);
                            }
                            Poll::Ready(_) => return Poll::Ready(Err(CloseReason::GOING_AWAY)),
                        }
                    }
                }
            }
        })
        .await
    }

    /// Reads once. Nothing at the end of the stream.
    pub(crate) fn poll_read<'a>(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &'a mut Scratch,
    ) -> Poll<io::Result<&'a [u8]>> {
        let mut buffer = ReadBuf::new(&mut scratch.0);
        std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        Poll::Ready(Ok(&scratch.0[..read]))
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
    pub(crate) async fn refuse(
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
