//! So many writes, or so many events of the same arguments, to one spark, each taken and framed at
//! once: `instructions write|emit COUNT`. `cargo xtask test instructions` counts what they cost.

use std::{env, hint::black_box, process::ExitCode};

use primus_benches::Bench;
use primus_core::{Resume, WriteError, handle::Spark};
use serde_json::json;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (write, count) = match &arguments[..] {
        [what, count] if what == "write" || what == "emit" => (what == "write", count.parse()),
        _ => return usage(),
    };
    let Ok(count) = count else { return usage() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let mut bench = runtime.block_on(Bench::new(1, Resume::Acknowledged)).expect("a session");
    let spark = bench.primus.everyone().sparks().remove(0);
    // 64 bytes of JSON.
    let value = json!({ "from": "Ada", "room": "lobby", "text": "what a fine day, is it" });
    for _ in 0..count {
        let sent = if write { by_write(&spark, &value) } else { by_emit(&spark, &value) };
        sent.expect("it is sent");
        assert_eq!(bench.drain(), 1);
    }
    ExitCode::SUCCESS
}

#[inline(never)]
fn by_write(spark: &Spark, value: &serde_json::Value) -> Result<(), WriteError> {
    spark.write(black_box(value)).map(drop)
}

#[inline(never)]
fn by_emit(spark: &Spark, value: &serde_json::Value) -> Result<(), WriteError> {
    spark.emit("moved", black_box(value)).map(drop)
}

fn usage() -> ExitCode {
    eprintln!("instructions write|emit COUNT");
    ExitCode::FAILURE
}
