//! What ActionCable clients want to find: `/cable` with a `ChatChannel` whose `speak` is said to all its subscribers.

use primus::{Builder, CloseReason, Keep, Mount, Primus, Rejection, Spark};
use serde_json::{Value, json};

/// `ChatChannel`, for everybody and with parameters; `HistoryChannel`, whose stream keeps what was said; `PrivateChannel`,
/// which nobody may enter.
pub(crate) fn services(builder: Builder) -> primus_examples::Result<Primus> {
    let cable = Mount::new()
        .transformers(["actioncable"])
        .actioncable_whisper(true)
        .actioncable_presence(true);
    let primus = builder.mount("/cable", cable).build()?;
    primus.on_connection(connection);
    for pattern in ["ChatChannel", "ChatChannel?*"] {
        let chat = primus.channels(pattern)?;
        chat.on("speak", async |spark: Spark, said: Value| {
            let _ = spark.channel().write(&said);
        })?;
        chat.on("leave", async |spark: Spark, _: Value| spark.end(CloseReason::ENDED))?;
        chat.on("disconnect_me", async |spark: Spark, how: Value| {
            let reconnect = how["reconnect"] == true;
            let reason = if reconnect { CloseReason::RECONNECT } else { CloseReason::ENDED };
            spark.root().end(reason);
        })?;
        chat.on_connection(async |mut spark: Spark| {
            while let Some(message) = spark.next().await {
                spark.write(&json!({ "received": message.decode::<Value>()? }))?;
            }
            Ok(())
        });
    }
    let history = primus.channel("HistoryChannel")?;
    history.keep("stream", Keep::messages(100))?;
    history.on("speak", async |spark: Spark, said: Value| {
        let _ = spark.channel().room("stream").write(&said);
    })?;
    history.on_connection(async |mut spark: Spark| {
        spark.join("stream")?;
        while spark.next().await.is_some() {}
        Ok(())
    });
    let private = primus.channel("PrivateChannel")?;
    private.authorize(async |_| Err::<(), _>(Rejection::forbidden("nobody may")));
    primus.authorize(async |request| match request.query("token").as_deref() {
        Some("bad") => Err(Rejection::unauthorized("a bad token")),
        _ => Ok(()),
    });
    Ok(primus)
}

/// A client's connection as such.
async fn connection(mut spark: Spark) -> primus::Result {
    while spark.next().await.is_some() {}
    Ok(())
}
