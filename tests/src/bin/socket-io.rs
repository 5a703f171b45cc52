//! A server for stock clients of Socket.IO, which the interop tests drive.
//!
//! - `/`, `/custom` and whatever fits `/doc/*` are open. Who comes is told by `auth` what it said of itself.
//!   `/secret` refuses with data, and so does `/` whom `auth` says `refuse`.
//! - Data is echoed. `echo` answers with its arguments, and `back` emits them as `backed`.
//! - `add` answers, `refuse` refuses, `say` is heard by all as `said`, `join` and `room` are about rooms, `ask` asks
//!   the client for `name`, `picture` is a struct with bytes in it, `bye` ends the spark, `count` emits
//!   numbers, one every 2 ms; `left` counts those who have gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use primus::{
    AuthorizeRequest, ChannelRequest, ChannelRules, CloseReason, Message, NameError, Payload,
    Rejection, Spark, core::parser::Args,
};
use primus_tests::program;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Serialize, Deserialize)]
struct Picture {
    name: String,
    data: Bytes,
}

#[tokio::main]
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    primus.authorize(async |request: AuthorizeRequest| match request.auth["refuse"].as_str() {
        Some(why) => Err(Rejection::forbidden(why.to_owned())),
        None => Ok(request.auth),
    });
    let left = Arc::new(AtomicUsize::new(0));
    let custom = primus.channel("/custom")?;
    let secret = primus.channel("/secret")?;
    secret.authorize(async |_| {
        Err::<(), _>(Rejection::forbidden(
            json!({ "message": "members only", "data": { "code": 7 } }),
        ))
    });
    let all = primus.channels("/doc/*")?;
    for channel in [&**primus.root(), &*custom, &all] {
        channel.on_connection(connected);
        let left = Arc::clone(&left);
        channel.on_disconnection(move |_, _| {
            let left = Arc::clone(&left);
            async move {
                left.fetch_add(1, Ordering::Relaxed);
            }
        });
        listen_to(channel)?;
    }
    for channel in [&*custom, &all] {
        channel.authorize(async |request: ChannelRequest| Ok(request.auth));
    }
    let pages = move |path: &str| {
        let stats = || json!({ "left": left.load(Ordering::Relaxed) }).to_string();
        (path == "/stats").then(|| ("application/json", stats()))
    };
    program::serve(primus, &listen, pages).await
}

async fn connected(mut spark: Spark) -> primus::Result {
    let auth = spark.user::<Value>().filter(|auth| !auth.is_null()).cloned();
    spark.emit("auth", &auth.unwrap_or_else(|| json!({})))?;
    while let Some(message) = spark.next().await {
        spark.write_message(message)?;
    }
    Ok(())
}

fn listen_to(channel: &ChannelRules) -> Result<(), NameError> {
    channel.on("echo", async |_: Spark, args: Message| Payload::from(args))?;
    channel.on("back", async |spark: Spark, args: Message| {
        let _ = spark.emit_message("backed", args);
    })?;
    channel.on("add", async |numbers: Vec<f64>| numbers.iter().sum::<f64>())?;
    channel.on("divide", async |numbers: (i64, i64)| {
        Args((numbers.0 / numbers.1, numbers.0 % numbers.1))
    })?;
    channel.on("refuse", async |_: Value| {
        Err::<(), _>(Rejection::new(StatusCode::IM_A_TEAPOT, "no coffee"))
    })?;
    channel.on("say", async |spark: Spark, args: Value| {
        let _ = spark.channel().emit("said", &args);
    })?;
    channel.on("join", async |spark: Spark, room: String| spark.join(&room).is_ok())?;
    channel.on("leave", async |spark: Spark, room: String| {
        spark.leave(&room);
    })?;
    channel.on("room", async |spark: Spark, (room, text): (String, Value)| {
        let _ = spark.channel().room(&room).except(&spark).emit("roomed", &text);
    })?;
    channel.on("ask", async |spark: Spark, args: Value| {
        // Not awaited here: the answer may be behind other events.
        tokio::spawn(async move {
            let answer = spark.request("name", &args).timeout(Duration::from_millis(300)).await;
            let answer: Value = answer.unwrap_or_else(|error| error.to_string().into());
            let _ = spark.emit("asked", &answer);
        });
    })?;
    channel.on("poll", async |spark: Spark, question: String| {
        tokio::spawn(async move {
            let Ok(answers) = spark.channel().everyone().request::<Value>(&question, &()) else {
                return;
            };
            let mut answers = answers.timeout(Duration::from_millis(300));
            let mut all = Vec::new();
            while let Some(answer) = answers.next().await {
                all.push(answer.value);
            }
            let _ = spark.emit("polled", &Args((all, answers.missing().len())));
        });
    })?;
    channel.on("picture", async |picture: Picture| Picture {
        name: format!("{} ({} bytes)", picture.name, picture.data.len()),
        data: picture.data.iter().rev().copied().collect::<Vec<_>>().into(),
    })?;
    channel.on("bye", async |spark: Spark, (): ()| spark.end(CloseReason::ENDED))?;
    channel.on("again", async |spark: Spark, (): ()| spark.reconnect())?;
    channel.on("count", async |spark: Spark, most: u64| {
        tokio::spawn(async move {
            for number in 0..most {
                // Half of them for many, half for this one alone.
                let sent = match number % 2 {
                    0 => spark.channel().emit("number", &number).is_ok(),
                    _ => spark.emit("number", &number).is_ok(),
                };
                if !sent {
                    return;
                }
                // So slowly that connections are cut in between.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    })
}
