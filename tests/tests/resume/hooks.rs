//! What the application is told of it, and how such sessions count.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use primus::{Builder, State};
use primus_tests::{
    peer::Peer,
    server::{soon, until},
};
use tokio::sync::mpsc;

use super::{detached, server};

#[tokio::test]
async fn hooks_tell_the_detach_the_resume_and_the_end_in_their_order() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let (told, mut heard) = mpsc::channel(16);
    let tell = told.clone();
    server.on_detach(move |spark, reason| {
        let _ = tell.try_send(format!("detached {} {:?}", reason.code(), spark.state()));
        async {}
    });
    let tell = told.clone();
    server.on_resume(move |spark| {
        let _ = tell.try_send(format!("resumed by {}", spark.transformer()));
        async {}
    });
    server.on_disconnection(move |_, reason| {
        let _ = told.try_send(format!("over {}", reason.code()));
        async {}
    });
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    assert_eq!(soon(heard.recv()).await.unwrap(), "detached 1001 Detached");
    let mut peer = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(soon(heard.recv()).await.unwrap(), "resumed by sse");
    assert_eq!(spark.state(), State::Open);
    peer.send("primus::end::").await;
    assert_eq!(soon(heard.recv()).await.unwrap(), "over 1000");
}

#[tokio::test]
async fn who_flaps_faster_than_the_hooks_are_is_told_of_in_turn_and_within_bounds() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let told = Arc::<Mutex<Vec<&str>>>::default();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    server.on_detach({
        let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
        move |_, _| {
            told.lock().unwrap().push("detached");
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        }
    });
    let tell = Arc::clone(&told);
    server.on_resume(move |_| {
        tell.lock().unwrap().push("resumed");
        async {}
    });
    let tell = Arc::clone(&told);
    server.on_disconnection(move |_, _| {
        tell.lock().unwrap().push("over");
        async {}
    });
    let mut peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    for _ in 0..30 {
        let mut memory = peer.cut();
        detached(&spark).await;
        peer = Peer::come_back(server.address(), "websocket", &mut memory).await.unwrap();
    }
    peer.send("primus::end::").await;
    drop(peer);
    until("the end", || server.sessions() == 0).await;
    gate.add_permits(100);
    until("the last word", || told.lock().unwrap().last() == Some(&"over")).await;
    let told = told.lock().unwrap();
    assert!((10..=18).contains(&told.len()), "{told:?}");
    for (index, what) in told[..told.len() - 1].iter().enumerate() {
        assert_eq!(*what, ["detached", "resumed"][index % 2], "{told:?}");
    }
}

#[tokio::test]
async fn a_detached_session_counts_as_connected_for_a_moment_and_as_a_session_until_it_ends() {
    let builder = Builder::new().detach_grace(Duration::from_millis(300));
    let (server, mut arrivals) = server(builder).await;
    let peer = Peer::connect(server.address(), "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    detached(&spark).await;
    assert_eq!((server.connected(), server.sessions()), (1, 1));
    until("the end of the grace", || server.connected() == 0).await;
    assert_eq!(server.sessions(), 1);
    let mut peer = Peer::come_back(server.address(), "polling", &mut memory).await.unwrap();
    assert_eq!((server.connected(), server.sessions()), (1, 1));
    peer.send("primus::end::").await;
    drop(peer);
    until("the end", || server.sessions() == 0).await;
    assert_eq!(server.connected(), 0);
}
