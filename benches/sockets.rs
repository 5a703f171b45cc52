//! WebSockets in memory, driven by the real driver: what a message costs from the bytes of one frame to
//! those of another.

use std::{future::ready, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use primus_core::{
    Head, MountSettings, Primus, Request, Settings, Transformer, Upgraded,
    handle::Spark,
    parser,
    request::{BoxError, empty},
    transform::Transforms,
};
use primus_websocket::WebSocket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// Bytes that a socket holds.
const ROOM: usize = 64 << 10;

/// A server with an echo for a handler and plain clients.
pub struct Sockets {
    /// The server.
    pub primus: Primus,
    clients: Vec<DuplexStream>,
}

impl Sockets {
    /// Connects so many clients.
    ///
    /// # Errors
    /// When a handshake fails.
    pub async fn new(count: usize) -> Result<Self, BoxError> {
        let mut settings = Settings::default();
        settings.max_connections = settings.max_connections.max(count);
        let mut mount = MountSettings::new("/");
        mount.parser = parser::raw();
        let transformer: Arc<dyn Transformer> = Arc::new(WebSocket::new());
        let mount = (mount, vec![Arc::clone(&transformer)]);
        let primus = Primus::new(settings, Transforms::default(), [mount]);
        primus.on_connection(echo);
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            let (client, server) = duplex(ROOM);
            let mut head = Head::new(Method::GET, Uri::from_static("/"));
            head.headers = handshake();
            let upgraded = Upgraded { io: Box::new(server), read: Bytes::new() };
            let upgrade = Box::pin(ready(Ok(upgraded)));
            let request = Request { head, body: empty(), upgrade: Some(upgrade) };
            let mount = Arc::clone(&primus.mounts()[0]);
            let answer = Arc::clone(&transformer).serve(request, mount).await;
            assert_eq!(answer.status(), 101, "a handshake");
            clients.push(client);
        }
        let mut sockets = Self { primus, clients };
        for client in 0..count {
            sockets.echo(client, b"ready").await?;
        }
        Ok(sockets)
    }

    /// Sends a message of less than 126 bytes and waits for it to come back.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn echo(&mut self, client: usize, message: &[u8]) -> Result<(), BoxError> {
        // The mask is zero, and takes as much work as any other.
        let length = u8::try_from(message.len())?;
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], message].concat();
        self.clients[client].write_all(&frame).await?;
        self.hear(client, message).await
    }

    /// Waits for a message on one client.
    ///
    /// # Errors
    /// When the connection is lost, or something else comes.
    pub async fn hear(&mut self, client: usize, message: &[u8]) -> Result<(), BoxError> {
        let mut frame = [0; 128];
        let frame = &mut frame[..2 + message.len()];
        self.clients[client].read_exact(frame).await?;
        if frame[2..] == *message { Ok(()) } else { Err("another message".into()) }
    }

    /// Waits for a message on every client.
    ///
    /// # Errors
    /// As [`hear`](Self::hear).
    pub async fn all_hear(&mut self, message: &[u8]) -> Result<(), BoxError> {
        for client in 0..self.clients.len() {
            self.hear(client, message).await?;
        }
        Ok(())
    }
}

async fn echo(mut spark: Spark) -> Result<(), BoxError> {
    while let Some(message) = spark.next().await {
        spark.write_message(message)?;
    }
    Ok(())
}

fn handshake() -> HeaderMap {
    [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into_iter()
    .collect()
}
