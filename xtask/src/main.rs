//! The chores of this repository, as `cargo xtask <task>`.
//!
//! It has no dependencies on purpose: on a fresh machine it is the first thing that is compiled, and it
//! should be running within seconds.

mod autobahn;
mod bench;
mod cargo_output;
mod child;
mod commit;
mod features;
mod fuzz;
mod instructions;
mod node_output;
mod npm;
mod outcome;
mod processes;
mod setup;
mod suites;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const HELP: &str = "\
cargo xtask <task>

tasks:
  test [SUITE…]  install what is missing, run every suite (or those named) and print the sum
  long [SUITE…]  the same with what `test` runs shortened, at full length
  autobahn       run every case of Autobahn and write docs/autobahn.md; `--cases 1.*,6.4.2`: only these
  fuzz           run a fuzz target for a while, `fuzz driver 600`: docs/fuzzing.md
  bench          measure what servers cost beside each other and write docs/benchmarks.md; `bench --help`
  types          write the TypeScript of the chat's events, examples/chat/events.d.ts
  client         build client-js and the client files that crates/primus-library embeds
  stock          fetch the stock clients of others that pages of examples use, into examples/node_modules
  setup          install what is missing and stop

suites:
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let done = match arguments.as_slice() {
        ["test", names @ ..] => suites::test(&root, suites::SUITES, names),
        ["long", names @ ..] => suites::test(&root, suites::LONG, names),
        ["autobahn", arguments @ ..] => {
            suites::target().and_then(|target| autobahn::full(&root, &target, arguments))
        }
        ["fuzz", arguments @ ..] => {
            suites::target().and_then(|target| fuzz::long(&root, &target, arguments))
        }
        ["bench", arguments @ ..] => {
            suites::target().and_then(|target| bench::bench(&root, &target, arguments))
        }
        ["types"] => types(&root).map(|()| true),
        ["client"] => client(&root),
        ["stock"] => stock(&root),
        ["setup"] => setup::tools(&root).map(|_| true),
        [processes::GUARD, marker] => {
            processes::guard(marker);
            Ok(true)
        }
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            suites::SUITES.iter().for_each(describe);
            println!("\nlong suites:");
            suites::LONG.iter().for_each(describe);
            Ok(true)
        }
        [unknown, ..] => Err(format!("no task `{unknown}`; see cargo xtask --help")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn describe(suite: &suites::Suite) {
    println!("  {:<14} {}", suite.name, suite.what);
}

fn client(root: &Path) -> Result<bool, String> {
    let tools = setup::node(root)?;
    npm::install(root, "client-js", &tools)?;
    npm::build_client(root, &tools)?;
    Ok(true)
}

fn stock(root: &Path) -> Result<bool, String> {
    npm::install(root, "examples", &setup::node(root)?)?;
    Ok(true)
}

/// What Rust says the events of the chat are, for TypeScript.
fn types(root: &Path) -> Result<(), String> {
    let program = ["run", "--quiet", "--package", "primus-examples", "--example", "chat-types"];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(program).current_dir(root).stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {}: {}", program.join(" "), output.status));
    }
    let file = root.join("examples/chat/events.d.ts");
    std::fs::write(&file, output.stdout).map_err(|error| format!("{}: {error}", file.display()))
}

/// The top of the repository. Cargo says at run time where the package is, so a moved checkout works.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}
