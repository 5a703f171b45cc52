//! What the public test suite of SockJS, and that of `sockjs-client`, want to find.

use std::time::Duration;

use primus::{Builder, CloseReason, Mount, Primus, Spark, Written};
use primus_examples::Result;

/// The services alone.
pub(crate) fn services(builder: Builder) -> Result<Primus> {
    let primus = mounts(builder).build()?;
    primus.on_connection(serve);
    Ok(primus)
}

/// Each is a mount of its own.
pub(crate) fn mounts(builder: Builder) -> Builder {
    let plain = || Mount::new().transformers(["sockjs"]).parser("raw");
    // The suite waits for the end of a stream.
    let short = || plain().sockjs_response_limit(4096);
    // The suites come as pages of any origin.
    builder
        .origins(["*"])
        .mount("/echo", short())
        .mount("/disabled_websocket_echo", short().sockjs_websocket(false))
        .mount("/cookie_needed_echo", short().sockjs_cookie(true))
        .mount("/close", plain())
        .mount("/broadcast", plain())
        .mount("/ticker", plain())
        .mount("/amplify", plain())
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
