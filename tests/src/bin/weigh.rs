//! A server that knows what it holds: each line on its input is answered with the bytes that are
//! alive on its heap, and the number of its tasks. The tests of what a connection costs, and of what one leaves
//! behind, drive it.

use std::{
    alloc::System,
    io::{Write as _, stdin, stdout},
    thread,
};

use primus_tests::{program, server::echo};
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
    let runtime = tokio::runtime::Handle::current().metrics();
    thread::spawn(move || {
        for _ in stdin().lines() {
            let stats = ALLOCATOR.stats();
            let heap = stats.bytes_allocated - stats.bytes_deallocated;
            println!("{heap} {}", runtime.num_alive_tasks());
            let _ = stdout().flush();
        }
    });
    listener.serve().await?;
    Ok(())
}
