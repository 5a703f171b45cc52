//! `weigh`, where Primus is a layer of an application of axum.

use std::{
    alloc::System,
    io::{Write as _, stdout},
};

use axum::{Router, routing::get};
use primus_tests::{program, server::echo, weighed};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::main]
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    primus.on_connection(echo);
    let app = Router::new().route("/", get(async || "the application")).layer(primus.layer());
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    stdout().flush()?;
    weighed::tell(primus, || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    });
    axum::serve(listener, app).await?;
    Ok(())
}
