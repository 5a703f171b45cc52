//! tokio-tungstenite as well as it goes: a read buffer of 4 KiB in place of 128, and answers that
//! are fed while there is more to read and flushed once.

use std::sync::Arc;

use futures_util::{FutureExt, SinkExt, StreamExt};
use peers::{Hub, run};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};

type Read = Option<Result<Message, Error>>;

/// Answers this message and those that are at hand behind it. False at the end.
async fn answer(socket: &mut WebSocketStream<TcpStream>, first: Read, hub: &Hub<Message>) -> bool {
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Some(Ok(Message::Text(text))) if text.starts_with('b') => {
                hub.broadcast(Message::Text(text));
            }
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if socket.feed(message).await.is_err() {
                    return false;
                }
            }
            Some(Ok(_)) => {}
            _ => return false,
        }
        next = socket.next().now_or_never();
    }
    true
}

async fn session(stream: TcpStream, hub: Arc<Hub<Message>>) {
    let _ = stream.set_nodelay(true);
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let Ok(mut socket) = accept_async_with_config(stream, Some(config)).await else { return };
    let (id, mut queue) = hub.join();
    'session: loop {
        tokio::select! {
            message = socket.next() => if !answer(&mut socket, message, &hub).await { break },
            Some(message) = queue.recv() => {
                let mut next = Ok(message);
                while let Ok(message) = next {
                    if socket.feed(message).await.is_err() { break 'session }
                    next = queue.try_recv();
                }
            }
        }
        if socket.flush().await.is_err() {
            break;
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
