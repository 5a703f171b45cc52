//! The socket below a WebSocket.

use std::{
    any::Any,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use primus_core::Io;
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

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.as_io().poll_read(cx, buffer)
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
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn what_a_full_socket_does_not_take_waits_until_it_has_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (mut client, server): (_, Box<dyn Io>) = (client.unwrap(), Box::new(server.unwrap().0));
        let mut server = Socket::from(server);
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
        let (mut there, mut back) = ([0; 5], [0; 4]);
        client.read_exact(&mut there).await.unwrap();
        server.read_exact(&mut back).await.unwrap();
        assert_eq!((&there, &back), (b"there", b"back"));
    }
}
