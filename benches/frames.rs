//! Reading and writing frames of the resumable dialect.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use primus_core::{
    Envelope,
    native::{encode_line, parse},
};

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    for (name, text) in [("data", r#"{"a":1,"b":"two"}"#), ("ping", "primus::ping:123456::")] {
        group.bench_function(format!("parse {name}"), |bencher| {
            bencher.iter(|| parse(black_box(text.into())));
        });
    }
    let envelope = Envelope::from(r#"{"a":1,"b":"two"}"#);
    group.bench_function("encode a line", |bencher| {
        bencher.iter(|| encode_line(black_box(&envelope)));
    });
}

criterion_group!(benches, frames);
criterion_main!(benches);
