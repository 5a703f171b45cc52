//! Plugins: their hooks, and that they come and go while the server runs.

mod hooks;
mod install;
mod panics;
mod script;

use std::sync::{Arc, Mutex};

use primus::{Builder, CloseReason, Flow, Message, Plugin, Primus, Spark};
use primus_tests::{
    http::{Answer, get},
    server::Server,
};
use serde_json::{Value, json};

/// A plugin with a half for clients.
struct Badge(&'static str);

impl Plugin for Badge {
    fn name(&self) -> &str {
        self.0
    }

    fn client_script(&self) -> Option<&str> {
        match self.0 {
            "silent" => None,
            "plain" => Some("(primus) => { primus.plain = 1; }"),
            _ => Some("(primus, options, mine) => { primus.badge = mine; };"),
        }
    }

    fn client_options(&self) -> Option<Value> {
        (self.0 == "badge").then(|| json!({ "shown": ["</script>"] }))
    }
}

async fn script(server: &Server, path: &str) -> Answer {
    let answer = get(&format!("{path}/primus.js")).send(server.address()).await;
    assert_eq!(answer.status, 200);
    answer
}

/// What stands in a script as its plugins.
fn names(primus: &Primus) -> Vec<String> {
    primus.plugins().names().iter().map(|name| name.to_string()).collect()
}

type Lines = Arc<Mutex<Vec<String>>>;

fn taken(lines: &Lines) -> Vec<String> {
    std::mem::take(&mut *lines.lock().unwrap())
}

/// Writes down which of its hooks are called, and puts its name behind what passes.
#[derive(Clone)]
struct Diary {
    name: &'static str,
    lines: Lines,
}

impl Diary {
    fn new(name: &'static str) -> Self {
        Self { name, lines: Arc::default() }
    }

    fn note(&self, what: impl Into<String>) {
        self.lines.lock().unwrap().push(what.into());
    }
}

fn append(message: &mut Message, suffix: &str) {
    let text: String = message.decode().unwrap();
    message.replace(&format!("{text} {suffix}")).unwrap();
}

fn says(message: &Message, word: &str) -> bool {
    message.as_text().is_some_and(|text| text.contains(word))
}

impl Plugin for Diary {
    fn name(&self) -> &str {
        self.name
    }

    fn on_connection(&self, spark: &Spark) {
        self.note(format!("came over {}", spark.transformer()));
    }

    fn on_disconnection(&self, _: &Spark, reason: &CloseReason) {
        self.note(format!("left with {}", reason.code()));
    }

    fn incoming(&self, _: &Spark, message: &mut Message) -> Flow {
        self.note(format!("in {}", message.as_text().unwrap()));
        append(message, self.name);
        if says(message, "drop in") { Flow::Drop } else { Flow::Pass }
    }

    fn outgoing(&self, message: &mut Message) -> Flow {
        self.note(format!("out {}", message.as_text().unwrap()));
        append(message, self.name);
        if says(message, "drop out") { Flow::Drop } else { Flow::Pass }
    }
}

/// An echo whose handler and end write into the diary of a plugin, too.
async fn diarist(builder: Builder, diary: &Diary) -> Server {
    let server = Server::start(builder).await;
    let handler = diary.clone();
    server.on_connection(move |mut spark| {
        handler.note("handler");
        async move {
            while let Some(message) = spark.next().await {
                spark.write_message(message)?;
            }
            Ok(())
        }
    });
    let end = diary.clone();
    server.on_disconnection(move |_, _| {
        end.note("end");
        async {}
    });
    server
}
