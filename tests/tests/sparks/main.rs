//! Handlers and their sparks, over real WebSockets.

mod callbacks;
mod ends;
mod known;
mod messages;
mod pressure;
mod stats;
mod stuck;
mod turn;
mod writes;

use primus::{Builder, Primus};
use primus_tests::server::{Server, soon};
use tokio::sync::mpsc;

fn websocket() -> Builder {
    Primus::builder().transformer("websocket")
}

/// What happened, in order.
#[derive(Clone)]
struct Log(mpsc::Sender<String>);

impl Log {
    fn new() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(1000);
        (Self(sender), receiver)
    }

    fn add(&self, what: impl Into<String>) {
        self.0.try_send(what.into()).unwrap();
    }
}

async fn next(events: &mut mpsc::Receiver<String>) -> String {
    soon(events.recv()).await.unwrap()
}

/// Writes `disconnected <reason>` into the log.
fn log_disconnections(server: &Server, log: &Log) {
    let log = log.clone();
    server.on_disconnection(move |_, reason| {
        log.add(format!("disconnected {reason}"));
        async {}
    });
}
