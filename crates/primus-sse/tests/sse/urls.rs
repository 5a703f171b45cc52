//! Which requests are ours, and which methods they take.

use http::Method;
use primus_core::Transformer as _;
use primus_sse::Sse;

use crate::driver::{self, Server, error, header, post};

#[test]
fn claims_are_those_of_the_protocol() {
    let rows = [
        ("GET", "/primus/sse", "/sse", "", true),
        ("POST", "/primus/sse?v=2", "/sse", "", true),
        ("DELETE", "/primus/sse", "/sse", "", true),
        ("POST", "/primus/send?v=2", "/send", "", true),
        ("GET", "/primus", "", "text/html, Text/Event-Stream;q=0.9", true),
        ("GET", "/primus/", "/", "text/event-stream", true),
        ("GET", "/", "/", "text/event-stream", true),
        ("GET", "/primus?v=2", "", "text/event-stream", false),
        ("GET", "/primus", "", "text/html", false),
        ("POST", "/primus", "", "", true),
        ("POST", "/primus/", "/", "", true),
        ("POST", "/primus?v=2", "", "", false),
        ("PUT", "/primus", "", "", false),
        ("POST", "/", "/", "", false),
        ("GET", "/primus/poll", "/poll", "", false),
        ("GET", "/primus/sse/", "/sse/", "", false),
    ];
    for (method, uri, tail, accept, claimed) in rows {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request: primus_core::Request =
            driver::ask(method, uri).header("accept", accept).into();
        assert_eq!(Sse::new().claims(&request.head, tail), claimed, "{:?}", request.head);
    }
}

#[tokio::test]
async fn other_methods_are_405() {
    let server = Server::new(Sse::new());
    for (method, uri, allow) in [
        (Method::DELETE, "/primus/sse", "GET, POST"),
        (Method::HEAD, "/primus/sse", "GET, POST"),
        (Method::GET, "/primus/sse?v=2", "POST"),
        (Method::GET, "/primus/send?v=2", "POST"),
    ] {
        let response = server.ask(driver::ask(method, uri)).await;
        assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, allow), "{uri}");
        assert_eq!(error(response).await, format!("this URL takes {allow}"));
    }
}

#[tokio::test]
async fn frames_without_a_dialect_are_400() {
    let server = Server::new(Sse::new());
    assert_eq!(server.status(post("/primus/send", "1")).await, 400);
}
