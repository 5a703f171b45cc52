//! What a suite came to, and the table at the end.

use std::fmt::Write as _;
use std::time::Duration;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Counts {
    pub(crate) fn total(self) -> usize {
        self.passed + self.failed + self.skipped
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    /// Names of the tests that ran and passed.
    pub(crate) names: Vec<String>,
    /// Names of tests that could not run here, which is no failure.
    pub(crate) excused: Vec<String>,
    /// What went wrong, for people; the tests' own output is above.
    pub(crate) problems: Vec<String>,
}

impl Outcome {
    /// A suite that is one yes or no.
    pub(crate) fn single(name: &str, problem: Option<String>) -> Self {
        let failed = usize::from(problem.is_some());
        Self {
            counts: Counts { passed: 1 - failed, failed, skipped: 0 },
            names: if failed == 0 { vec![name.to_owned()] } else { Vec::new() },
            problems: problem.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A suite that cannot run here; `reason` says how it could. It counts as one, since nobody has counted.
    pub(crate) fn skipped(tests: Vec<String>, reason: &str) -> Self {
        Self {
            counts: Counts { skipped: 1, ..Counts::default() },
            excused: tests,
            problems: vec![format!("skipped: {reason}")],
            ..Self::default()
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.counts += other.counts;
        self.names.extend(other.names);
        self.excused.extend(other.excused);
        self.problems.extend(other.problems);
    }

    /// A suite whose command failed although no test of it did (it did not compile, it crashed, it was
    /// stopped), or in which nothing ran, has one failure more than it counted.
    pub(crate) fn close(mut self, problem: Option<String>) -> Self {
        if let Some(problem) = problem {
            if self.counts.failed == 0 {
                self.counts.failed = 1;
            }
            self.problems.push(problem);
        } else if self.counts.total() == 0 {
            self.counts.failed = 1;
            self.problems.push("no test ran".to_owned());
        }
        self
    }
}

pub(crate) struct Row {
    pub(crate) suite: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) elapsed: Duration,
}

pub(crate) fn sum(rows: &[Row]) -> Counts {
    let mut sum = Counts::default();
    for row in rows {
        sum += row.outcome.counts;
    }
    sum
}

/// The table, the problems, and as its last line the sum.
pub(crate) fn report(rows: &[Row]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{:<14} {:>7} {:>7} {:>8} {:>9}",
        "suite", "passed", "failed", "skipped", "time"
    );
    for row in rows {
        let counts = row.outcome.counts;
        let _ = writeln!(
            text,
            "{:<14} {:>7} {:>7} {:>8} {:>7.1} s",
            row.suite,
            counts.passed,
            counts.failed,
            counts.skipped,
            row.elapsed.as_secs_f64(),
        );
    }
    for row in rows {
        for problem in &row.outcome.problems {
            let _ = writeln!(text, "{}: {problem}", row.suite);
        }
    }
    let sum = sum(rows);
    let _ = writeln!(text, "{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(suite: &'static str, passed: usize, failed: usize, skipped: usize) -> Row {
        let counts = Counts { passed, failed, skipped };
        let outcome = Outcome { counts, ..Outcome::default() };
        Row { suite, outcome, elapsed: Duration::from_millis(1250) }
    }

    #[test]
    fn the_last_line_is_the_sum() {
        let text = report(&[row("rust", 10, 0, 1), row("e2e", 4, 2, 0)]);
        assert_eq!(text.lines().last(), Some("14 passed, 2 failed, 1 skipped"));
        assert!(text.contains("rust                10       0        1     1.2 s"), "{text}");
    }

    #[test]
    fn a_suite_without_tests_has_failed() {
        let outcome = Outcome::default().close(None);
        assert_eq!(outcome.counts.failed, 1);
    }

    #[test]
    fn a_crash_is_one_failure_and_failed_tests_are_not_counted_twice() {
        assert_eq!(Outcome::default().close(Some("exit code 101".into())).counts.failed, 1);
        let outcome = row("rust", 3, 2, 0).outcome.close(Some("exit code 101".into()));
        assert_eq!(outcome.counts.failed, 2);
        assert_eq!(outcome.problems, ["exit code 101"]);
    }

    #[test]
    fn a_skipped_suite_has_not_failed_and_says_why() {
        let outcome = Outcome::skipped(vec!["6 UTF-8".into()], "no Python 2.7").close(None);
        assert_eq!(outcome.counts, Counts { passed: 0, failed: 0, skipped: 1 });
        assert!(outcome.names.is_empty());
        let text = report(&[Row { suite: "autobahn", outcome, elapsed: Duration::ZERO }]);
        assert!(text.contains("\nautobahn: skipped: no Python 2.7\n"), "{text}");
    }

    #[test]
    fn a_single_suite_is_one_test() {
        assert_eq!(Outcome::single("clippy", None).names, ["clippy"]);
        let failed = Outcome::single("clippy", Some("exit code 1".into()));
        assert_eq!(failed.counts, Counts { passed: 0, failed: 1, skipped: 0 });
        assert!(failed.names.is_empty());
    }
}
