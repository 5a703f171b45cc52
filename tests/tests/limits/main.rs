//! Limits: each one is met, is told in its own words, and harms nobody else.

mod counts;
mod inbox;
mod messages;
mod openings;
mod queued;

use std::time::Duration;

use primus::{Builder, Primus, Spark, SparkId};
use primus_tests::{
    server::{Server, until},
    ws::Client,
};

fn websocket() -> Builder {
    Primus::builder().transformer("websocket").close_timeout(Duration::from_secs(1))
}

/// Another session, which must not notice anything.
async fn bystander(server: &Server) -> Client {
    let mut client = Client::resumable(server.address()).await;
    client.echoes("before").await;
    client
}

/// Nothing has happened to it, and a new session is as good as ever.
async fn unharmed(server: &Server, mut bystander: Client) {
    bystander.echoes("after").await;
    let mut another = Client::plain(server.address()).await;
    another.echoes("new").await;
    another.close().await;
    bystander.end().await;
    until("the end of all sessions", || server.sessions() == 0).await;
}

fn spark(server: &Server, client: &Client) -> Spark {
    let id: SparkId = client.attach()["id"].as_str().unwrap().parse().unwrap();
    server.spark(id).unwrap()
}
