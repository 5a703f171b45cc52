//! Handshakes of TLS that come in pieces, end at once, or are none.

use std::sync::Arc;

use primus_tests::{
    certificate::Certificate,
    http::connect,
    server::{Server, soon, until},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::ClientConnection;

use super::tasks;

fn client(certificate: &Certificate) -> ClientConnection {
    let name = "localhost".try_into().unwrap();
    ClientConnection::new(Arc::new(certificate.client(&[])), name).unwrap()
}

/// The first record of a client, which is its hello.
fn hello(certificate: &Certificate) -> Vec<u8> {
    let mut hello = Vec::new();
    client(certificate).write_tls(&mut hello).unwrap();
    hello
}

/// One record for each of these pieces (RFC 8446 §5.1).
fn records(kind: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[kind, 3, 1][..], &length, piece].concat()
    };
    payload.chunks(size).flat_map(record).collect()
}

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

#[tokio::test]
async fn a_hello_in_pieces_is_a_hello_and_what_is_none_is_turned_away() {
    let certificate = Certificate::new("hostile");
    let server = Server::echo(certificate.builder()).await;
    let tasks_before = tasks();
    let hello = hello(&certificate);
    let message = &hello[5..];
    let alert = records(ALERT, &CLOSE_NOTIFY, 2);
    for (what, bytes, welcome) in [
        ("in one record", hello.clone(), true),
        ("a byte for each record", records(HANDSHAKE, message, 1), true),
        ("in two records", records(HANDSHAKE, message, message.len() - 1), true),
        ("cut", hello[..hello.len() - 1].to_vec(), false),
        (
            "half of a hello, then close_notify",
            [records(HANDSHAKE, &message[..50], 50), alert.clone()].concat(),
            false,
        ),
        ("close_notify at once", alert.clone(), false),
        ("close_notify for ever", alert.repeat(10_000), false),
        ("empty records for ever", [HANDSHAKE, 3, 1, 0, 0].repeat(10_000), false),
        (
            "a hello of 16 MiB, as it says",
            records(HANDSHAKE, &[1, 0xff, 0xff, 0xff, 3, 3], 6),
            false,
        ),
        ("no TLS", b"GET /primus HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), false),
    ] {
        let mut stream = connect(server.address()).await;
        let _ = soon(stream.write_all(&bytes)).await;
        let _ = soon(stream.shutdown()).await;
        let mut said = Vec::new();
        let _ = soon(stream.read_to_end(&mut said)).await;
        assert_eq!(said.first() == Some(&HANDSHAKE), welcome, "{what}: {said:02x?}");
        drop(stream);
        until("the end of its task", || tasks() <= tasks_before).await;
    }
    // The pieces were good: with them the handshake goes on to its end.
    let mut client = client(&certificate);
    let mut first = Vec::new();
    client.write_tls(&mut first).unwrap();
    let mut stream = connect(server.address()).await;
    for piece in records(HANDSHAKE, &first[5..], 3).chunks(1) {
        stream.write_all(piece).await.unwrap();
    }
    while client.is_handshaking() {
        let mut buffer = [0; 4096];
        let read = soon(stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "the server went");
        client.read_tls(&mut &buffer[..read]).unwrap();
        client.process_new_packets().unwrap();
        let mut answer = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut answer).unwrap();
        }
        stream.write_all(&answer).await.unwrap();
    }
    assert_eq!(server.sessions(), 0);
}
