//! What was written meanwhile leaves in one write.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use primus::Primus;
use primus_tests::{
    server::echo,
    ws::{Client, Raw, frame, opcode},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use crate::websocket;

/// A socket that counts how often it is written to.
struct Counted {
    socket: TcpStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes));
        self.writes.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bytes));
        self.writes.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Where a server is reached by sockets that count their writes together.
async fn counted(primus: &Primus) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let writes = Arc::<AtomicUsize>::default();
    let (primus, count) = (primus.clone(), Arc::clone(&writes));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let io = TokioIo::new(Counted { socket, writes: Arc::clone(&count) });
            let service = TowerToHyperService::new(primus.service());
            tokio::spawn(http1::Builder::new().serve_connection(io, service).with_upgrades());
        }
    });
    (address, writes)
}

fn since(writes: &AtomicUsize) -> usize {
    writes.swap(0, Ordering::Relaxed)
}

#[tokio::test]
async fn what_is_published_in_one_turn_leaves_in_one_write_for_each_receiver() {
    let primus = websocket().build().unwrap();
    primus.on_connection(echo);
    let (address, writes) = counted(&primus).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::plain(address).await;
        client.echoes("\"here\"").await;
        clients.push(client);
    }
    since(&writes);
    for number in 0..8 {
        assert_eq!(primus.write(&number).unwrap(), 3);
    }
    for client in &mut clients {
        for number in 0..8 {
            assert_eq!(client.text().await, number.to_string());
        }
    }
    assert_eq!(since(&writes), 3);
}

#[tokio::test]
async fn the_answers_to_what_one_read_brought_leave_in_one_write_and_its_pongs_with_them() {
    let primus = websocket().build().unwrap();
    primus.on_connection(echo);
    let (address, writes) = counted(&primus).await;
    let mut client = Raw::open(address, "/primus").await;
    since(&writes);
    let numbers: Vec<u8> = (0..32).collect();
    let both = |number: &u8| [opcode::TEXT, opcode::PING].map(|first| frame(first, [*number]));
    client.send(numbers.iter().flat_map(both).flatten().collect::<Vec<_>>()).await;
    let (mut texts, mut pongs) = (Vec::new(), Vec::new());
    for _ in 0..2 * numbers.len() {
        let frame = client.frame().await.unwrap();
        match frame.first {
            opcode::TEXT => texts.extend(frame.payload),
            first => {
                assert_eq!(first, opcode::PONG);
                pongs.extend(frame.payload);
            }
        }
    }
    assert_eq!((&texts, &pongs), (&numbers, &numbers));
    assert_eq!(since(&writes), 1);
}
