//! Nobody holds the end up.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use primus::{End, Primus, Spark};
use primus_tests::{
    http::{Connection, get, post},
    server::{Server, soon, until},
    ws::{Client, Raw, opcode},
};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tower_service::Service;

use super::{quick, report};

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
