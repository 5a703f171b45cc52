//! Sessions that survive their carriers, over real sockets and all three transports.

mod carriers;
mod hooks;
mod losses;
mod permission;

use std::time::Duration;

use primus::{Builder, Spark, State};
use primus_tests::server::{Server, until};
use tokio::sync::mpsc;

/// A server that hands every new spark to the test, and keeps it until the test lets go of it.
async fn server(builder: Builder) -> (Server, mpsc::Receiver<Spark>) {
    // Handlers that never return are dropped at once.
    let server = Server::start(builder.handler_grace(Duration::ZERO)).await;
    let (sparks, arrivals) = mpsc::channel(16);
    server.on_connection(move |spark| {
        sparks.try_send(spark.clone()).expect("the test lives");
        async move {
            std::future::pending::<()>().await;
            drop(spark);
            Ok(())
        }
    });
    (server, arrivals)
}

async fn detached(spark: &Spark) {
    until("the detach", || spark.state() == State::Detached).await;
}
