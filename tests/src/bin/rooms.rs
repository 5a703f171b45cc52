//! A server with rooms, events and channels, for browsers and npm clients.
//!
//! - Rooms `open.*` may be joined by clients; `open.kept` keeps its last 5 messages.
//! - `say {room, event?, data}` emits to a room, or writes; `forget` ends the spark's session for good,
//!   so that its client comes back to another one; `echo` answers with its arguments; `ask {name,
//!   args}` asks the client, and answers what it answered, or how it refused.
//! - The channel `/echo` echoes; `/closed` is refused.
//! - `GET /` is an empty page with the client.

use primus::{ChannelRequest, CloseReason, Keep, Message, Primus, Rejection, RequestError, Spark};
use primus_tests::program;
use serde::Deserialize;
use serde_json::{Value, json};

const PAGE: &str =
    "<!doctype html><link rel=icon href=data:,><script src=/primus/primus.js></script>";

#[derive(Deserialize)]
struct Say {
    room: String,
    event: Option<String>,
    data: Value,
}

#[derive(Deserialize)]
struct Ask {
    name: String,
    args: Value,
}

#[tokio::main]
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    hook(&primus)?;
    let pages = |path: &str| (path == "/").then(|| ("text/html; charset=utf-8", PAGE.to_owned()));
    program::serve(primus, &listen, pages).await
}

fn hook(primus: &Primus) -> program::Result {
    let root = primus.root();
    root.keep("open.kept", Keep::messages(5))?;
    root.authorize_join(async |_: Spark, room: String| match room.starts_with("open.") {
        true => Ok(()),
        false => Err(Rejection::forbidden("that room is closed")),
    });
    root.on("say", async |spark: Spark, Say { room, event, data }: Say| {
        let room = spark.channel().room(&room);
        match event {
            Some(event) => room.emit(&event, &data).unwrap_or(0),
            None => room.write(&data).unwrap_or(0),
        }
    })?;
    root.on("members", async |spark: Spark, room: String| spark.channel().room(&room).len())?;
    root.on("echo", async |args: Value| args)?;
    root.on("bytes", async |spark: Spark, (): ()| {
        let _ = spark.write(&bytes::Bytes::from_static(&[0, 1, 254, 255]));
    })?;
    root.on("forget", async |spark: Spark, (): ()| {
        spark.end(CloseReason::from_code(4100, "forget"))
    })?;
    root.on("ask", async |spark: Spark, Ask { name, args }: Ask| {
        match spark.request::<Value>(&name, &args).await {
            Ok(answer) => json!({ "answer": answer }),
            Err(RequestError::Refused(no)) => {
                json!({ "refused": no.error(), "status": no.status().as_u16() })
            }
            Err(error) => json!({ "error": error.to_string() }),
        }
    })?;
    let echo = primus.channel("/echo")?;
    echo.on("echo", async |args: Value| args)?;
    echo.on_connection(async |spark: Spark| {
        spark.on_data(|spark: &Spark, message: Message| drop(spark.write_message(message)));
        spark.emit("welcome", &spark.channel().name().to_owned())?;
        Ok(())
    });
    let closed = primus.channel("/closed")?;
    closed.authorize(async |request: ChannelRequest| -> Result<(), Rejection> {
        Err(Rejection::forbidden(json!({ "you said": request.auth })))
    });
    Ok(())
}
