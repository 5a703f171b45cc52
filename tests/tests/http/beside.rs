//! Our own carriers beside a dialect of others, which keeps all that is not of our client.

use http::StatusCode;
use primus::{Mount, Primus};
use primus_tests::{
    http::{get, post},
    server::Server,
    ws::Client,
};
use serde_json::json;

use crate::echoes_at;

const DIALECTS: [&str; 7] =
    ["engine.io", "socket.io", "sockjs", "bayeux", "faye", "browserchannel", "actioncable"];

#[tokio::test]
async fn our_client_is_served_beside_each_dialect() {
    let builder = DIALECTS.iter().fold(Primus::builder(), |builder, name| {
        builder.mount(format!("/{name}"), Mount::new().transformers([*name]))
    });
    let server = Server::echo(builder).await;
    for name in DIALECTS {
        echoes_at(server.address(), &format!("/{name}")).await;
        let spec = get(&format!("/{name}/spec")).send(server.address()).await.json();
        // By the name `faye` Primus 8 has a plain WebSocket.
        let first = if name == "faye" { "websockets" } else { name };
        let mut transports = vec![name, "websocket", "sse", "polling"];
        transports.retain(|transport| *transport != "faye");
        assert_eq!(
            (&spec["transformer"], &spec["transports"]),
            (&json!(first), &json!(transports))
        );
    }
}

#[tokio::test]
async fn our_client_is_served_whatever_stands_before_our_transformers() {
    // It takes every WebSocket, and every POST.
    for names in
        [["bayeux", "websocket", "sse", "polling"], ["websocket", "sse", "polling", "bayeux"]]
    {
        let server = Server::echo(Primus::builder().transformers(names)).await;
        echoes_at(server.address(), "/primus").await;
    }
}

#[tokio::test]
async fn a_dialect_keeps_what_is_not_of_our_client() {
    let alone = Primus::builder().transformers(["sockjs"]);
    let both = Primus::builder().transformers(["sockjs", "websocket", "sse", "polling"]);
    for (builder, taken) in [(alone, false), (both, true)] {
        let server = Server::echo(builder).await;
        let to = server.address();
        let plain = Client::open(to, "/primus", &[]).await.is_ok();
        let events = get("/primus").header("accept", "text/event-stream").open(to).await.status;
        let said = post("/primus", "1").send(to).await.status;
        let stream = get("/primus/sse").open(to).await.status;
        assert_eq!(plain, taken);
        // To SockJS that is a greeting, whatever is accepted.
        assert_eq!(events, StatusCode::OK);
        assert_eq!([said, stream].map(|status| status != StatusCode::NOT_FOUND), [taken; 2]);
    }
}
