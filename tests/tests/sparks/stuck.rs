//! Code of the application that blocks its thread, and who does not wait for it.

use std::sync::{Arc, Mutex, mpsc as std_mpsc};

use primus::{Flow, FromFn, Head, Kind, Message, Place, Plugin, Primus, Response, Spark};
use primus_tests::{
    peer::Peer,
    server::{PATIENCE, Server, soon, until},
};
use tokio::sync::mpsc;

/// Where code of the application gets stuck, and what makes it do so.
const PLACES: [(&str, &str); 10] = [
    ("listener", "primus::event:listener::null"),
    ("listener", "primus::request:7:listener::null"),
    ("future", "primus::event:future::null"),
    ("catch-all", "primus::event:catch-all::null"),
    ("on_data", "\"on_data\""),
    ("plugin", "\"plugin\""),
    ("transform in", "\"transform in\""),
    ("transform out", "\"transform out\""),
    ("filter", "primus::event:filter::null"),
    ("filter in a room", "primus::event:filter in a room::null"),
];

/// Whoever comes here blocks its thread until the test lets it go, or is over.
struct Trap {
    caught: mpsc::Sender<&'static str>,
    way_out: Mutex<std_mpsc::Receiver<()>>,
}

impl Trap {
    fn catch(&self, place: &'static str) {
        self.caught.try_send(place).unwrap();
        let _ = self.way_out.lock().unwrap().recv();
    }

    /// A message whose text is the place's name.
    fn catch_text(&self, place: &'static str, message: &Message) {
        if message.json::<&str>().is_ok_and(|text| text == place) {
            self.catch(place);
        }
    }
}

impl Plugin for Trap {
    fn name(&self) -> &'static str {
        "trap"
    }

    fn incoming(&self, _: &Spark, message: &mut Message) -> Flow {
        self.catch_text("plugin", message);
        Flow::Pass
    }
}

async fn start(trap: &Arc<Trap>) -> Server {
    let [a, b, c, d, e, f, g] = std::array::from_fn(|_| Arc::clone(trap));
    let builder = super::websocket()
        .transform_in(move |_, message| {
            a.catch_text("transform in", message);
            Flow::Pass
        })
        .transform_out(move |message| {
            b.catch_text("transform out", message);
            Flow::Pass
        });
    let server = Server::start(builder).await;
    server.plugins().add_shared(Arc::clone(trap) as Arc<dyn Plugin>).unwrap();
    server.on_connection(move |spark| {
        let trap = Arc::clone(&c);
        async move {
            spark.join("room")?;
            spark.on_data(move |spark, message| {
                trap.catch_text("on_data", &message);
                spark.write_message(message).unwrap();
            });
            Ok(())
        }
    });
    server.root().on_any(move |_, name, _| {
        if name == "catch-all" {
            d.catch("catch-all");
        }
    });
    server
        .on("listener", move |(): ()| {
            e.catch("listener");
            async {}
        })
        .unwrap();
    server
        .on("future", move |(): ()| {
            let trap = Arc::clone(&f);
            async move { trap.catch("future") }
        })
        .unwrap();
    for (place, in_room) in [("filter", false), ("filter in a room", true)] {
        let trap = Arc::clone(&g);
        let caught = move |spark: Spark, (): ()| {
            let channel = spark.channel();
            let all = if in_room { channel.room("room") } else { channel.everyone() };
            let (trap, first) = (Arc::clone(&trap), spark.id());
            let chosen = all.filter(move |spark| {
                if spark.id() == first {
                    trap.catch(place);
                }
                false
            });
            assert_eq!(chosen.write("to nobody").unwrap(), 0);
            async {}
        };
        server.on(place, caught).unwrap();
    }
    server.on("add", async |numbers: Vec<i64>| numbers.iter().sum::<i64>()).unwrap();
    server
        .on("greet", async |spark: Spark, name: String| {
            spark.emit("greeted", &name).unwrap();
        })
        .unwrap();
    server
}

/// Changes all that is looked at on the way of a message or a connection.
fn change(primus: &Primus) {
    struct Nothing;
    impl Plugin for Nothing {
        fn name(&self) -> &'static str {
            "nothing"
        }
    }
    let layer = FromFn::new(|_: &mut Head| None::<Response>);
    primus.on("later", async |(): ()| ()).unwrap();
    assert!(primus.off("later"));
    primus.plugins().add(Nothing).unwrap();
    assert!(primus.plugins().remove("nothing"));
    primus.middleware().add("nothing", Kind::Both, Place::Last, layer).unwrap();
    assert!(primus.middleware().remove("nothing"));
    primus.on_detach(async |_, _| ());
    primus.root().on_leave(|_, _| ());
    assert_eq!(primus.stats().sessions, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_code_of_the_application_that_is_stuck() {
    let (caught, mut stuck) = mpsc::channel(1);
    let (release, way_out) = std_mpsc::channel();
    let trap = Arc::new(Trap { caught, way_out: Mutex::new(way_out) });
    // Everybody may wait, and then no timer of the runtime fires: who is stuck is let go by a thread.
    let (over, ended) = std_mpsc::channel::<()>();
    let rescue = release.clone();
    let watch = std::thread::spawn(move || {
        let hangs = ended.recv_timeout(PATIENCE * PLACES.len() as u32)
            == Err(std_mpsc::RecvTimeoutError::Timeout);
        if hangs {
            PLACES.iter().for_each(|_| rescue.send(()).unwrap_or_default());
        }
        hangs
    });
    let server = start(&trap).await;
    for (place, frame) in PLACES {
        let mut victim = Peer::connect(server.address(), "websocket").await;
        let mut other = Peer::connect(server.address(), "websocket").await;
        victim.send("\"ready\"").await;
        assert_eq!(victim.text().await, "\"ready\"");
        victim.send(frame).await;
        assert_eq!(soon(stuck.recv()).await, Some(place), "{frame}");
        // The other worker looks after sockets and timers from now on, if the one that is stuck did.
        tokio::spawn(async {}).await.unwrap();

        other.send("\"hello\"").await;
        assert_eq!(other.text().await, "\"hello\"", "{frame}");
        other.send("primus::event:greet::\"ada\"").await;
        assert_eq!(other.text().await, "primus::event:greeted::\"ada\"", "{frame}");
        assert_eq!(other.ask(1, "primus::request:1:add::[40,2]").await, "42", "{frame}");
        let mut third = Peer::connect(server.address(), "websocket").await;
        third.send("\"here\"").await;
        assert_eq!(third.text().await, "\"here\"", "{frame}");

        let primus = server.primus();
        let outside = tokio::task::spawn_blocking(move || {
            change(&primus);
            (
                primus.write("all").unwrap(),
                primus.room("room").emit("news", &1).unwrap(),
                primus.emit("event", &2).unwrap(),
            )
        });
        assert_eq!(soon(outside).await.unwrap(), (3, 3, 3), "{frame}");
        for peer in [&mut other, &mut third] {
            assert_eq!(peer.text().await, "\"all\"", "{frame}");
            assert_eq!(peer.text().await, "primus::event:news::1", "{frame}");
            assert_eq!(peer.text().await, "primus::event:event::2", "{frame}");
        }
        assert!(stuck.try_recv().is_err(), "{frame}");

        release.send(()).unwrap();
        victim.send("\"free\"").await;
        while victim.text().await != "\"free\"" {}
        for mut peer in [victim, other, third] {
            server.spark(peer.id().parse().unwrap()).unwrap().end(primus::CloseReason::ENDED);
            peer.rest().await;
        }
        until("the end of all", || server.sessions() == 0).await;
    }
    drop(over);
    assert!(!watch.join().unwrap(), "somebody waited for who was stuck");
}
