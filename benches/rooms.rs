//! Rooms among 100,000 sparks: a message to ten of them, and a join and a leave. No sockets.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use primus_benches::Bench;
use primus_core::Resume;

/// All of them sit in one room, as the readers of a feed do, and the first ten in another.
///
/// What the sessions cost that join nothing is in the other benches: they have no room at all.
fn rooms(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("rooms");
    for sessions in [100, 10_000, 100_000] {
        let mut bench = runtime.block_on(Bench::new(sessions, Resume::Never)).expect("sessions");
        let sparks = bench.sparks();
        for (index, spark) in sparks.iter().enumerate() {
            spark.join("all").expect("it is open");
            if index < 10 {
                spark.join("ten").expect("it is open");
            }
        }
        let primus = bench.primus.clone();
        group.bench_function(format!("an event to 10 of {sessions} sparks"), |bencher| {
            bencher.iter(|| {
                let reached = primus.room("ten").emit("moved", &[1, 2]).expect("it encodes");
                assert_eq!(reached, 10);
                bench.drain_first(10)
            });
        });
        let last = &sparks[sessions - 1];
        group.bench_function(format!("leave and join a room of {sessions}"), |bencher| {
            bencher.iter(|| {
                assert!(last.leave("all"));
                last.join("all").expect("it is open");
            });
        });
    }
}

criterion_group!(benches, rooms);
criterion_main!(benches);
