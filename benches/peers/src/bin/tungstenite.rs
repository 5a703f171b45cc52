//! tokio-tungstenite as everybody writes it: its defaults, and `send`, which flushes, a message.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use peers::{Hub, run};
use tokio::net::TcpStream;
use tokio_tungstenite::{accept_async, tungstenite::Message};

async fn session(stream: TcpStream, hub: Arc<Hub<Message>>) {
    let _ = stream.set_nodelay(true);
    let Ok(mut socket) = accept_async(stream).await else { return };
    let (id, mut queue) = hub.join();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) if text.starts_with('b') => hub.broadcast(Message::Text(text)),
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    if socket.send(message).await.is_err() { break }
                }
                Some(Ok(_)) => {}
                _ => break,
            },
            Some(message) = queue.recv() => if socket.send(message).await.is_err() { break },
        }
    }
    hub.leave(id);
}

fn main() {
    run(|listener| async move {
        let hub = Hub::new();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(stream, hub.clone()));
        }
    });
}
