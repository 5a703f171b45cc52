//! fastwebsockets over hyper. Split: the reader echoes, a second task carries the broadcasts,
//! because dropping its `read_frame` in a `select!` may lose data.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, upgrade};
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use peers::{Hub, run};
use tokio::{net::TcpStream, sync::Mutex};

async fn session(upgrade: upgrade::UpgradeFut, hub: Arc<Hub<Bytes>>) {
    let Ok(socket) = upgrade.await else { return };
    let (reader, writer) = socket.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let writer = Arc::new(Mutex::new(writer));
    let (id, mut queue) = hub.join();
    let broadcasts = tokio::spawn({
        let writer = writer.clone();
        async move {
            while let Some(text) = queue.recv().await {
                let frame = Frame::text(Payload::Borrowed(&text));
                if writer.lock().await.write_frame(frame).await.is_err() {
                    break;
                }
            }
        }
    });
    let mut control = |_: Frame<'_>| async { Ok::<_, Infallible>(()) };
    while let Ok(frame) = reader.read_frame(&mut control).await {
        let answer = match frame.opcode {
            OpCode::Text if frame.payload.first() == Some(&b'b') => {
                hub.broadcast(Bytes::copy_from_slice(&frame.payload));
                continue;
            }
            OpCode::Text | OpCode::Binary => Frame::new(true, frame.opcode, None, frame.payload),
            OpCode::Close => Frame::close(1000, b""),
            _ => continue,
        };
        let closes = answer.opcode == OpCode::Close;
        if writer.lock().await.write_frame(answer).await.is_err() || closes {
            break;
        }
    }
    hub.leave(id);
    broadcasts.abort();
}

async fn connection(stream: TcpStream, hub: Arc<Hub<Bytes>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|mut request: Request<Incoming>| {
        let hub = hub.clone();
        async move {
            let (response, upgrade) = upgrade::upgrade(&mut request)?;
            tokio::spawn(session(upgrade, hub));
            Ok::<Response<Empty<Bytes>>, fastwebsockets::WebSocketError>(response)
        }
    });
    let http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = http.with_upgrades().await;
}

fn main() {
    run(|listener| async move {
        let hub = Hub::new();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, hub.clone()));
        }
    });
}
