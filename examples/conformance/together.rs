//! The services of all dialects whose settings do not exclude each other, on one port, and a bare WebSocket at `/ws`.

use primus::{Builder, Mount, Primus, Spark, Written};
use primus_examples::Result;

use crate::{actioncable, bayeux, browserchannel, sockjs};

/// The largest message that `/ws` sends back.
const LARGEST: usize = 16 << 20;

pub(crate) fn services(builder: Builder) -> Result<Primus> {
    let all = [sockjs::mounts, bayeux::mounts, browserchannel::mounts, actioncable::mounts];
    let raw = Mount::new().transformers(["websocket"]).parser("raw").max_message(LARGEST);
    let builder = all.into_iter().fold(builder, |builder, mounts| mounts(builder));
    let primus = builder.mount("/ws", raw).build()?;
    bayeux::rules(&primus);
    actioncable::channels(&primus)?;
    primus.on_connection(serve);
    Ok(primus)
}

/// By the mount, as a test asks for the services of one protocol.
async fn serve(spark: Spark) -> primus::Result {
    match spark.mount().transformers()[0].name() {
        "sockjs" => sockjs::serve(spark).await,
        "bayeux" => bayeux::serve(spark).await,
        "browserchannel" => browserchannel::serve(spark).await,
        "actioncable" => actioncable::serve(spark).await,
        _ => echo(spark).await,
    }
}

async fn echo(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        if spark.write_message(message)? == Written::Pressured {
            spark.ready().await?;
        }
    }
    Ok(())
}
