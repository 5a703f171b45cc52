//! One name each; install and uninstall.

use http::StatusCode;
use primus::{FromFn, Kind, Place, Plugin, PluginError, Primus, core::request::status};
use primus_tests::{http::get, peer::Peer, server::Server};

use super::{Badge, Diary, names, script};

#[tokio::test]
async fn a_second_plugin_of_the_same_name_is_refused() {
    let server = Server::echo(Primus::builder().plugin(Badge("badge"))).await;
    let plugins = server.plugins();
    let before = script(&server, "/primus").await.header("etag");
    let error = plugins.add(Diary::new("badge")).unwrap_err();
    assert_eq!(error, PluginError::SameName("badge".to_owned()));
    assert_eq!(
        error.to_string(),
        "there is a plugin named `badge` already; give each a name of its own, or remove it first"
    );
    assert_eq!(script(&server, "/primus").await.header("etag"), before);
    // None of its hooks was hung in.
    let mut peer = Peer::connect(server.address(), "websocket").await;
    peer.send("\"x\"").await;
    assert_eq!(peer.text().await, "\"x\"");

    let badge = plugins.get("badge").unwrap();
    assert!(plugins.remove("badge"));
    plugins.add(Diary::new("badge")).unwrap();
    peer.send("\"x\"").await;
    assert_eq!(peer.text().await, "\"x badge badge\"");
    assert!(plugins.add_shared(badge).is_err());
    assert_eq!(names(&server.primus()), ["badge"]);
}

/// Closes the server with a middleware of its own.
struct Maintenance;

impl Plugin for Maintenance {
    fn name(&self) -> &str {
        "maintenance"
    }

    fn install(&self, primus: &primus::core::Primus) {
        let layer = FromFn::new(|_| Some(status(StatusCode::IM_A_TEAPOT)));
        primus.middleware().add("maintenance", Kind::Both, Place::First, layer).unwrap();
    }

    fn uninstall(&self, primus: &primus::core::Primus) {
        assert!(primus.middleware().remove("maintenance"));
    }
}

#[tokio::test]
async fn install_and_uninstall_are_called_with_the_server() {
    let server = Server::echo(Primus::builder().plugin(Maintenance)).await;
    let poll = async || get("/primus/poll").send(server.address()).await.status.as_u16();
    assert_eq!(poll().await, 418);
    assert!(server.plugins().remove("maintenance"));
    assert_eq!(poll().await, 200);
    server.plugins().add(Maintenance).unwrap();
    assert_eq!(poll().await, 418);
}
