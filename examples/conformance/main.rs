//! The services that public test suites want to find, for servers of any language.
//!
//! ```sh
//! cargo run --example conformance -- --listen 127.0.0.1:8081
//! ```

mod sockjs;

use primus::{Builder, Spark};
use primus_examples::{Args, CONFIG, Result, listening};

const ABOUT: &str =
    "The services that test suites of others want: SockJS at /echo, /close and more.";

#[tokio::main]
async fn main() -> Result {
    let args = Args::parse(ABOUT, &[CONFIG]);
    let builder = match args.get("--config") {
        Some(file) => Builder::from_config(file)?,
        None => Builder::from_env()?,
    };
    // The suites come as pages of any origin.
    let primus = sockjs::mounts(builder.origins(["*"])).build()?;
    primus.on_connection(serve);

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve().await?)
}

async fn serve(spark: Spark) -> primus::Result {
    if sockjs::is_service(&spark.mount().settings().path) {
        return sockjs::serve(spark).await;
    }
    Ok(())
}
