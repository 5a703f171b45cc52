//! Primus in an axum application: a layer, at `/events`, in the midst of the application's own
//! routes. What is not an upgrade, a stream, a poll or a file of Primus goes on to axum — so
//! `/events/archive` is a route like any other.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::{Html, Response},
    routing::get,
    serve::ListenerExt as _,
};
use primus::{Primus, Spark, http::PeerAddr};
use primus_examples::{Args, bind, listening};

const ABOUT: &str = "An axum application with Primus at /events.";

/// The state of the application, shared by its routes and the handler of Primus.
#[derive(Clone)]
struct App {
    primus: Primus,
    messages: Arc<AtomicU64>,
}

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[]);
    let primus = Primus::builder().path("/events").build()?;
    let app = App { primus: primus.clone(), messages: Arc::default() };
    let state = app.clone();
    primus.on_connection(move |spark| handle(state.clone(), spark));

    let router = Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/events/archive", get(archive))
        .with_state(app)
        .layer(primus.layer())
        // Outside of Primus, so that it knows the peers: for `spark.address()`, and for the limit of
        // connections from one address.
        .layer(middleware::from_fn(tell_peer));

    let listener = bind(args.listen()).await?;
    listening(listener.local_addr()?);
    // Small messages are not to wait for more.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    Ok(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

/// Every message goes to everybody, with the sender's address.
async fn handle(app: App, mut spark: Spark) -> primus::Result {
    let address = spark.address().map_or("somebody".into(), |address| address.to_string());
    while let Some(message) = spark.next().await {
        app.messages.fetch_add(1, Ordering::Relaxed);
        app.primus.write(&format!("{address}: {}", message.decode::<String>()?))?;
    }
    Ok(())
}

/// A route of the application below the path of Primus.
async fn archive(State(app): State<App>) -> String {
    let messages = app.messages.load(Ordering::Relaxed);
    format!("{messages} messages so far, {} connected\n", app.primus.connected())
}

async fn tell_peer(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(PeerAddr::from(peer));
    next.run(request).await
}
