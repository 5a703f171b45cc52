//! Who may have a session again.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use primus::{Builder, CloseReason, Rejection, State};
use primus_tests::{
    peer::{Memory, Peer, TRANSPORTS},
    server::soon,
};
use serde_json::json;

use super::server;

#[tokio::test]
async fn who_may_not_have_a_session_is_told_why_and_gets_a_new_one() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let to = server.address();
    let peer = Peer::connect(to, "websocket").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let memory = peer.memory.clone();
    let reason = async |change: &dyn Fn(&mut Memory)| {
        let mut memory = memory.clone();
        change(&mut memory);
        let mut peer = Peer::come_back(to, "polling", &mut memory).await.unwrap();
        assert_eq!(peer.attach["resumed"], false);
        assert_ne!(peer.id(), spark.id().to_string());
        let reason = peer.attach["reason"].as_str().expect("a reason").to_owned();
        peer.send("primus::end::").await;
        reason
    };
    let id = spark.id().to_string();
    let other = format!("{}{}", if id.starts_with('z') { 'y' } else { 'z' }, &id[1..]);
    assert_eq!(reason(&|memory| memory.session["key"] = json!("A".repeat(22))).await, "unknown");
    assert_eq!(reason(&|memory| memory.session["key"] = json!("?")).await, "unknown");
    assert_eq!(reason(&|memory| memory.session["id"] = json!("?")).await, "unknown");
    assert_eq!(
        reason(&|memory| {
            memory.session["id"] = json!(other);
            memory.session["epoch"] = json!("of another run");
        })
        .await,
        "restarted"
    );
    // Another client with a copy from before the last attach, or from before the last message.
    assert_eq!(
        reason(&|memory| (memory.client, memory.session["generation"]) = (7, json!(0))).await,
        "conflict"
    );
    assert_eq!(spark.state(), State::Open, "whoever asked in vain has changed nothing");
    drop(peer);
}

#[tokio::test]
async fn an_attach_that_comes_too_late_is_refused_and_changes_nothing() {
    let (server, mut arrivals) = server(Builder::new()).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), "websocket").await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let mut memory = peer.memory.clone();
        memory.attempt -= 1;
        let refusal =
            Peer::come_back(server.address(), transport, &mut memory).await.err().unwrap();
        assert_eq!(refusal.status, 409, "{transport}: {}", refusal.body);
        spark.write(&"still here").unwrap();
        assert_eq!(peer.text().await, "\"still here\"");
        memory.recv = 5;
        let refusal = Peer::come_back(server.address(), transport, &mut memory).await;
        assert_eq!(refusal.err().map(|refusal| refusal.status), Some(400), "{transport}");
        peer.send("primus::end::").await;
    }
}

#[tokio::test]
async fn who_comes_back_is_reauthorized_and_not_authorized_again() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let asked = Arc::<Mutex<Vec<&str>>>::default();
    let banned = Arc::<Mutex<bool>>::default();
    server.authorize({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.lock().unwrap().push("authorize");
            async { Ok("Ada".to_owned()) }
        }
    });
    server.reauthorize({
        let (asked, banned) = (Arc::clone(&asked), Arc::clone(&banned));
        move |user: Arc<String>, _| {
            asked.lock().unwrap().push("reauthorize");
            let banned = *banned.lock().unwrap() && *user == "Ada";
            async move { if banned { Err(Rejection::forbidden("banned")) } else { Ok(()) } }
        }
    });
    for transport in TRANSPORTS {
        *banned.lock().unwrap() = false;
        asked.lock().unwrap().clear();
        let peer = Peer::connect(server.address(), transport).await;
        let spark = soon(arrivals.recv()).await.expect("a spark");
        let mut memory = peer.cut();
        let peer = Peer::come_back(server.address(), transport, &mut memory).await.unwrap();
        assert_eq!(peer.attach["resumed"], true);
        assert_eq!(*asked.lock().unwrap(), ["authorize", "reauthorize"], "{transport}");
        *banned.lock().unwrap() = true;
        let mut memory = peer.cut();
        let refusal =
            Peer::come_back(server.address(), transport, &mut memory).await.err().unwrap();
        assert_eq!(
            (refusal.status, &refusal.body["error"]),
            (403, &json!("banned")),
            "{transport}"
        );
        spark.end(CloseReason::ENDED);
    }
}

#[tokio::test]
async fn a_user_whose_time_is_over_begins_anew() {
    let (server, mut arrivals) = server(Builder::new()).await;
    let until = Arc::new(Mutex::new(SystemTime::now() + Duration::from_secs(60)));
    server.authorize(async |_| Ok(()));
    server.expires({
        let until = Arc::clone(&until);
        move |_: &()| Some(*until.lock().unwrap())
    });
    let peer = Peer::connect(server.address(), "sse").await;
    let spark = soon(arrivals.recv()).await.expect("a spark");
    let mut memory = peer.cut();
    let peer = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(peer.attach["resumed"], true);
    *until.lock().unwrap() = SystemTime::now();
    let mut memory = peer.cut();
    let peer = Peer::come_back(server.address(), "sse", &mut memory).await.unwrap();
    assert_eq!(peer.attach["reason"], "expired");
    assert_eq!(spark.state(), State::Closed);
    assert_ne!(peer.id(), spark.id().to_string());
}
