//! What a spark knows of itself, and how it is found.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Log, log_disconnections, next, websocket};
use primus::{CloseReason, Spark, SparkId, State, WriteError, Written};
use primus_tests::{
    server::{Server, soon, until},
    ws::{Client, WsMessage},
};
use serde_json::json;
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_spark_knows_where_it_comes_from() {
    struct Name(String);

    let builder = websocket()
        .keep_headers(["user-agent", "x-kept"])
        .subprotocols(["echo-protocol", "other"])
        .ping_interval(Duration::from_millis(20));
    let server = Server::start(builder).await;
    server.authorize(async |request: primus::AuthorizeRequest| {
        Ok(Name(request.query("name").unwrap_or_default()))
    });
    server.on_connection(async |mut spark: Spark| {
        while let Some(message) = spark.next().await {
            spark.write(&json!({
                "asked": message.as_text(),
                "id": spark.id().to_string(),
                "user-agent": spark.headers().get("user-agent").map(|v| v.to_str().unwrap()),
                "x-kept": spark.headers().get_all("x-kept").iter().count(),
                "headers": spark.headers().len(),
                "query": spark.query().iter().collect::<Vec<_>>(),
                "address": spark.address(),
                "secure": spark.secure(),
                "transformer": spark.transformer(),
                "protocol": spark.protocol(),
                "state": format!("{:?}", spark.state()),
                "reason": spark.close_reason().map(|reason| reason.code()),
                "user": spark.user::<Name>().map(|name| &name.0),
                "no user": spark.user::<String>().is_none(),
                "latency": spark.latency().is_some(),
                "mount": &*spark.mount().settings().path,
            }))?;
        }
        Ok(())
    });
    let headers = [
        ("user-agent", "test/1"),
        ("x-kept", "a"),
        ("x-other", "b"),
        ("x-forwarded-for", "192.0.2.1"),
        ("sec-websocket-protocol", "other, echo-protocol"),
    ];
    let path = "/primus/?name=Ada&b=x%20y&b=z";
    let mut client = Client::open(server.address(), path, &headers).await.ok().unwrap();
    assert_eq!(client.answer().headers()["sec-websocket-protocol"], "other");
    // The ping is answered while the client is read from; then it is known how long it took.
    assert!(matches!(client.message().await, Some(WsMessage::Ping(_))));
    let known = loop {
        client.send("hello").await;
        let known: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        if known["latency"] == true {
            break known;
        }
    };
    let id: SparkId = known["id"].as_str().unwrap().parse().unwrap();
    let expected = json!({
        "asked": "hello", "id": id.to_string(), "user-agent": "test/1", "x-kept": 1, "headers": 2,
        "query": [["name", "Ada"], ["b", "x y"], ["b", "z"]], "address": "127.0.0.1",
        "secure": false, "transformer": "websocket", "protocol": "other", "state": "Open",
        "reason": null, "user": "Ada", "no user": true, "latency": true, "mount": "/primus",
    });
    assert_eq!(known, expected);

    let spark = server.spark(id).unwrap();
    client.close().await;
    until("the end", || spark.state() == State::Closed).await;
    assert_eq!(spark.close_reason(), Some(CloseReason::NORMAL));
    assert!(server.spark(id).is_none());
}

#[tokio::test]
async fn sparks_are_counted_found_and_visited() {
    let server = Server::echo(websocket()).await;
    let (log, events) = Log::new();
    log_disconnections(&server, &log);
    assert_eq!((server.connected(), server.sessions()), (0, 0));
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::resumable(server.address()).await);
    }
    assert_eq!((server.connected(), server.sessions()), (5, 5));
    let mut ids: Vec<SparkId> = clients
        .iter()
        .map(|client| client.attach()["id"].as_str().unwrap().parse().unwrap())
        .collect();
    for id in &ids {
        assert_eq!(server.spark(*id).unwrap().id(), *id);
    }

    let mut visited = Vec::new();
    let stopped: Option<()> = server.for_each(|spark| {
        visited.push(spark.id());
        ControlFlow::Continue(())
    });
    let sorted = |ids: &mut Vec<SparkId>| ids.sort_by_key(ToString::to_string);
    sorted(&mut visited);
    sorted(&mut ids);
    assert_eq!((visited, stopped), (ids.clone(), None));

    let mut count = 0;
    let stopped = server.for_each(|_| {
        count += 1;
        if count == 2 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!((count, stopped), (2, Some("enough")));

    let visited = Mutex::new(Vec::new());
    let stopped = server
        .for_each_async(async |spark: Spark| {
            tokio::task::yield_now().await;
            visited.lock().unwrap().push(spark.id());
            if visited.lock().unwrap().len() == 3 {
                return ControlFlow::Break(spark.id());
            }
            ControlFlow::Continue(())
        })
        .await;
    let visited = visited.into_inner().unwrap();
    assert_eq!((visited.len(), stopped), (3, visited.last().copied()));

    // One that ends while the others are visited is left out.
    let count = AtomicUsize::new(0);
    let rest = tokio::sync::Mutex::new((clients, events));
    let stopped: Option<()> = server
        .for_each_async(async |_: Spark| {
            count.fetch_add(1, Ordering::SeqCst);
            let (clients, events) = &mut *rest.lock().await;
            for client in clients.drain(..) {
                client.end().await;
                assert_eq!(next(events).await, "disconnected 1000 normal");
            }
            ControlFlow::Continue(())
        })
        .await;
    assert_eq!((count.into_inner(), stopped), (1, None));
    assert_eq!((server.connected(), server.sessions()), (0, 0));
}

#[tokio::test]
async fn a_spark_is_written_to_from_anywhere() {
    let server = Server::start(websocket()).await;
    let held = Arc::new(Semaphore::new(0));
    let kept: Arc<Mutex<Option<Spark>>> = Arc::default();
    let (keeps, holds) = (Arc::clone(&kept), Arc::clone(&held));
    server.on_connection(move |mut spark| {
        *keeps.lock().unwrap() = Some(spark.clone());
        holds.add_permits(1);
        async move {
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    let mut client = Client::plain(server.address()).await;
    soon(held.acquire()).await.unwrap().forget();
    let spark = kept.lock().unwrap().take().unwrap();
    // Also from a thread that knows nothing of the runtime.
    let written = std::thread::spawn(move || {
        let written = spark.write(&[1, 2]).unwrap();
        spark.end(CloseReason::RECONNECT);
        written
    });
    let (texts, closed) = client.rest().await;
    assert_eq!((texts, closed.code), (vec!["[1,2]".to_owned()], 4001));
    assert_eq!(written.join().unwrap(), Written::Queued);
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_is_an_error_and_harms_nothing() {
    let server = Server::start(websocket().parser("raw")).await;
    server.on_connection(async |mut spark: Spark| {
        while let Some(message) = spark.next().await {
            assert!(matches!(spark.write(&1), Err(WriteError::Encode(_))));
            spark.write_message(message)?;
        }
        Ok(())
    });
    Client::plain(server.address()).await.echoes("1").await;
}
