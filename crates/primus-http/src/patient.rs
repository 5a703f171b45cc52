//! A connection that fails when its peer takes nothing of what is written for too long.
//!
//! HTTP/2 asks by pings whether a peer is there. One that reads nothing is asked nothing: the ping
//! waits behind all else, and so would the connection, for good.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use primus_core::Io;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

pub(crate) struct Patient<I> {
    io: I,
    patience: Duration,
    /// While it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<I: Io> Patient<I> {
    /// `patience`: how long nothing may be taken.
    pub(crate) fn new(io: I, patience: Duration) -> Self {
        Self { io, patience, stalled: None }
    }

    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: Io> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, space)
    }
}

impl<I: Io> AsyncWrite for Patient<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrote = Pin::new(&mut self.io).poll_flush(cx);
        self.wrote(cx, wrote)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrote = Pin::new(&mut self.io).poll_shutdown(cx);
        self.wrote(cx, wrote)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::{Instant, timeout},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_waited_for_and_who_takes_nothing_is_not() {
        let patience = Duration::from_secs(50);
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, patience);
        let slow = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(49)).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            Instant::now()
        };
        let write = async {
            let error = near.write_all(&[1; 100]).await.unwrap_err();
            (error.kind(), Instant::now())
        };
        let both = async { tokio::join!(slow, write) };
        let both = timeout(Duration::from_secs(1000), both).await;
        let (last, (error, end)) = both.expect("both end");
        assert_eq!((error, end - last), (io::ErrorKind::TimedOut, patience));
    }
}
