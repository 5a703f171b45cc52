//! A text that several people write at once: open the page in two windows, with the same `#name`.
//! Each document is a channel. Edits are reliable, and the order in which the server makes them is that
//! of everybody; cursors only matter as they are now.
//!
//! ```sh
//! curl http://127.0.0.1:8080/text/welcome
//! ```

mod library;
mod text;

use axum::{Router, extract::Path, http::header::CONTENT_TYPE, routing::get};
use primus::{Builder, Member, PresenceChange};
use primus_examples::{Args, CONFIG, listening};

use crate::library::Library;

const ABOUT: &str = "A text that several people write at once.";

/// What the browser asks for.
const PAGE: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/style.css", "text/css", include_str!("style.css")),
    ("/notepad.js", "text/javascript", include_str!("notepad.js")),
    ("/document.js", "text/javascript", include_str!("document.js")),
    ("/sheet.js", "text/javascript", include_str!("sheet.js")),
    ("/text.js", "text/javascript", include_str!("text.js")),
];

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[CONFIG]);
    let builder = args.get("--config").map_or_else(Builder::from_env, Builder::from_config)?;
    let primus = builder.build()?;
    let library: &Library = Box::leak(Box::default());

    let documents = primus.channels("/doc/*")?;
    documents.on("enter", move |spark, me| async move { library.enter(&spark, me) })?;
    documents.on("edit", move |spark, edits| async move { library.edit(&spark, edits) })?;
    documents.on("cursor", move |spark, me| async move { library.point(&spark, me) })?;
    let everywhere = primus.clone();
    documents.on_presence(move |name, change| {
        if let PresenceChange::Left(Member { id, .. }) = change
            && let (Ok(by), Ok(channel)) = (id.parse(), everywhere.channel(name))
        {
            library.leave(&channel, by);
        }
    });

    let mut app = Router::new()
        .route("/text/{name}", get(async |Path(name): Path<String>| library.read(&name)));
    for (path, kind, file) in PAGE {
        app = app.route(path, get(async move || ([(CONTENT_TYPE, kind)], file)));
    }
    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve_with(app).await?)
}
