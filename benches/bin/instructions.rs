//! So much of one thing, for callgrind: `instructions THING COUNT`. `cargo xtask test instructions` counts
//! what each costs.

use std::{env, hint::black_box, process::ExitCode};

use primus_benches::{Bench, Sockets};
use primus_core::{BoxError, Resume};
use serde_json::{Value, json};

const USAGE: &str = "instructions write|emit|broadcast|echo COUNT
  write      messages to one spark, each taken and framed at once
  emit       the same of events of the same arguments
  broadcast  messages to 100 WebSockets in memory; COUNT is that of what they hear
  echo       messages of one WebSocket in memory to the server and back";

/// Clients of a broadcast.
const CLIENTS: usize = 100;
/// 64 bytes.
const TEXT: &str = "what a fine day it is, is it not, said the walrus to the lobster";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [thing, count] = &arguments[..] else { return usage() };
    let Ok(count) = count.parse() else { return usage() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let done = match &**thing {
        "write" | "emit" => runtime.block_on(send(thing == "write", count)),
        "broadcast" => runtime.block_on(broadcast(count / CLIENTS)),
        "echo" => runtime.block_on(echo(count)),
        _ => return usage(),
    };
    done.expect("nothing is lost in memory");
    ExitCode::SUCCESS
}

async fn send(write: bool, count: usize) -> Result<(), BoxError> {
    let mut bench = Bench::new(1, Resume::Acknowledged).await?;
    let spark = bench.primus.everyone().sparks().remove(0);
    // 64 bytes of JSON.
    let value: Value = json!({ "from": "Ada", "room": "lobby", "text": "what a fine day, is it" });
    for _ in 0..count {
        if write {
            spark.write(black_box(&value))?;
        } else {
            spark.emit("moved", black_box(&value))?;
        }
        assert_eq!(bench.drain(), 1);
    }
    Ok(())
}

async fn broadcast(count: usize) -> Result<(), BoxError> {
    let mut sockets = Sockets::new(CLIENTS).await?;
    for _ in 0..count {
        sockets.primus.write_message(black_box(TEXT));
        sockets.all_hear(TEXT.as_bytes()).await?;
    }
    Ok(())
}

async fn echo(count: usize) -> Result<(), BoxError> {
    let mut sockets = Sockets::new(1).await?;
    for _ in 0..count {
        sockets.echo(0, black_box(TEXT.as_bytes())).await?;
    }
    Ok(())
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::FAILURE
}
