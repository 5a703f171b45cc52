//! A whole conversation in one POST.

use primus_core::{CloseReason, Rejection};
use primus_polling::Polling;

use crate::driver::{Server, error, header, post, text};

#[tokio::test]
async fn the_answer_is_what_the_handler_wrote() {
    let server = Server::new(Polling::new());
    let mut heard = server.echo();
    let mut over = server.disconnections();
    for uri in ["/primus", "/primus/", "/primus/poll"] {
        let response = server.ask(post(uri, "\"hi\"")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert_eq!(text(response).await, "\"hi\"\n");
        assert_eq!(heard.recv().await.unwrap(), r#"Text("\"hi\"")"#);
        assert_eq!(over.recv().await, Some(CloseReason::ENDED));
    }
    let binary = post("/primus", vec![0, 255]).header("content-type", "application/octet-stream");
    assert_eq!(text(server.ask(binary).await).await, "AP8=\n");

    // More than an inbox holds goes through all the same.
    let lines: String = (0..200).map(|number: u32| format!("{number}\n")).collect();
    let many = post("/primus", lines.clone()).header("content-type", "application/x-ndjson");
    assert_eq!(text(server.ask(many).await).await, lines);
    assert_eq!(server.primus.sessions(), 0);
}

#[tokio::test]
async fn callbacks_converse_too_and_silence_is_204() {
    let server = Server::new(Polling::new());
    assert_eq!(server.status(post("/primus", "1")).await, 204);
    server.primus.on_connection(async |spark| {
        spark.on_data(|spark, message| {
            spark.write_message(message).unwrap();
        });
        Ok(())
    });
    assert_eq!(text(server.ask(post("/primus", "1")).await).await, "1\n");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_is_left_after_ten_seconds() {
    let server = Server::new(Polling::new());
    let mut over = server.disconnections();
    server.primus.on_connection(async |spark| {
        spark.write("so far")?;
        std::future::pending().await
    });
    let begin = tokio::time::Instant::now();
    assert_eq!(text(server.ask(post("/primus", "1")).await).await, "\"so far\"\n");
    assert_eq!(begin.elapsed().as_secs(), 10);
    assert_eq!(over.recv().await, Some(CloseReason::NORMAL));
}

#[tokio::test]
async fn a_handler_that_fails_without_a_word_is_500_and_a_refusal_is_a_refusal() {
    let server = Server::new(Polling::new());
    server.primus.on_connection(async |_| Err("on purpose".into()));
    let response = server.ask(post("/primus", "1")).await;
    assert_eq!(response.status(), 500);
    assert!(error(response).await.starts_with("the application failed"));

    server.primus.authorize(async |_| Err::<(), _>(Rejection::forbidden("members only")));
    let response = server.ask(post("/primus", "1")).await;
    assert_eq!(response.status(), 403);
    assert_eq!(error(response).await, "members only");
    assert_eq!(server.primus.sessions(), 0);
}
