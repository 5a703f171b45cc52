//! One broadcast to 1,000 sessions: encode, push, take, frame. No sockets, no wakes across tasks.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use primus_benches::Bench;

fn broadcast(criterion: &mut Criterion) {
    const SESSIONS: usize = 1_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let mut bench = runtime.block_on(Bench::new(SESSIONS)).expect("sessions");
    let mut group = criterion.benchmark_group("broadcast");
    group.throughput(Throughput::Elements(SESSIONS as u64));
    group.bench_function("64 bytes to 1,000 sessions", |bencher| {
        bencher.iter(|| {
            let reached = bench.primus.write(&"x".repeat(62)).expect("a string encodes");
            assert_eq!((reached, bench.drain()), (SESSIONS, SESSIONS));
        });
    });
}

criterion_group!(benches, broadcast);
criterion_main!(benches);
