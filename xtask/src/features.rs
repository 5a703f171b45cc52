//! Holds `docs/features.md` to its word: every feature names tests, and each of them ran and passed.

use crate::outcome::Outcome;

/// A row of the table `| feature | test |`.
#[derive(Debug, PartialEq, Eq)]
struct Feature {
    line: usize,
    what: String,
    tests: Vec<String>,
}

/// `ran` has the names of all tests that passed, as `suite::file or binary::…::name`. The table may name a
/// test by any tail of that which begins at a `::`. A row with a test of `excused` is not counted as passed.
pub(crate) fn check(page: &str, ran: &[String], excused: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for feature in rows(page) {
        let place = format!("line {}, `{}`", feature.line, feature.what);
        let missing: Vec<&str> =
            feature.tests.iter().map(String::as_str).filter(|test| !has_run(test, ran)).collect();
        if !missing.is_empty() && missing.iter().all(|test| has_run(test, excused)) {
            outcome.counts.skipped += 1;
            continue;
        }
        let problem = if feature.tests.is_empty() {
            Some(format!("{place}: names no test"))
        } else if missing.is_empty() {
            None
        } else {
            Some(format!("{place}: did not run and pass: {}", missing.join(", ")))
        };
        outcome.join(Outcome::single(&feature.what, problem));
    }
    outcome
}

fn has_run(test: &str, ran: &[String]) -> bool {
    ran.iter().any(|name| {
        name.strip_suffix(test).is_some_and(|before| before.is_empty() || before.ends_with("::"))
    })
}

/// The rows of every table whose columns are called so; a page may have one a chapter.
fn rows(page: &str) -> Vec<Feature> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in page.lines().enumerate() {
        let Some(cells) = cells(line) else {
            inside = false;
            continue;
        };
        if is_header(&cells) {
            inside = true;
        } else if inside && !is_rule(&cells) {
            let what = cells.first().cloned().unwrap_or_default();
            let tests = cells.get(1).map(|cell| backticked(cell)).unwrap_or_default();
            found.push(Feature { line: index + 1, what, tests });
        }
    }
    found
}

fn is_header(cells: &[String]) -> bool {
    cells.len() == 2
        && cells[0].eq_ignore_ascii_case("feature")
        && (cells[1].eq_ignore_ascii_case("test") || cells[1].eq_ignore_ascii_case("tests"))
}

fn is_rule(cells: &[String]) -> bool {
    cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
}

/// The cells of a table line. A `\|` is a bar inside of a cell.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let inner = inner.replace("\\|", "\u{0}");
    Some(inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
}

fn backticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "
# Features

| other | table |
|---|---|
| a | `b` |

| feature | test |
|:--|---|
| echo \\| broadcast | `curl.test.mjs::echoes`, `broadcast_counts` |
| end | `no_such_test` |
| silent | later |

| not ours anymore | `x` |
";

    fn ran() -> Vec<String> {
        vec!["interop::curl.test.mjs::echoes".into(), "rust::core::broadcast_counts".into()]
    }

    #[test]
    fn only_the_right_table_is_read() {
        let rows = rows(PAGE);
        let names: Vec<&str> = rows.iter().map(|row| row.what.as_str()).collect();
        assert_eq!(names, ["echo | broadcast", "end", "silent"]);
        assert_eq!(rows[0].tests, ["curl.test.mjs::echoes", "broadcast_counts"]);
    }

    #[test]
    fn a_row_is_a_test_and_errors_name_row_and_test() {
        let outcome = check(PAGE, &ran(), &[]);
        assert_eq!((outcome.counts.passed, outcome.counts.failed), (1, 2));
        assert_eq!(
            outcome.problems,
            [
                "line 11, `end`: did not run and pass: no_such_test",
                "line 12, `silent`: names no test",
            ]
        );
    }

    #[test]
    fn a_test_that_could_not_run_here_is_excused_and_no_other() {
        let outcome = check(PAGE, &ran(), &["autobahn::no_such_test".into()]);
        assert_eq!((outcome.counts.passed, outcome.counts.skipped), (1, 1));
        assert_eq!(outcome.problems, ["line 12, `silent`: names no test"]);
        let outcome = check(PAGE, &[], &["autobahn::broadcast_counts".into()]);
        assert_eq!((outcome.counts.failed, outcome.counts.skipped), (3, 0));
    }

    #[test]
    fn a_name_matches_from_a_separator_on() {
        assert!(has_run("broadcast_counts", &ran()));
        assert!(has_run("core::broadcast_counts", &ran()));
        assert!(!has_run("counts", &ran()));
    }
}
