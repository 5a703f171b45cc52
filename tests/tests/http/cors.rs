//! Answers to pages of other origins (the Fetch standard, "CORS protocol").

use http::Method;
use primus::{Primus, Rejection};
use primus_tests::{
    http::{Answer, Call, get, post},
    server::{Server, echo},
};

use crate::app;

const PAGE: &str = "https://page.test";

fn preflight(path: &str, method: &str) -> Call {
    Call::new(Method::OPTIONS, path, "")
        .header("origin", PAGE)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "primus-token")
}

#[track_caller]
fn readable_with_credentials(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert_eq!(answer.header("access-control-expose-headers"), "Primus-Token, Retry-After");
    assert_eq!(answer.header("vary").to_ascii_lowercase(), "origin");
}

async fn listed() -> Server {
    let server = Server::start_with(Primus::builder().origins([PAGE]), app()).await;
    server.on_connection(echo);
    server
}

#[tokio::test]
async fn preflights_of_our_urls_are_answered() {
    let server = listed().await;
    for (path, method) in [
        ("/primus/send?v=2", "POST"),
        ("/primus/sse?v=2", "POST"),
        ("/primus/sse", "GET"),
        ("/primus/poll?v=2", "GET"),
        ("/primus/poll?v=2", "POST"),
        ("/primus", "POST"),
    ] {
        let answer = preflight(path, method).send(server.address()).await;
        assert_eq!(answer.status, 204, "{method} {path}");
        readable_with_credentials(&answer);
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST");
        assert_eq!(answer.header("access-control-allow-headers"), "Content-Type, Primus-Token");
        assert_eq!(answer.header("access-control-max-age"), "86400");
    }
}

#[tokio::test]
async fn preflights_of_other_urls_go_on_to_the_application() {
    let server = listed().await;
    for (path, method) in
        [("/", "POST"), ("/api", "PUT"), ("/primus/other", "POST"), ("/primus", "DELETE")]
    {
        let answer = preflight(path, method).send(server.address()).await;
        assert_eq!(answer.text(), format!("app: OPTIONS {path}"));
    }
    let no_preflight = Call::new(Method::OPTIONS, "/primus", "").send(server.address()).await;
    assert_eq!(no_preflight.text(), "app: OPTIONS /primus");
}

#[tokio::test]
async fn a_preflight_of_a_page_that_may_not_connect_is_refused() {
    let server = Server::echo(Primus::builder()).await;
    let answer = preflight("/primus/send?v=2", "POST").send(server.address()).await;
    assert_eq!(answer.status, 403);
    assert!(answer.error().contains("origins = [\"https://page.test\"]"));
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("access-control-allow-methods"), "");
}

#[tokio::test]
async fn every_answer_can_be_read_by_the_page_refusals_too() {
    let server = listed().await;
    server.authorize(async |request| match request.query("no") {
        Some(_) => Err(Rejection::unauthorized("no")),
        None => Ok(()),
    });
    for (call, status) in [
        (post("/primus", "\"x\""), 200),
        (get("/primus/poll"), 200),
        (post("/primus/poll?v=2", "primus::attach::{}"), 200),
        (get("/primus/spec"), 200),
        (get("/primus/poll?no"), 401),
        (post("/primus/sse?v=2&no", "primus::attach::{}"), 401),
        (post("/primus/send?v=2", ""), 404),
        (Call::new(Method::PUT, "/primus/sse", ""), 405),
    ] {
        let answer = call.header("origin", PAGE).send(server.address()).await;
        assert_eq!(answer.status, status);
        readable_with_credentials(&answer);
    }
    let stream = get("/primus/sse").header("origin", PAGE).open(server.address()).await;
    assert_eq!(stream.headers["access-control-allow-origin"], PAGE);
}

#[tokio::test]
async fn a_star_goes_without_credentials() {
    let server = Server::echo(Primus::builder().origins(["*"])).await;
    for call in [post("/primus", "\"x\""), preflight("/primus", "POST")] {
        let answer = call.header("origin", PAGE).send(server.address()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn who_names_no_origin_gets_none_of_it() {
    let server = listed().await;
    let answer = post("/primus", "\"x\"").send(server.address()).await;
    let cors = answer.headers.keys().find(|name| name.as_str().starts_with("access-control"));
    assert_eq!(cors, None);
}

#[tokio::test]
async fn the_spec_is_for_scripts_of_pages_that_may_connect() {
    let server = listed().await;
    let answer = get("/primus/spec").header("origin", "http://evil.test");
    let answer = answer.send(server.address()).await;
    assert_eq!((answer.status.as_u16(), &*answer.header("access-control-allow-origin")), (200, ""));
    // What a page of ours loads by its `<script>` needs no permission.
    let script = get("/primus/primus.js").header("origin", "http://evil.test");
    assert_eq!(script.send(server.address()).await.status, 200);
}
