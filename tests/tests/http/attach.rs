//! The three ways in which a Primus is reached.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    middleware::{Next, from_fn},
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use primus::{Primus, http::PeerAddr};
use primus_tests::{
    http::get,
    server::{Server, echo, soon},
    ws,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower_service::Service as _;

use crate::{app, echoes_at};

fn primus() -> Primus {
    let primus = Primus::builder().build().unwrap();
    primus.on_connection(echo);
    primus
}

async fn free_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What holds however it is attached.
async fn serves_both(to: SocketAddr) {
    echoes_at(to, "/primus").await;
    let mut plain = ws::Client::plain(to).await;
    plain.echoes("\"plain\"").await;
    plain.close().await;
    assert_eq!(get("/primus/primus.js").send(to).await.status, 200);
    for path in ["/", "/primusx", "/primus/other", "/x/primus"] {
        let answer = get(path).send(to).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, &*format!("app: GET {path}")));
    }
}

#[tokio::test]
async fn it_listens_alone_and_answers_404_elsewhere() {
    let server = Server::echo(Primus::builder()).await;
    echoes_at(server.address(), "/primus").await;
    let answer = get("/nothing").send(server.address()).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.error(), "nothing is here; Primus is at /primus");
}

#[tokio::test]
async fn listen_names_a_port_that_is_taken_and_ends_with_the_server() {
    let (taken, address) = free_port().await;
    let error = primus().listen(address).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {address}")), "{error}");
    assert!(error.contains("stop it, or choose another port"), "{error}");
    drop(taken);

    let primus = primus();
    let server = primus.clone();
    let listening = tokio::spawn(async move { server.listen(address).await });
    let listens = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(listens).await;
    let mut client = ws::Client::plain(address).await;
    client.echoes("1").await;
    let (report, closed) = tokio::join!(soon(primus.shutdown()), client.close_code());
    assert_eq!((report.ended, report.cut, closed), (1, 0, 4003));
    soon(listening).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_listens_with_an_application_behind() {
    let server = Server::start_with(Primus::builder(), app()).await;
    server.on_connection(echo);
    serves_both(server.address()).await;
}

#[tokio::test]
async fn as_a_layer_of_axum() {
    let primus = primus();
    let (listener, address) = free_port().await;
    let router = app().layer(primus.layer());
    tokio::spawn(async { axum::serve(listener, router).await });
    serves_both(address).await;
}

#[tokio::test]
async fn as_a_layer_of_axum_it_knows_the_peer_that_the_application_tells() {
    let primus = primus();
    primus.on_connection(async |spark| {
        spark.write(&spark.address())?;
        Ok(())
    });
    let (listener, address) = free_port().await;
    let tell_peer =
        async |ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next| {
            request.extensions_mut().insert(PeerAddr::from(peer));
            next.run(request).await
        };
    let router = app().layer(primus.layer()).layer(from_fn(tell_peer));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, service).await });
    let mut told = ws::Client::plain(address).await;
    assert_eq!(told.text().await, "\"127.0.0.1\"");

    let (listener, address) = free_port().await;
    let router = app().layer(primus.layer());
    tokio::spawn(async { axum::serve(listener, router).await });
    let mut untold = ws::Client::plain(address).await;
    assert_eq!(untold.text().await, "null");
}

#[tokio::test]
async fn as_a_service_in_front_of_another_in_bare_hyper() {
    let primus = primus();
    let (listener, address) = free_port().await;
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, peer)) = listener.accept().await {
            let service = primus.around(app());
            let service = service_fn(move |mut request: hyper::Request<_>| {
                request.extensions_mut().insert(PeerAddr::from(peer));
                let mut service = service.clone();
                async move { service.call(request).await }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            connections.spawn(connection);
        }
    });
    serves_both(address).await;
}

#[tokio::test]
async fn as_a_service_of_a_server_that_finds_out_the_version_of_http() {
    let primus = primus();
    let (listener, address) = free_port().await;
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(primus.service());
            connections.spawn(async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(stream);
                let _ = server.serve_connection_with_upgrades(io, service).await;
            });
        }
    });
    echoes_at(address, "/primus").await;
    assert_eq!(get("/nothing").send(address).await.status, 404);
}

#[tokio::test]
async fn by_an_accept_loop_of_ones_own() {
    let primus = primus();
    let (listener, address) = free_port().await;
    let server = primus.clone();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, peer)) = listener.accept().await {
            let primus = server.clone();
            connections.spawn(async move { primus.attach(stream, peer, app()).await });
        }
    });
    serves_both(address).await;
}
