//! socketioxide: the event `m` with a string.

use axum::{Router, serve::ListenerExt};
use peers::run;
use socketioxide::{
    SocketIo,
    extract::{Data, SocketRef},
};

async fn said(socket: SocketRef, Data(text): Data<String>, io: SocketIo) {
    let _ = match text.starts_with('b') {
        true => io.emit("m", &text).await.is_ok(),
        false => socket.emit("m", &text).is_ok(),
    };
}

fn main() {
    run(|listener| async move {
        let (layer, io) = SocketIo::builder().max_payload(1 << 20).build_layer();
        io.ns("/", async |socket: SocketRef| socket.on("m", said));
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().layer(layer)).await.expect("it serves");
    });
}
