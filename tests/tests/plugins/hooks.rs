//! Hooks on connections and messages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use primus::{Flow, Message, Plugin, Primus, Spark, Written};
use primus_tests::{
    peer::{Peer, TRANSPORTS},
    server::{Server, until},
    ws,
};

use super::{Diary, append, diarist, names, taken};

#[tokio::test]
async fn hooks_are_called_as_long_as_their_plugin_is_installed() {
    for transport in TRANSPORTS {
        let diary = Diary::new("diary");
        let server = diarist(Primus::builder(), &diary).await;
        let mut early = Peer::connect(server.address(), transport).await;
        early.send("\"a\"").await;
        assert_eq!(early.text().await, "\"a\"");
        assert_eq!(taken(&diary.lines), ["handler"]);

        server.plugins().add(diary.clone()).unwrap();
        early.send("\"b\"").await;
        assert_eq!(early.text().await, "\"b diary diary\"");
        assert_eq!(taken(&diary.lines), ["in \"b\"", "out \"b diary\""]);
        let mut late = Peer::connect(server.address(), transport).await;
        late.send("\"c\"").await;
        assert_eq!(late.text().await, "\"c diary diary\"");
        let came = format!("came over {transport}");
        assert_eq!(taken(&diary.lines), [&*came, "handler", "in \"c\"", "out \"c diary\""]);
        // One that came before the plugin did, and one that came after.
        for mut peer in [early, late] {
            peer.send("primus::end::").await;
            drop(peer);
            until("the end", || diary.lines.lock().unwrap().len() == 2).await;
            assert_eq!(taken(&diary.lines), ["left with 1000", "end"]);
        }

        let mut last = Peer::connect(server.address(), transport).await;
        last.send("\"d\"").await;
        assert_eq!(last.text().await, "\"d diary diary\"");
        taken(&diary.lines);
        assert!(server.plugins().remove("diary"));
        last.send("\"e\"").await;
        assert_eq!(last.text().await, "\"e\"");
        last.send("primus::end::").await;
        drop(last);
        until("the end", || !diary.lines.lock().unwrap().is_empty()).await;
        Peer::connect(server.address(), transport).await;
        until("the handler", || diary.lines.lock().unwrap().len() == 2).await;
        assert_eq!(taken(&diary.lines), ["end", "handler"], "{transport}");
    }
}

#[tokio::test]
async fn plugins_stand_around_the_transforms_in_the_order_in_which_they_were_added() {
    let server = Server::echo(
        Primus::builder()
            .plugin(Diary::new("a"))
            .transform_in(|_, message| {
                append(message, "transform");
                Flow::Pass
            })
            .transform_out(|message| {
                append(message, "transform");
                Flow::Pass
            })
            .plugin(Diary::new("b")),
    )
    .await;
    assert_eq!(names(&server.primus()), ["a", "b"]);
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send("\"x\"").await;
        assert_eq!(peer.text().await, "\"x a b transform transform a b\"", "{transport}");
    }
}

#[tokio::test]
async fn what_a_plugin_drops_goes_no_further() {
    let (first, second) = (Diary::new("first"), Diary::new("second"));
    let server = diarist(Primus::builder().plugin(first).plugin(second.clone()), &second).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        for text in ["drop in", "drop out", "x"] {
            peer.send(&format!("\"{text}\"")).await;
        }
        assert_eq!(peer.text().await, "\"x first second first second\"", "{transport}");
        let spark = server.spark(peer.id().parse().unwrap()).unwrap();
        assert_eq!(spark.write("drop out").unwrap(), Written::Dropped);
        assert_eq!(server.write("drop out").unwrap(), 0);
    }
    let lines = taken(&second.lines);
    let seen: Vec<_> = lines.iter().filter(|line| line.contains("drop")).collect();
    // The handler got it, and its echo did not get past the first plugin.
    assert_eq!(seen, ["in \"drop out first\""; 3]);
}

/// Counts the messages that go out.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Plugin for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn outgoing(&self, _: &mut Message) -> Flow {
        self.0.fetch_add(1, Ordering::Relaxed);
        Flow::Pass
    }
}

#[tokio::test]
async fn a_broadcast_passes_a_plugin_once_and_is_framed_once() {
    let per_spark = |_: &Spark, _: &mut Message| Flow::Pass;
    for (builder, calls, framed) in
        [(Primus::builder(), 1, 1), (Primus::builder().transform_out_per_spark(per_spark), 5, 0)]
    {
        let counter = Counter::default();
        let server = Server::echo(builder.plugin(counter.clone())).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(ws::Client::plain(server.address()).await);
        }
        until("five sparks", || server.sessions() == 5).await;
        assert_eq!(server.write("news").unwrap(), 5);
        for client in &mut clients {
            assert_eq!(client.text().await, "\"news\"");
        }
        assert_eq!(counter.0.load(Ordering::Relaxed), calls);
        assert_eq!(server.frame_counters().framed(), framed);
    }
}
