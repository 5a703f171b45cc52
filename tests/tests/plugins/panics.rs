//! Hooks that panic.

use primus::{CloseReason, Flow, Message, Plugin, PluginError, Primus, Spark, Written};
use primus_tests::{
    peer::{Peer, TRANSPORTS},
    server::{Server, until},
};
use serde_json::json;

use super::{Diary, diarist, says, taken};

/// Panics in the hook that it is named after.
struct Panics(&'static str);

impl Panics {
    fn at(&self, hook: &str) {
        assert_ne!(self.0, hook, "as asked");
    }
}

impl Plugin for Panics {
    fn name(&self) -> &str {
        self.0
    }

    fn install(&self, _: &primus::core::Primus) {
        self.at("install");
    }

    fn on_connection(&self, _: &Spark) {
        self.at("on_connection");
    }

    fn on_disconnection(&self, _: &Spark, _: &CloseReason) {
        self.at("on_disconnection");
    }

    fn incoming(&self, _: &Spark, message: &mut Message) -> Flow {
        if says(message, "panic") {
            self.at("incoming");
        }
        Flow::Pass
    }

    fn outgoing(&self, message: &mut Message) -> Flow {
        if says(message, "panic") {
            self.at("outgoing");
        }
        Flow::Pass
    }
}

#[tokio::test]
async fn a_panic_in_a_hook_ends_its_spark_at_most() {
    for transport in TRANSPORTS {
        for hook in ["on_connection", "incoming", "outgoing", "on_disconnection"] {
            let diary = Diary::new("diary");
            let server = diarist(Primus::builder(), &diary).await;
            let mut bystander = Peer::connect(server.address(), transport).await;
            bystander.send("\"hello\"").await;
            assert_eq!(bystander.text().await, "\"hello\"");
            taken(&diary.lines);
            server.plugins().add(Panics(hook)).unwrap();

            let mut peer = Peer::connect(server.address(), transport).await;
            match hook {
                "outgoing" => {
                    // Not even the echo of that message hurts: it does not go out.
                    peer.send("\"panic\"").await;
                    peer.send("\"hello\"").await;
                    assert_eq!(peer.text().await, "\"hello\"");
                    assert_eq!(server.write("panic").unwrap(), 0);
                    let spark = server.spark(peer.id().parse().unwrap()).unwrap();
                    assert_eq!(spark.write("panic").unwrap(), Written::Dropped);
                }
                "on_disconnection" => {
                    peer.send("primus::end::").await;
                    drop(peer);
                }
                hook => {
                    if hook == "incoming" {
                        peer.send("\"panic\"").await;
                    }
                    let (messages, end) = peer.rest().await;
                    assert_eq!((messages.len(), &end["code"]), (0, &json!(1011)), "{hook}");
                }
            }
            if hook != "outgoing" {
                let told = || diary.lines.lock().unwrap().iter().any(|line| line == "end");
                until("the end", told).await;
            }
            let handled = taken(&diary.lines).iter().any(|line| line == "handler");
            assert_eq!(handled, hook != "on_connection", "{hook}");
            bystander.send("\"still here\"").await;
            assert_eq!(bystander.text().await, "\"still here\"", "{hook} over {transport}");
        }
    }
    let server = Server::echo(Primus::builder()).await;
    let error = server.plugins().add(Panics("install")).unwrap_err();
    assert_eq!(error, PluginError::Panicked("install".to_owned()));
    let error = Primus::builder().plugin(Panics("install")).build().unwrap_err();
    assert_eq!(error.to_string(), "the plugin `install` panicked while it was installed");
}
