//! What the public test suite of SockJS, and that of `sockjs-client`, want to find.

use std::time::Duration;

use primus::{Builder, CloseReason, Mount, SockJsMount, Spark, Written};

/// The services, each a mount of its own.
pub(crate) fn mounts(builder: Builder) -> Builder {
    let plain = || Mount::new().transformers(["sockjs"]).parser("raw");
    // The suite waits for the end of a stream.
    let short = SockJsMount::new().response_limit(4096);
    builder
        .mount("/echo", plain().sockjs(short.clone()))
        .mount("/disabled_websocket_echo", plain().sockjs(short.clone().websocket(false)))
        .mount("/cookie_needed_echo", plain().sockjs(short.cookie(true)))
        .mount("/close", plain())
        .mount("/broadcast", plain())
        .mount("/ticker", plain())
        .mount("/amplify", plain())
}

/// Whether `path` is a mount of these.
pub(crate) fn is_service(path: &str) -> bool {
    matches!(
        path,
        "/echo"
            | "/disabled_websocket_echo"
            | "/cookie_needed_echo"
            | "/close"
            | "/broadcast"
            | "/ticker"
            | "/amplify"
    )
}

/// The handler of all services.
pub(crate) async fn serve(mut spark: Spark) -> primus::Result {
    let service = spark.mount().settings().path.clone();
    match &*service {
        "/close" => spark.end(CloseReason::from_code(3000, "Go away!")),
        "/broadcast" => {
            while let Some(message) = spark.next().await {
                spark.mount().write_message(message);
            }
        }
        "/ticker" => loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => drop(spark.write_message("tick!")?),
                message = spark.next() => if message.is_none() { break },
            }
        },
        "/amplify" => {
            while let Some(message) = spark.next().await {
                let power = message.as_text().and_then(|text| text.parse().ok());
                let power: u32 = power.filter(|power| (1..19).contains(power)).unwrap_or(1);
                write(&spark, "x".repeat(1 << power)).await?;
            }
        }
        _ => {
            while let Some(message) = spark.next().await {
                write(&spark, message).await?;
            }
        }
    }
    Ok(())
}

/// Writes, and waits where a client does not read.
async fn write(spark: &Spark, message: impl Into<primus::Payload>) -> primus::Result {
    if spark.write_message(message)? == Written::Pressured {
        spark.ready().await?;
    }
    Ok(())
}
