//! What an end is asked for.

use std::{task::Poll, time::Duration};

use futures_util::future::join_all;
use http::StatusCode;
use primus::{End, Primus};
use primus_tests::{
    http::{get, post},
    server::{Server, soon},
    ws::Client,
};
use serde_json::Value;
use tokio::{net::TcpStream, time::Instant};

use super::{quick, report};

#[derive(Debug, PartialEq)]
enum Newcomer {
    Welcome,
    /// 503 with `Retry-After`.
    TurnedAway,
    /// Nobody listens.
    Refused,
}

async fn newcomer(server: &Server) -> Newcomer {
    if TcpStream::connect(server.address()).await.is_err() {
        return Newcomer::Refused;
    }
    match Client::open(server.address(), "/primus", &[]).await {
        Ok(mut client) => {
            client.echoes("1").await;
            client.close().await;
            Newcomer::Welcome
        }
        Err(answer) => {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers()["retry-after"], "1");
            Newcomer::TurnedAway
        }
    }
}

#[tokio::test]
async fn all_eight_combinations_of_close_end_and_reconnect() {
    use Newcomer::{Refused, TurnedAway, Welcome};
    for (close, end, reconnect, told, newcomers, expected) in [
        (false, false, false, None, TurnedAway, [0, 0, 3, 0]),
        (false, false, true, None, TurnedAway, [0, 0, 3, 0]),
        (false, true, false, Some(4003), TurnedAway, [3, 0, 0, 0]),
        (false, true, true, Some(4002), Welcome, [3, 0, 0, 0]),
        (true, false, false, None, Refused, [0, 0, 3, 0]),
        (true, false, true, None, Refused, [0, 0, 3, 0]),
        (true, true, false, Some(4003), Refused, [3, 0, 0, 0]),
        (true, true, true, Some(4002), Refused, [3, 0, 0, 0]),
    ] {
        let case = format!("close: {close}, end: {end}, reconnect: {reconnect}");
        let mut server = Server::echo(Primus::builder()).await;
        let to = server.address();
        let mut clients =
            [Client::plain(to).await, Client::classic(to).await, Client::resumable(to).await];
        let how = End { close, end, reconnect, spread: Duration::from_millis(20), ..quick() };
        let see = async |client: &mut Client| match told {
            None => {
                client.echoes("before").await;
                None
            }
            Some(_) => Some(client.rest().await),
        };
        let [plain, classic, ours] = &mut clients;
        let (ended, plain, classic, ours) =
            tokio::join!(server.end(how), see(plain), see(classic), see(ours));
        assert_eq!(report(ended), expected, "{case}");

        if close {
            server.returned().await;
        } else {
            assert_eq!(get("/primus/spec").send(to).await.status, StatusCode::OK, "{case}");
            assert_eq!(get("/primus/primus.js").send(to).await.status, StatusCode::OK, "{case}");
        }
        assert_eq!(newcomer(&server).await, newcomers, "{case}");

        if let Some(code) = told {
            let comes_back = code == 4002;
            let (plain, classic, ours) = (plain.unwrap(), classic.unwrap(), ours.unwrap());
            for (_, closed) in [&plain, &classic, &ours] {
                assert_eq!(closed.code, code, "{case}");
            }
            assert!(plain.0.is_empty(), "{case}: {plain:?}");
            assert_eq!(classic.0.is_empty(), comes_back, "{case}: {classic:?}");
            let [end] = &ours.0[..] else { panic!("{case}: {ours:?}") };
            let end: Value =
                serde_json::from_str(end.strip_prefix("primus::end::").unwrap()).unwrap();
            assert_eq!(
                (end["code"].as_u64(), end["reconnect"].as_bool()),
                (Some(u64::from(code)), Some(comes_back)),
                "{case}"
            );
        } else {
            for mut client in clients {
                client.echoes("after").await;
                client.close().await;
            }
        }
    }
}

#[tokio::test]
async fn nobody_new_comes_while_the_end_waits_and_it_is_announced_at_once() {
    let server = Server::echo(Primus::builder()).await;
    let to = server.address();
    let mut client = Client::resumable(to).await;
    let began = Instant::now();
    let after = Duration::from_millis(400);
    let primus = server.primus();
    let mut ending = Box::pin(primus.end(End { after, ..quick() }));
    let begun = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await;
    assert!(begun.is_pending());
    assert!(server.phase().draining && !server.phase().closing);

    let ours = ("sec-websocket-protocol", "primus.2");
    for (path, headers) in
        [("/primus", &[][..]), ("/primus?_primuscb=1", &[][..]), ("/primus", &[ours][..])]
    {
        let answer = Client::open(to, path, headers).await.err().expect("turned away");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
    for call in [
        get("/primus/sse"),
        get("/primus/poll"),
        post("/primus/sse?v=2", "primus::attach::{}"),
        post("/primus/poll?v=2", "primus::attach::{}"),
        post("/primus", "hello"),
    ] {
        let answer = soon(call.send(to)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            (answer.header("retry-after"), answer.error()),
            ("1".to_owned(), "the server is ending".to_owned())
        );
    }
    assert_eq!(get("/primus/primus.js").send(to).await.status, StatusCode::OK);
    client.echoes("still here").await;
    assert!(began.elapsed() < after, "too slow to tell");

    let (ended, (_, code)) = tokio::join!(ending, client.end_frame());
    assert_eq!((report(ended), code), ([1, 0, 0, 0], 4003));
    assert!(began.elapsed() >= after);
}

#[tokio::test]
async fn who_has_not_attached_by_the_end_is_refused_and_may_come_again() {
    let server = Server::echo(Primus::builder()).await;
    let mut client = Client::pending(server.address()).await;
    let how = End { close: false, end: false, ..quick() };
    server.end(how).await;
    client.send("primus::attach::{}").await;
    let (texts, closed) = client.rest().await;
    let refusal: Value =
        serde_json::from_str(texts[0].strip_prefix("primus::refuse::").unwrap()).unwrap();
    assert_eq!((refusal["status"].as_u64(), closed.code), (Some(503), 4503));
}

#[tokio::test]
async fn clients_are_asked_to_come_back_each_at_its_own_time() {
    let server = Server::echo(Primus::builder().transformer("websocket")).await;
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(Client::resumable(server.address()).await);
    }
    let spread = Duration::from_secs(8);
    let how = End { close: false, reconnect: true, spread, ..quick() };
    let ends = join_all(clients.iter_mut().map(Client::end_frame));
    let (ended, ends) = tokio::join!(server.end(how), ends);
    assert_eq!(report(ended), [64, 0, 0, 0]);
    let mut delays: Vec<u64> = ends
        .into_iter()
        .map(|(end, code)| {
            assert_eq!((code, end["reconnect"].as_bool()), (4002, Some(true)));
            end["after"].as_u64().unwrap()
        })
        .collect();
    delays.sort_unstable();
    assert!(delays.iter().all(|delay| *delay < 8000), "{delays:?}");
    assert!(delays[0] < 2000 && delays[63] > 6000, "{delays:?}");
    delays.dedup();
    assert!(delays.len() > 32, "{delays:?}");
    // Here they come.
    let mut client = Client::resumable(server.address()).await;
    client.echoes("back").await;
}

#[tokio::test]
async fn a_second_end_waits_its_turn_and_goes_further() {
    let mut server = Server::echo(Primus::builder()).await;
    let mut client = Client::plain(server.address()).await;
    let first = server.end(End { close: false, end: false, ..quick() }).await;
    assert_eq!(report(first), [0, 0, 1, 0]);
    client.echoes("1").await;
    let (one, two, code) =
        tokio::join!(server.end(quick()), server.end(quick()), client.close_code());
    assert_eq!((report(one), report(two), code), ([1, 0, 0, 0], [0, 0, 0, 0], 4003));
    server.returned().await;
}
