//! BrowserChannel reaches the machine that all clients share, where what its clients need is not what others do.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use primus::{Primus, Spark};
use primus_tests::{
    http::{Answer, post},
    server::{Server, soon},
};
use tokio::sync::{Notify, mpsc};

const FORM: &str = "application/x-www-form-urlencoded";

async fn bind(server: &Server, query: &str, maps: std::ops::Range<usize>) -> Answer {
    let mut body = format!("count={}&ofs={}", maps.len(), maps.start);
    for (index, n) in maps.enumerate() {
        body.push_str(&format!("&req{index}_JSON={n}"));
    }
    let path = format!("/primus/bind?VER=8&{query}");
    soon(post(&path, body).header("content-type", FORM).send(server.address())).await
}

#[tokio::test]
async fn who_opens_a_session_of_browserchannel_has_it_however_busy_the_application_is() {
    let builder = Primus::builder()
        .transformer("browserchannel")
        .browserchannel_clients("plain")
        .inbox_messages(4)
        .body_timeout(Duration::from_millis(100));
    let server = Server::start(builder).await;
    let (busy, (heard, mut hears)) = (Arc::new(Notify::new()), mpsc::channel(100));
    let idle = Arc::clone(&busy);
    server.on_connection(move |mut spark: Spark| {
        let (idle, heard) = (Arc::clone(&idle), heard.clone());
        async move {
            idle.notified().await;
            while let Some(message) = spark.next().await {
                heard.send(message.json::<usize>()?).await?;
            }
            Ok(())
        }
    });

    // A stock client would take anything but the greeting for the end.
    let opened = bind(&server, "RID=7", 0..50).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text());
    let sid = opened.text().split('"').nth(3).unwrap();
    // What follows is behind that: it is not taken yet, and may be said again.
    let next = format!("SID={sid}&RID=8");
    let answer = bind(&server, &next, 50..51).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    busy.notify_one();
    let answer = bind(&server, &next, 50..51).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    for n in 0..=50 {
        assert_eq!(soon(hears.recv()).await, Some(n));
    }
}
