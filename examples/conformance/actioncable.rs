//! What ActionCable clients want to find: `/cable` with a `ChatChannel` whose `speak` is said to all its subscribers.

use primus::{Builder, CloseReason, Keep, Mount, Primus, Rejection, Spark};
use primus_examples::Result;
use serde_json::{Value, json};

/// The service alone.
pub(crate) fn services(builder: Builder) -> Result<Primus> {
    let primus = mounts(builder).build()?;
    channels(&primus)?;
    primus.on_connection(serve);
    Ok(primus)
}

pub(crate) fn mounts(builder: Builder) -> Builder {
    let cable = Mount::new()
        .transformers(["actioncable"])
        .actioncable_whisper(true)
        .actioncable_presence(true);
    builder.mount("/cable", cable)
}

/// `ChatChannel`, for everybody and with parameters; `HistoryChannel`, whose stream keeps what was said; `PrivateChannel`,
/// which nobody may enter.
pub(crate) fn channels(primus: &Primus) -> Result {
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
    Ok(())
}

/// A client's connection as such.
pub(crate) async fn serve(mut spark: Spark) -> primus::Result {
    while spark.next().await.is_some() {}
    Ok(())
}
