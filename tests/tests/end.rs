//! The graceful end of a server: whom it tells what, and that nobody can hold it up.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use primus::{Builder, End, EndReport, Primus, Spark};
use primus_tests::{
    http::{Connection, get, post},
    server::{Server, echo, soon, until},
    ws::{Client, Raw, WsMessage, opcode},
};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::Instant,
};
use tower_service::Service;

fn report(report: EndReport) -> [usize; 4] {
    [report.ended, report.cut, report.left, report.connections_cut]
}

/// What an `End` that must be done soon begins with.
fn quick() -> End {
    End { deadline: Duration::from_secs(5), ..End::default() }
}

// ---- nobody holds it up ----

/// An application that never answers, and says when it was asked.
#[derive(Clone)]
struct Hung(Arc<Notify>);

impl Service<Request<Incoming>> for Hung {
    type Response = Response<Empty<bytes::Bytes>>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        self.0.notify_one();
        std::future::pending()
    }
}

/// One more user of an HTTP/2 connection.
fn share(connection: &Connection) -> Connection {
    match connection {
        Connection::Two { sender, host } => {
            Connection::Two { sender: sender.clone(), host: host.clone() }
        }
        Connection::One { .. } => panic!("HTTP/1.1 is not shared"),
    }
}

/// The code of an end frame.
fn end_code(frame: &str) -> Option<u64> {
    let end: Value = serde_json::from_str(frame.strip_prefix("primus::end::")?).unwrap();
    end["code"].as_u64()
}

/// An event stream that is read until it ends. The code that it was told.
async fn stream_client(mut connection: Connection) -> u64 {
    let call = post("/primus/sse?v=2", "primus::attach::{}").header("content-type", "text/plain");
    let mut stream = soon(call.open_on(&mut connection)).await;
    assert_eq!(stream.status, StatusCode::OK);
    let mut code = 0;
    while let Some(event) = soon(stream.event()).await {
        code = end_code(&event).unwrap_or(code);
    }
    code
}

/// A client that polls, from the moment on when `begin` is true. The code that it was told.
async fn poll_client(mut connection: Connection, mut begin: watch::Receiver<bool>) -> u64 {
    let call = post("/primus/poll?v=2", "primus::attach::{}").header("content-type", "text/plain");
    let answer = soon(call.send_on(&mut connection)).await;
    let attach = answer.text().lines().next().unwrap().strip_prefix("primus::attach::").unwrap();
    let attach: Value = serde_json::from_str(attach).unwrap();
    let token = attach["token"].as_str().unwrap();
    soon(begin.wait_for(|begin| *begin)).await.unwrap();
    loop {
        let poll = get("/primus/poll?v=2").header("primus-token", token);
        let answer = soon(poll.send_on(&mut connection)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        if let Some(code) = answer.text().lines().find_map(end_code) {
            return code;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_done_by_its_deadline_and_its_report_is_what_500_clients_saw() {
    let asked = Arc::new(Notify::new());
    let mut server = Server::start_with(Primus::builder(), Hung(Arc::clone(&asked))).await;
    let primus = server.primus();
    primus.on_connection(async |mut spark: Spark| {
        while spark.next().await.is_some() {
            // More than any socket takes from a client that does not read.
            spark.write_message(vec![0; 32 << 20])?;
        }
        Ok(())
    });
    let to = server.address();

    let told = Arc::new(AtomicUsize::new(0));
    let (begun, begin) = watch::channel(false);
    let begun = Arc::new(begun);
    let mut clients = tokio::task::JoinSet::new();
    for index in 0..300 {
        let mut client = match index % 3 {
            0 => Client::plain(to).await,
            1 => Client::classic(to).await,
            _ => Client::resumable(to).await,
        };
        let (told, begun) = (Arc::clone(&told), Arc::clone(&begun));
        clients.spawn(async move {
            let (texts, closed) = client.rest().await;
            let words = match index % 3 {
                0 => texts.is_empty(),
                1 => texts == ["\"primus::server::close\""],
                _ => texts.iter().find_map(|text| end_code(text)) == Some(4003),
            };
            assert!(words, "{texts:?}");
            told.fetch_add(usize::from(closed.code == 4003), Ordering::SeqCst);
            begun.send_replace(true);
        });
    }
    let streams = Connection::two(to).await;
    for _ in 0..100 {
        let (connection, told) = (share(&streams), Arc::clone(&told));
        clients.spawn(async move {
            let code = stream_client(connection).await;
            told.fetch_add(usize::from(code == 4003), Ordering::SeqCst);
        });
    }
    let polls = Connection::two(to).await;
    for index in 0..100 {
        // Half of them are polling when the end comes, half are between two polls.
        let begin = if index % 2 == 0 { watch::channel(true).1 } else { begin.clone() };
        let (connection, told) = (share(&polls), Arc::clone(&told));
        clients.spawn(async move {
            let code = poll_client(connection, begin).await;
            told.fetch_add(usize::from(code == 4003), Ordering::SeqCst);
        });
    }
    let mut unread = Raw::open(to, "/primus").await;
    unread.send(primus_tests::ws::frame(opcode::TEXT, "write")).await;
    let hung = tokio::spawn(async move { Connection::one(to).await });
    let mut hung = hung.await.unwrap();
    let request = tokio::spawn(async move { get("/hang").open_on(&mut hung).await });
    soon(asked.notified()).await;
    until("all 501", || (primus.connected(), primus.sessions()) == (501, 501)).await;

    let began = Instant::now();
    // A twentieth of it is kept for the connections to close, on a busy machine as well.
    let deadline = Duration::from_secs(4);
    let ended = soon(primus.end(End { deadline, ..End::default() })).await;
    let took = began.elapsed();
    assert!(took < deadline + Duration::from_millis(400), "{took:?}");
    soon(async {
        while let Some(client) = clients.join_next().await {
            client.unwrap()
        }
    })
    .await;
    assert_eq!(told.load(Ordering::SeqCst), 500);
    assert_eq!(report(ended), [500, 1, 0, 1]);
    server.returned().await;
    assert!(request.await.is_err(), "the hung request broke off");
    assert_eq!((primus.connected(), primus.sessions()), (0, 0));
}

#[tokio::test]
async fn it_does_not_wait_when_all_are_gone() {
    let mut server = Server::echo(Primus::builder()).await;
    let mut client = Client::resumable(server.address()).await;
    let began = Instant::now();
    let (ended, code) = tokio::join!(server.end(End::default()), client.close_code());
    assert_eq!((report(ended), code), ([1, 0, 0, 0], 4003));
    server.returned().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_handler_that_does_not_return_does_not_hold_it_up() {
    let server = Server::start(Primus::builder()).await;
    server.on_connection(async |_: Spark| std::future::pending().await);
    let mut client = Client::plain(server.address()).await;
    let began = Instant::now();
    let (ended, code) = tokio::join!(server.end(End::default()), client.close_code());
    assert_eq!((report(ended), code), ([1, 0, 0, 0], 4003));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn who_does_not_answer_the_close_is_cut_and_who_hangs_up_after_it_is_not() {
    let server = Server::echo(Primus::builder()).await;
    let mut silent = Raw::open(server.address(), "/primus").await;
    let mut gone = Raw::open(server.address(), "/primus").await;
    let end = End { deadline: Duration::from_millis(500), ..End::default() };
    let (ended, _) = tokio::join!(server.end(end), async {
        assert_eq!(gone.frame().await.unwrap().first, opcode::CLOSE);
        drop(gone);
        assert_eq!(silent.frame().await.unwrap().first, opcode::CLOSE);
    });
    assert_eq!(report(ended), [1, 1, 0, 0]);
    silent.gone().await;
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_end() {
    let server = Server::start(Primus::builder().max_queued(8 << 20)).await;
    server.on_connection(async |mut spark: Spark| {
        spark.next().await;
        for n in 0..100 {
            spark.write(&format!("{n:>50000}"))?;
        }
        spark.next().await;
        Ok(())
    });
    let mut client = Client::plain(server.address()).await;
    client.send("go").await;
    assert!(client.text().await.ends_with(" 0\""));
    let (ended, (texts, closed)) = tokio::join!(server.end(quick()), client.rest());
    assert_eq!((report(ended), closed.code), ([1, 0, 0, 0], 4003));
    assert_eq!(texts.len(), 99);
    assert!(texts.last().unwrap().ends_with(" 99\""));
}

// ---- what is asked for ----

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

// ---- listening ----

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
