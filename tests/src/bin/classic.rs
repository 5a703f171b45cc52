//! A server with listeners and channels. The interop tests drive it with the plugins of the stock
//! client: `primus-emitter` and `primus-multiplex`.
//!
//! - Data is echoed, in the root and in the channels.
//! - In the root and in the channels: `add` answers, `refuse` refuses, `say` comes back as `said` to
//!   everybody, `ask` asks the client for `name` and emits `asked` with what it answered.
//! - `news` is open to all, `slow` too, but takes 300 ms to decide, `secret` to nobody; `/doc/*` is a
//!   pattern. The event `bye` ends the spark of the channel behind a last message.
//! - `GET /stats` says how many sparks are in `news`.

use std::time::Duration;

use http::StatusCode;
use primus::{ChannelRules, CloseReason, NameError, Rejection, Spark};
use primus_tests::program;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    primus.on_connection(echo);
    listen_to(primus.root())?;
    let news = primus.channel("news")?;
    let slow = primus.channel("slow")?;
    slow.authorize(async |_| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    });
    let secret = primus.channel("secret")?;
    secret.authorize(async |_| Err::<(), _>(Rejection::forbidden("members only")));
    for channel in [&*news, &*slow, &*secret, &primus.channels("/doc/*")?] {
        channel.on_connection(echo);
        listen_to(channel)?;
        channel.on("bye", async |spark: Spark, last: Value| {
            let _ = spark.write(&last);
            spark.end(CloseReason::ENDED);
        })?;
    }
    let pages = move |path: &str| {
        let stats = || json!({ "news": news.len() }).to_string();
        (path == "/stats").then(|| ("application/json", stats()))
    };
    program::serve(primus, &listen, pages).await
}

async fn echo(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        spark.write_message(message)?;
    }
    Ok(())
}

fn listen_to(channel: &ChannelRules) -> Result<(), NameError> {
    channel.on("add", async |numbers: Vec<f64>| numbers.iter().sum::<f64>())?;
    channel.on("nothing", async |_: Value| ())?;
    channel.on("refuse", async |_: Value| {
        Err::<(), _>(Rejection::new(StatusCode::IM_A_TEAPOT, "no coffee"))
    })?;
    channel.on("say", async |spark: Spark, args: Value| {
        let _ = spark.channel().emit("said", &args);
    })?;
    channel.on("ask", async |spark: Spark, args: Value| {
        // Not awaited here: the answer may be behind other events.
        tokio::spawn(async move {
            let answer = spark.request("name", &args).await;
            let answer: Value = answer.unwrap_or_else(|error| error.to_string().into());
            let _ = spark.emit("asked", &answer);
        });
    })
}
