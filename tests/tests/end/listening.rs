//! Listeners close, and return.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use primus::{Builder, End, Primus};
use primus_tests::{
    http::{Connection, get, post},
    server::{Server, echo, soon, until},
    ws::{Client, Raw, WsMessage},
};
use tokio::{net::TcpStream, sync::Notify, time::Instant};

use super::{quick, report};

fn ends_in(deadline: Duration) -> Builder {
    Primus::builder().listen("127.0.0.1:0").end(End { deadline, ..End::default() })
}

#[tokio::test]
async fn listen_and_serve_return_when_the_server_has_ended() {
    for listen in [true, false] {
        let primus = ends_in(Duration::from_secs(5)).build().unwrap();
        let server = primus.clone();
        let serving = tokio::spawn(async move {
            if listen { server.listen("127.0.0.1:0").await } else { server.serve().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(report(soon(primus.shutdown()).await), [0; 4]);
        soon(serving).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn shutdown_ends_as_the_options_say() {
    let mut server = Server::start(ends_in(Duration::from_millis(300))).await;
    server.on_connection(echo);
    let mut unread = Raw::open(server.address(), "/primus").await;
    let began = Instant::now();
    assert_eq!(report(soon(server.shutdown()).await), [0, 1, 0, 0]);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(200) && took < Duration::from_millis(800), "{took:?}");
    server.returned().await;
    unread.gone().await;
}

#[tokio::test]
async fn two_listeners_of_one_server_both_close() {
    let mut server = Server::echo(Primus::builder()).await;
    let second = server.bind("127.0.0.1:0").await.unwrap();
    let address = second.local_addr();
    let second = tokio::spawn(second.serve());
    let (mut one, mut two) = (Client::plain(server.address()).await, Client::plain(address).await);
    let (ended, first, other) =
        tokio::join!(server.end(quick()), one.close_code(), two.close_code());
    assert_eq!((report(ended), first, other), ([2, 0, 0, 0], 4003, 4003));
    server.returned().await;
    soon(second).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_idle_keep_alive_connection_and_one_that_said_nothing_do_not_hold_it_up() {
    let mut server = Server::echo(Primus::builder()).await;
    let mut idle = Connection::one(server.address()).await;
    assert_eq!(get("/primus/spec").send_on(&mut idle).await.status, StatusCode::OK);
    let mut silent = Raw::connect(server.address()).await;
    let mut two = Connection::two(server.address()).await;
    assert_eq!(get("/primus/spec").send_on(&mut two).await.status, StatusCode::OK);
    let began = Instant::now();
    let ended = soon(server.end(quick())).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(report(ended), [0, 0, 0, 0]);
    server.returned().await;
    silent.gone().await;
    drop((idle, two));
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_listener_closes() {
    let mut server = Server::start(Primus::builder()).await;
    let entered = Arc::new(Notify::new());
    let may_answer = Arc::new(Notify::new());
    let (enters, waits) = (Arc::clone(&entered), Arc::clone(&may_answer));
    server.on_connection(move |mut spark| {
        let (enters, waits) = (Arc::clone(&enters), Arc::clone(&waits));
        async move {
            while spark.next().await.is_some() {}
            enters.notify_one();
            waits.notified().await;
            Ok(())
        }
    });
    let to = server.address();
    let primus = server.primus();
    let posted = tokio::spawn(async move { post("/primus", "one message").send(to).await });
    soon(entered.notified()).await;
    let ending = tokio::spawn(async move { primus.end(quick()).await });
    until("the end to begin", || server.phase().draining).await;
    may_answer.notify_one();
    let answer = soon(posted).await.unwrap();
    assert!(answer.status.is_success(), "{answer:?}");
    let ended = soon(ending).await.unwrap();
    assert_eq!((ended.cut, ended.connections_cut), (0, 0));
    server.returned().await;
}

#[tokio::test]
async fn a_client_that_reads_pings_only_is_told_as_well() {
    let builder = Primus::builder().ping_interval(Duration::from_millis(20));
    let server = Server::echo(builder).await;
    let mut client = Client::plain(server.address()).await;
    assert!(matches!(client.message().await, Some(WsMessage::Ping(_))));
    let (ended, code) = tokio::join!(server.end(quick()), client.close_code());
    assert_eq!((report(ended), code), ([1, 0, 0, 0], 4003));
}
