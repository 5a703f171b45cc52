//! Reads what `cargo test` prints: which binary runs, its tests, and its `test result:` line.

use crate::outcome::{Counts, Outcome};

/// Counts come from the result lines, which are reliable; names from the lines of the tests. A name is
/// `binary::path::of::test`, and `crate::file - item (line n)` for a doc test.
pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut binary = String::new();
    for line in lines {
        let line = line.trim();
        if let Some(name) = binary_of(line) {
            binary = name;
        } else if let Some(counts) = result_of(line) {
            outcome.counts += counts;
            if counts.failed > 0 {
                outcome.problems.push(format!("{} failed in {binary}", counts.failed));
            }
        } else if let Some(name) = passed(line) {
            outcome.names.push(format!("{binary}::{name}"));
        }
    }
    outcome
}

/// `Running unittests src/lib.rs (target/debug/deps/primus_core-0f3c)`, `Doc-tests primus_core`.
fn binary_of(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(name.to_owned());
    }
    let path = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once('(')?.1;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _hash)| name).to_owned())
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn result_of(line: &str) -> Option<Counts> {
    let (_verdict, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split(';') {
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<usize>() else {
            continue;
        };
        match what {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" | "filtered out" => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

/// `test outbox::tests::it_overflows ... ok`
fn passed(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
    let notes = [" - should panic", " - compile fail", " - compile"];
    Some(notes.iter().find_map(|note| name.strip_suffix(note)).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
   Compiling primus-core v0.1.0
     Running unittests src/lib.rs (target/debug/deps/primus_core-0f3c9d)

running 4 tests
test outbox::tests::overflows ... ok
test outbox::tests::explodes - should panic ... ok
test outbox::tests::slow ... ignored, takes an hour
test outbox::tests::wrong ... FAILED

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/end.rs (/elsewhere/debug/deps/end_of_it-77)
test table ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests primus
test crates/primus-rs/src/lib.rs - (line 5) ... ok
test crates/primus-rs/src/lib.rs - Spark::write (line 50) - compile ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
";

    #[test]
    fn counts_are_summed_over_binaries() {
        let outcome = parse(OUTPUT.lines());
        assert_eq!(outcome.counts, Counts { passed: 5, failed: 1, skipped: 1 });
        assert_eq!(outcome.problems, ["1 failed in primus_core"]);
    }

    #[test]
    fn names_carry_their_binary() {
        let outcome = parse(OUTPUT.lines());
        assert_eq!(
            outcome.names,
            [
                "primus_core::outbox::tests::overflows",
                "primus_core::outbox::tests::explodes",
                "end_of_it::table",
                "primus::crates/primus-rs/src/lib.rs - (line 5)",
                "primus::crates/primus-rs/src/lib.rs - Spark::write (line 50)",
            ]
        );
    }

    #[test]
    fn what_a_test_prints_is_not_a_result() {
        let outcome = parse(["test is running", "Running out (of ideas)", "result: ok. 9 passed"]);
        assert_eq!(outcome.counts, Counts::default());
        assert!(outcome.names.is_empty());
    }
}
