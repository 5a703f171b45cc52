//! Clients that read nothing for a while: with the smallest buffers, so that a server notices soon.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long a server may take nothing until that counts as not reading.
const PAUSE: Duration = Duration::from_millis(500);

/// Connects with a window that is full at once.
///
/// # Panics
/// If that fails.
pub async fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.set_send_buffer_size(16 << 10).expect("a small buffer");
    socket.connect(to).await.expect("a connection")
}

/// Sends until nothing more is taken, or all is: how many bytes that were.
///
/// # Panics
/// If the connection breaks.
pub async fn fill(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while taken < bytes.len()
        && let Ok(written) = timeout(PAUSE, stream.write(&bytes[taken..])).await
    {
        taken += written.expect("a connection");
    }
    taken
}
