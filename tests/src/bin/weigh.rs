//! A server that knows what it holds: each line on its input is answered with the bytes that are
//! alive on its heap. The tests of what a connection costs drive it.

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
    thread::spawn(|| {
        for _ in stdin().lines() {
            let stats = ALLOCATOR.stats();
            println!("{}", stats.bytes_allocated - stats.bytes_deallocated);
            let _ = stdout().flush();
        }
    });
    listener.serve().await?;
    Ok(())
}
