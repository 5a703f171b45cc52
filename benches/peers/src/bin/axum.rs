//! axum's `WebSocketUpgrade`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    routing::get,
    serve::ListenerExt,
};
use peers::{Hub, run};

async fn session(mut socket: WebSocket, hub: Arc<Hub<Message>>) {
    let (id, mut queue) = hub.join();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
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
        let upgrade =
            get(|upgrade: WebSocketUpgrade, State(hub): State<Arc<Hub<Message>>>| async {
                upgrade.on_upgrade(|socket| session(socket, hub))
            });
        let app = Router::new().route("/", upgrade).with_state(Hub::<Message>::new());
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await.expect("it serves");
    });
}
