//! A server in memory, with an echo for a handler that remembers what it was told.

use std::{
    future::ready,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use primus_core::{
    BoxError, Head, Limits, MountSettings, Payload, Primus, Request, Response, Settings,
    Transformer, Upgraded, handle::Spark, request::empty, transform::Transforms,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};

/// Bytes that a socket holds, each way.
const ROOM: usize = 4 << 10;

/// A server with one mount at `/` and one transformer.
pub(crate) struct Server {
    pub(crate) primus: Primus,
    transformer: Arc<dyn Transformer>,
    heard: Arc<Mutex<Vec<Payload>>>,
}

/// A mount where nothing outlives its connection.
pub(crate) fn mount(limits: impl FnOnce(&mut Limits)) -> MountSettings {
    let mut mount = MountSettings::new("/");
    mount.limits.resume_window = std::time::Duration::ZERO;
    limits(&mut mount.limits);
    mount
}

impl Server {
    pub(crate) fn new(transformer: impl Transformer, mount: MountSettings) -> Self {
        let transformer: Arc<dyn Transformer> = Arc::new(transformer);
        let mount = (mount, vec![Arc::clone(&transformer)]);
        let primus = Primus::new(Settings::default(), Transforms::default(), [mount]);
        let heard = Arc::default();
        primus.on_connection({
            let heard = Arc::clone(&heard);
            move |spark| echo(spark, Arc::clone(&heard))
        });
        Self { primus, transformer, heard }
    }

    /// Whether no handler is left.
    pub(crate) fn has_returned(&self) -> bool {
        Arc::strong_count(&self.heard) == 2 // ours, and that of those to come
    }

    /// What all handlers were told until now.
    pub(crate) fn heard(&self) -> Vec<Payload> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn serve(&self, request: Request) -> Response {
        let mount = Arc::clone(&self.primus.mounts()[0]);
        Arc::clone(&self.transformer).serve(request, mount).await
    }

    /// The answer to a handshake, and the client's end of the socket.
    pub(crate) async fn upgrade(&self, head: Head) -> (Response, DuplexStream) {
        let (client, server) = duplex(ROOM);
        let upgraded = Upgraded { io: Box::new(server), read: Bytes::new() };
        let upgrade = Some(Box::pin(ready(Ok(upgraded))) as _);
        (self.serve(Request { head, body: empty(), upgrade }).await, client)
    }

    /// Opens a WebSocket, says this in chunks of these sizes, then nothing more. What the server said until
    /// it closed its side; its session is gone by then.
    pub(crate) async fn converse(&self, head: Head, stream: &[u8], chunks: &[usize]) -> Vec<u8> {
        let (response, client) = self.upgrade(head).await;
        assert_eq!(response.status(), 101, "a handshake");
        let (mut reading, mut writing) = split(client);
        let say = async {
            let (mut rest, mut sizes) = (stream, chunks.iter().cycle());
            while !rest.is_empty() {
                let size = sizes.next().map_or(rest.len(), |size| *size).clamp(1, rest.len());
                let now;
                (now, rest) = rest.split_at(size);
                if writing.write_all(now).await.is_err() {
                    break; // it has gone
                }
                tokio::task::yield_now().await;
            }
            let _ = writing.shutdown().await;
        };
        let mut said = Vec::new();
        let hear = reading.read_to_end(&mut said);
        let (_, heard) = tokio::join!(say, hear);
        heard.expect("a socket in memory does not fail");
        while self.primus.sessions() > 0 {
            tokio::task::yield_now().await;
        }
        said
    }
}

async fn echo(mut spark: Spark, heard: Arc<Mutex<Vec<Payload>>>) -> Result<(), BoxError> {
    while let Some(message) = spark.next().await {
        let payload = Payload::from(message);
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(payload.clone());
        spark.write_message(payload)?;
    }
    Ok(())
}

/// Runs on one thread, so that an input always does the same.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

/// A handshake as clients send it, and these headers.
pub(crate) fn handshake(uri: &'static str, more: &[(HeaderName, &'static str)]) -> Head {
    let mut head = Head::new(Method::GET, Uri::from_static(uri));
    let usual = [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    head.headers = usual
        .iter()
        .chain(more)
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect::<HeaderMap>();
    head
}
