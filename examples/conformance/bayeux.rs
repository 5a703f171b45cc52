//! What clients of Bayeux, and tests of them, want to find: a server as Faye has it, where everybody may
//! subscribe and publish, and a service that answers.

use std::time::Duration;

use primus::{Builder, CloseReason, Message, Mount, Primus, Rejection, Spark};

/// The services alone.
pub(crate) fn services(builder: Builder) -> primus_examples::Result<Primus> {
    let primus = mounts(builder).build()?;
    rules(&primus);
    primus.on_connection(serve);
    Ok(primus)
}

/// The service `/bayeux`, and `/bayeux-short`, which holds connects for a second.
pub(crate) fn mounts(builder: Builder) -> Builder {
    let plain = || Mount::new().transformers(["bayeux"]);
    builder
        .origins(["*"])
        .mount("/bayeux", plain())
        .mount("/bayeux-short", plain().bayeux_timeout(Duration::from_secs(1)))
}

/// Who may do what, and the services that answer.
pub(crate) fn rules(primus: &Primus) {
    let root = primus.root();
    root.authorize_join(async |_: Spark, room: String| allowed(&room));
    root.authorize_publish(async |_: Spark, room: String| allowed(&room));
    root.on_any(|spark: &Spark, name: &str, message: &Message| {
        match name {
            "/service/echo" => {
                if let Ok(data) = message.json::<serde_json::Value>() {
                    let _ = spark.emit(name, &data); // it may be over already
                }
            }
            "/service/close" => spark.end(CloseReason::ENDED),
            "/service/reconnect" => spark.reconnect(),
            _ => {}
        }
    });
}

/// Sends back what is published on `/primus`.
pub(crate) async fn serve(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        spark.write_message(message)?;
    }
    Ok(())
}

/// All but what is said to be secret.
fn allowed(room: &str) -> Result<(), Rejection> {
    match room.starts_with("/secret") {
        true => Err(Rejection::forbidden("it is secret")),
        false => Ok(()),
    }
}
