//! Reads the log that `tests/lib/reporter.mjs` writes beside node's own report: a line a test, of verdict,
//! tab, and the name as `file::group::test`.

use crate::outcome::Outcome;

pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Outcome {
    let mut outcome = Outcome::default();
    for line in lines {
        let Some((verdict, name)) = line.split_once('\t') else {
            continue;
        };
        match verdict {
            "pass" => {
                outcome.counts.passed += 1;
                outcome.names.push(name.to_owned());
            }
            "fail" => {
                outcome.counts.failed += 1;
                outcome.problems.push(format!("failed: {name}"));
            }
            "skip" => outcome.counts.skipped += 1,
            _ => {}
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Counts;

    #[test]
    fn verdicts_are_counted_and_passed_names_kept() {
        let log = "pass\ta.test.mjs::one\nskip\ta.test.mjs::two\nfail\tb.test.mjs::group::three\n";
        let outcome = parse(log.lines());
        assert_eq!(outcome.counts, Counts { passed: 1, failed: 1, skipped: 1 });
        assert_eq!(outcome.names, ["a.test.mjs::one"]);
        assert_eq!(outcome.problems, ["failed: b.test.mjs::group::three"]);
    }

    #[test]
    fn an_empty_log_is_no_test() {
        assert_eq!(parse("".lines()).counts.total(), 0);
    }
}
