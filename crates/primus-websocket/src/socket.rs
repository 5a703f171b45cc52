//! The socket below a WebSocket.

use std::{
    any::Any,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use primus_core::Io;
#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Plain TCP, which lies here and is sent to directly, or anything else.
pub(crate) enum Socket {
    Tcp {
        stream: TcpStream,
        /// It did not take all: the runtime knows when there is room again.
        full: bool,
    },
    Other(Box<dyn Io>),
}

impl From<Box<dyn Io>> for Socket {
    fn from(io: Box<dyn Io>) -> Self {
        if !(&*io as &dyn Any).is::<TcpStream>() {
            return Self::Other(io);
        }
        match (io as Box<dyn Any>).downcast() {
            Ok(stream) => Self::Tcp { stream: *stream, full: false },
            Err(_) => unreachable!("it is one"),
        }
    }
}

impl Socket {
    fn as_io(&mut self) -> Pin<&mut dyn Io> {
        match self {
            Self::Tcp { stream, .. } => Pin::new(stream),
            Self::Other(io) => Pin::new(&mut **io),
        }
    }
}

/// Sends what the socket has room for, which nearly always is all. `None`: it is full, or was interrupted.
///
/// What the runtime knows of a socket lies elsewhere in memory, which for each receiver of a broadcast is a cache miss;
/// so it is asked only then. It tries once more, sees for itself that the socket is full, and wakes who waits.
#[cfg(target_os = "linux")]
fn send(stream: &TcpStream, bytes: &[u8]) -> Option<io::Result<usize>> {
    use rustix::{
        io::Errno,
        net::{SendFlags, send},
    };
    match send(stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
        Err(Errno::AGAIN | Errno::INTR) => None,
        sent => Some(sent.map_err(Into::into)),
    }
}

#[cfg(not(target_os = "linux"))]
fn send(_: &TcpStream, _: &[u8]) -> Option<io::Result<usize>> {
    None
}

/// Reads once, as tokio does: a read that does not fill its buffer is the last one before the next event, so what the
/// runtime knows of the socket is reset by it.
///
/// But it is not taken from the budget that tokio gives a task for one poll, for which it looks at more than for all the
/// rest: who calls this bounds its reads.
#[cfg(target_os = "linux")]
fn poll_recv(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    use rustix::net::{RecvFlags, recv};
    loop {
        let mut read = None;
        let tried = stream.try_io(Interest::READABLE, || {
            let (length, _) = recv(&*stream, &mut *buffer, RecvFlags::DONTWAIT)?;
            read = Some(length);
            let last = 0 < length && length < buffer.len();
            if last { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if let Some(length) = read {
            return Poll::Ready(Ok(length));
        }
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(stream.poll_read_ready(cx))?;
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Poll::Ready(Err(error));
            }
            _ => {}
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn poll_recv(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    poll_read(Pin::new(stream), cx, buffer)
}

fn poll_read(
    io: Pin<&mut (impl AsyncRead + ?Sized)>,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(io.poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

impl Socket {
    /// Reads once. Nothing at the end of the stream. To be called a bounded number of times in one poll of a task.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp { stream, .. } => poll_recv(stream, cx, buffer),
            Self::Other(io) => poll_read(Pin::new(&mut **io), cx, buffer),
        }
    }

    /// Pending: there is nothing to read, and the task is woken when there is. What is no plain TCP tells that only when
    /// it is read.
    #[inline]
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp { stream, .. } => stream.poll_read_ready(cx).map(drop),
            Self::Other(_) => Poll::Ready(()),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Self::Tcp { stream, full: full @ false } = &mut *self
            && let Some(sent) = send(stream, bytes)
        {
            *full = sent.as_ref().is_ok_and(|&sent| sent < bytes.len());
            return Poll::Ready(sent);
        }
        let written = self.as_io().poll_write(cx, bytes);
        if let Self::Tcp { full, .. } = &mut *self {
            *full = written.is_pending();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.as_io().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp { stream, .. } => stream.is_write_vectored(),
            Self::Other(io) => io.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp { .. } => Poll::Ready(Ok(())), // as TCP keeps nothing back
            Self::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.as_io().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        net::TcpListener,
    };

    use super::*;

    async fn connected() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let server: Box<dyn Io> = Box::new(server.unwrap().0);
        (client.unwrap(), server.into())
    }

    #[tokio::test]
    async fn what_a_full_socket_does_not_take_waits_until_it_has_room() {
        let (mut client, mut server) = connected().await;
        assert!(matches!(server, Socket::Tcp { full: false, .. }));
        let sent: Vec<u8> = (0..16 << 20).map(|index| (index % 251) as u8).collect();
        let mut first = 0;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(taken) = Pin::new(&mut server).poll_write(&mut cx, &sent[first..]) {
            first += taken.unwrap();
        }
        assert!(0 < first && first < sent.len());
        assert!(matches!(server, Socket::Tcp { full: true, .. }));
        let mut received = vec![0; sent.len()];
        let rest = async { server.write_all(&sent[first..]).await };
        let (read, written) = tokio::join!(client.read_exact(&mut received), rest);
        written.unwrap();
        assert_eq!(read.unwrap(), sent.len());
        assert!(received == sent);
        assert!(matches!(server, Socket::Tcp { full: false, .. }));
        drop(client);
        while server.write_all(b"to nobody").await.is_ok() {}
    }

    #[tokio::test]
    async fn what_is_no_plain_tcp_is_used_as_it_is() {
        let (mut client, server) = duplex(64);
        let mut server = Socket::from(Box::new(server) as Box<dyn Io>);
        assert!(matches!(server, Socket::Other(_)));
        server.write_all(b"there").await.unwrap();
        client.write_all(b"back").await.unwrap();
        let mut there = [0; 5];
        client.read_exact(&mut there).await.unwrap();
        assert_eq!(&there, b"there");
        assert_eq!(read(&mut server, 64).await.unwrap(), b"back");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(server.poll_readable(&mut cx).is_ready(), "only a read tells");
        assert!(server.poll_read(&mut cx, &mut [0; 64]).is_pending());
        drop(client);
        assert_eq!(read(&mut server, 64).await.unwrap(), b"");
    }

    async fn read(socket: &mut Socket, room: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; room];
        let length = poll_fn(|cx| socket.poll_read(cx, &mut buffer)).await?;
        buffer.truncate(length);
        Ok(buffer)
    }

    #[tokio::test]
    async fn a_read_that_does_not_fill_its_buffer_is_the_last_before_the_next_event() {
        let (mut client, mut server) = connected().await;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        client.write_all(b"12345678").await.unwrap();
        // As much as there is room for: there may be more, which only a read tells.
        assert_eq!(read(&mut server, 8).await.unwrap(), b"12345678");
        assert!(server.poll_readable(&mut cx).is_ready());
        assert!(server.poll_read(&mut cx, &mut [0; 8]).is_pending());
        client.write_all(b"12345678").await.unwrap();
        assert_eq!(read(&mut server, 5).await.unwrap(), b"12345");
        assert_eq!(read(&mut server, 5).await.unwrap(), b"678");
        assert!(server.poll_readable(&mut cx).is_pending());
        client.write_all(b"9").await.unwrap();
        poll_fn(|cx| server.poll_readable(cx)).await;
        assert_eq!(read(&mut server, 5).await.unwrap(), b"9");
        client.shutdown().await.unwrap();
        poll_fn(|cx| server.poll_readable(cx)).await;
        for _ in 0..2 {
            assert_eq!(read(&mut server, 5).await.unwrap(), b"");
            assert!(server.poll_readable(&mut cx).is_ready());
        }
    }

    #[tokio::test]
    async fn the_end_is_seen_behind_what_came_with_it() {
        let (mut client, mut server) = connected().await;
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read(&mut server, 64).await.unwrap(), b"last");
        poll_fn(|cx| server.poll_readable(cx)).await;
        assert_eq!(read(&mut server, 64).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_connection_that_is_reset_is_an_error() {
        let (client, mut server) = connected().await;
        server.write_all(b"never read").await.unwrap();
        client.readable().await.unwrap();
        drop(client); // with input that was not read
        let error = read(&mut server, 64).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
