//! What tests of BrowserChannel want to find.

use std::sync::atomic::{AtomicUsize, Ordering};

use primus::{Builder, Mount, Primus, Spark, Written};
use primus_examples::Result;
use serde_json::{Value, json};

/// The services alone.
pub(crate) fn services(builder: Builder) -> Result<Primus> {
    let primus = mounts(builder).build()?;
    primus.on_connection(serve);
    Ok(primus)
}

/// Each is a mount of its own.
pub(crate) fn mounts(builder: Builder) -> Builder {
    let plain = || Mount::new().transformers(["browserchannel"]);
    let hosts = ["a", "b"];
    builder
        .origins(["*"])
        .mount("/channel", plain())
        .mount("/prefixed", plain().browserchannel_host_prefixes(hosts))
        .mount("/hello", plain())
        .mount("/refuse", plain())
        .mount("/stop", plain())
        .mount("/confirm", plain())
        .mount("/confirmed", plain())
}

/// How many messages the last client of `/confirm` is not known to have.
static UNCONFIRMED: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The handler of all services.
pub(crate) async fn serve(mut spark: Spark) -> primus::Result {
    match &*spark.mount().settings().path.clone() {
        // Says something at once, and more when it is asked for.
        "/hello" => drop(spark.write("hello")?),
        "/refuse" => return Ok(()),
        "/confirm" => {
            spark.write("a")?;
            spark.write("b")?;
            while spark.next().await.is_some() {}
            UNCONFIRMED.store(spark.undelivered().len(), Ordering::SeqCst);
        }
        "/confirmed" => drop(spark.write(&UNCONFIRMED.load(Ordering::SeqCst))?),
        _ => {}
    }
    while let Some(message) = spark.next().await {
        let value: Value = message.json()?;
        if spark.mount().settings().path.as_ref() == "/stop" {
            spark.write(&value)?;
            return Ok(());
        }
        if spark.write(&json!({ "echo": value }))? == Written::Pressured {
            spark.ready().await?;
        }
    }
    Ok(())
}
