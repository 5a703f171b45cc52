//! A chat with two plugins, each with a half for the server and one for the page. One of them can be
//! removed and added while people talk: its server half stops at once, and `primus.js` no longer
//! has the other one, so it is gone from every page that is loaded again.

mod latency;
mod redact;

use latency::Latency;
use primus::{Primus, Result, Spark, http::page};
use primus_examples::{Args, listening};
use redact::Redact;
use serde::{Deserialize, Serialize};

const ABOUT: &str = "Two plugins, one of which can be removed and added while the server runs.";

/// What a page says.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    /// Something to everybody else.
    Text(String),
    /// Whether there should be the plugin `redact`.
    Redact(bool),
}

/// What a page hears.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Heard<'a> {
    Text(&'a str),
    /// The plugins that the server has now.
    Plugins(Vec<String>),
}

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[]);
    let primus = Primus::builder()
        .add_plugin(Latency { every: 1000 })
        .add_plugin(redact())
        .plugins(["latency", "redact"]) // or in a file: plugins = ["latency", "redact"]
        .build()?;

    let handle = primus.clone();
    primus.on_connection(move |spark| chat(handle.clone(), spark));

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve_with(page(include_str!("page.html"))).await?)
}

/// What must not get out.
fn redact() -> Redact {
    Redact::new(["secret", "password"])
}

fn plugins(primus: &Primus) -> Heard<'static> {
    Heard::Plugins(primus.plugins().names().iter().map(|name| name.to_string()).collect())
}

async fn chat(primus: Primus, mut spark: Spark) -> Result {
    spark.write(&plugins(&primus))?;
    while let Some(message) = spark.next().await {
        match message.decode()? {
            Said::Text(text) => drop(primus.except(&spark).write(&Heard::Text(&text))?),
            Said::Redact(wanted) => {
                if wanted {
                    // Somebody else may have been quicker.
                    let _ = primus.plugins().add(redact());
                } else {
                    primus.plugins().remove("redact");
                }
                primus.write(&plugins(&primus))?;
            }
        }
    }
    Ok(())
}
