//! Ten thousand posts a second, of which each page hears those with its keywords: a room for each
//! keyword. Posts are volatile: who cannot keep up gets fewer of them, nothing is kept for that, and
//! nobody waits for it.
//!
//! ```sh
//! curl -N 'http://127.0.0.1:8080/primus/sse?subscribe=rust'
//! curl http://127.0.0.1:8080/stats
//! ```

mod app;
mod posts;
mod reader;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use primus::{AuthorizeRequest, Builder, Rejection, Spark};
use primus_examples::{Args, CONFIG, Choice, listening};

use crate::{app::App, posts::now, reader::Reader};

const ABOUT: &str = "Ten thousand posts a second, by keyword, for fast and slow pages.";
const RATE: Choice = ("--rate", "N", "posts a second [default: 10000]");

/// What the browser asks for.
const PAGE: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/style.css", "text/css", include_str!("style.css")),
    ("/posts.js", "text/javascript", include_str!("posts.js")),
    ("/gauges.js", "text/javascript", include_str!("gauges.js")),
];

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[CONFIG, RATE]);
    let rate = args.get("--rate").unwrap_or("10000").parse::<u32>();
    let rate = rate.map_err(|error| format!("--rate: {error}"))?;
    let builder = args.get("--config").map_or_else(Builder::from_env, Builder::from_config)?;
    let primus = builder.build()?;
    let app: &App = Box::leak(Box::new(App::new(primus.clone(), rate)));

    primus.authorize(async |_: AuthorizeRequest| Ok(Reader::default()));
    primus.root().authorize_join(async |_: Spark, keyword: String| {
        match keyword.len() < 25 && keyword.bytes().all(|byte| byte.is_ascii_lowercase()) {
            true => Ok(()),
            false => Err(Rejection::forbidden("a keyword is one word in lower case")),
        }
    });
    primus.on("clock", async |(): ()| now())?;
    primus.on("stats", async |(): ()| app.stats())?;
    primus.on("seen", async |spark: Spark, report| {
        if let Some(reader) = spark.user::<Reader>() {
            reader.tell(report);
        }
    })?;
    tokio::spawn(app.write());

    let stats = async || serde_json::to_string(&app.stats()).unwrap_or_default();
    let mut router = Router::new().route("/stats", get(stats));
    for (path, kind, file) in PAGE {
        router = router.route(path, get(async move || ([(CONTENT_TYPE, kind)], file)));
    }
    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve_with(router).await?)
}
