//! One broadcast to 1,000 sessions: encode, push, take, frame. No sockets, no wakes across tasks.
//!
//! The second row shows what it costs to keep each message until its client acknowledges it, which
//! clients do after 128 of them.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use primus_benches::Bench;
use primus_core::Resume;

fn broadcast(criterion: &mut Criterion) {
    const SESSIONS: usize = 1_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let mut group = criterion.benchmark_group("broadcast");
    group.throughput(Throughput::Elements(SESSIONS as u64));
    for (name, resume) in [
        ("64 bytes to 1,000 sessions", Resume::Never),
        ("the same, kept until they are acknowledged", Resume::Acknowledged),
    ] {
        let mut bench = runtime.block_on(Bench::new(SESSIONS, resume)).expect("sessions");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let reached = bench.primus.write(&"x".repeat(62)).expect("a string encodes");
                assert_eq!((reached, bench.drain()), (SESSIONS, SESSIONS));
            });
        });
    }
}

criterion_group!(benches, broadcast);
criterion_main!(benches);
