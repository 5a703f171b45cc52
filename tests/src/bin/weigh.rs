//! A server that knows what it holds: each line on its input is answered with the bytes that are
//! alive on its heap, and the numbers of its tasks and sessions. The tests of what a connection costs, and of what
//! one leaves behind, drive it.

use std::{
    alloc::System,
    io::{Write as _, stdout},
};

use primus_tests::{program, server::echo, weighed};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::main]
async fn main() -> program::Result {
    let (primus, listen) = program::from_args()?;
    primus.on_connection(echo);
    let listener = primus.bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr());
    stdout().flush()?;
    weighed::tell(primus, || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    });
    listener.serve().await?;
    Ok(())
}
