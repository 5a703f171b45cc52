//! Handshakes of TLS that come in pieces, end at once, or are none.

use std::{path::PathBuf, sync::Arc};

use primus::Primus;
use primus_tests::{
    http::connect,
    server::{Server, soon, until},
};
use rcgen::generate_simple_self_signed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::CertificateDer,
};

use super::tasks;

struct Certificate {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("primus-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, der: made.cert.der().clone() }
    }

    async fn server(&self) -> Server {
        let path = |file: &str| self.folder.join(file).display().to_string();
        Server::echo(Primus::builder().tls(path("cert.pem"), path("key.pem"))).await
    }

    fn client(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }

    /// The first record of a client, which is its hello.
    fn hello(&self) -> Vec<u8> {
        let mut hello = Vec::new();
        self.client().write_tls(&mut hello).unwrap();
        hello
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
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
    let server = certificate.server().await;
    let tasks_before = tasks();
    let hello = certificate.hello();
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
    let mut client = certificate.client();
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
