//! What `stats` says of a server.

use std::time::Duration;

use super::websocket;
use primus::{Primus, Spark};
use primus_tests::{
    peer::Peer,
    server::{Server, until},
};

/// Sessions, those connected, those that wait.
fn counts(primus: &Primus) -> (usize, usize, usize) {
    let stats = primus.stats();
    (stats.sessions, stats.connected, stats.waiting)
}

fn handler_bytes(handler: impl FnOnce(&Primus)) -> usize {
    let primus = websocket().build().unwrap();
    assert_eq!(primus.stats().handler_bytes, None);
    handler(&primus);
    primus.stats().handler_bytes.unwrap()
}

#[tokio::test]
async fn stats_follow_who_comes_is_away_comes_back_and_ends() {
    let builder = Primus::builder().detach_grace(Duration::from_millis(20));
    let server = Server::echo(builder).await;
    assert_eq!(counts(&server), (0, 0, 0));

    let mut stays = Peer::connect(server.address(), "websocket").await;
    let goes = Peer::connect(server.address(), "websocket").await;
    assert_eq!(counts(&server), (2, 2, 0));
    assert_eq!(server.stats().kept, 0);

    let spark = server.spark(goes.id().parse().unwrap()).unwrap();
    let mut memory = goes.cut();
    until("the end of the grace", || counts(&server) == (2, 1, 1)).await;
    spark.write("a message that waits for its client").unwrap();
    assert!(server.stats().kept >= r#""a message that waits for its client""#.len());
    assert_eq!(server.stats().kept, server.kept());

    let mut back = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    assert_eq!(counts(&server), (2, 2, 0));
    assert_eq!(back.text().await, r#""a message that waits for its client""#);

    back.send("primus::end::").await;
    drop(back);
    until("the end of one", || counts(&server) == (1, 1, 0)).await;
    server.spark(stays.id().parse().unwrap()).unwrap().end(primus::CloseReason::ENDED);
    stays.rest().await;
    until("the end of the other", || counts(&server) == (0, 0, 0)).await;
    until("nothing is kept", || server.stats().kept == 0).await;
}

#[tokio::test]
async fn stats_show_the_bytes_of_the_handlers_future() {
    let large = handler_bytes(|primus| {
        primus.on_connection(async |mut spark: Spark| {
            let mut recent = [0_u8; 1024];
            while let Some(message) = spark.next().await {
                recent[message.as_bytes().len() % 1024] += 1;
            }
            Ok(())
        });
    });
    assert!((1024..=1024 + 256).contains(&large), "{large}");

    let boxed = handler_bytes(|primus| {
        primus.on_connection(async |mut spark: Spark| {
            let mut recent = Box::new([0_u8; 1024]);
            while let Some(message) = spark.next().await {
                recent[message.as_bytes().len() % 1024] += 1;
            }
            Ok(())
        });
    });
    assert_eq!(boxed, large - 1024 + size_of::<usize>());

    let nothing = handler_bytes(|primus| primus.on_connection(async |_: Spark| Ok(())));
    assert!(nothing <= 64, "{nothing}");

    // The last one that was set is the one that runs.
    let replaced = handler_bytes(|primus| {
        primus.on_connection(|_| std::future::ready(Ok(())));
        primus.root().on_connection(|_| Box::pin(async { Ok(()) }));
    });
    assert_eq!(replaced, size_of::<usize>());
}

#[tokio::test]
async fn a_channel_shows_the_bytes_of_its_own_handler_else_of_its_patterns() {
    let primus = websocket().build().unwrap();
    let documents = primus.channels("/doc/*").unwrap();
    let document = primus.channel("/doc/1").unwrap();
    assert_eq!(document.handler_bytes(), None);
    documents.on_connection(|_| Box::pin(async { Ok(()) }));
    assert_eq!(documents.handler_bytes(), Some(size_of::<usize>()));
    assert_eq!(document.handler_bytes(), Some(size_of::<usize>()));
    document.on_connection(|_| std::future::ready(Ok(())));
    let ready = size_of::<std::future::Ready<primus::Result>>();
    assert_eq!(document.handler_bytes(), Some(ready));
    assert_eq!(documents.handler_bytes(), Some(size_of::<usize>()));
    assert_eq!((primus.root().handler_bytes(), primus.stats().handler_bytes), (None, None));
}
