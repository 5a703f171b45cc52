//! What `wstest` found, case by case.

use std::fmt::Write as _;

use super::cases::{CHAPTERS, Cases};
use crate::outcome::Outcome;

/// Prints a line a case, its fields between tabs. In Python, which has a reader of JSON, since this program
/// has none.
pub(super) const READER: &str = "\
import json, os, sys
reports, agent = sys.argv[1:]
read = lambda name: json.load(open(os.path.join(reports, name)))
for case, found in read('index.json')[agent].items():
    report = read(found['reportfile'])
    line = [case, found['behavior'], found['behaviorClose'], report['result'], report['resultClose']]
    line = u'\\t'.join(u' '.join(unicode(field).split()) for field in line)
    sys.stdout.write(line.encode('utf-8') + '\\n')
";

/// One case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// `6.4.2` as numbers, which have the right order.
    pub(super) id: Vec<u32>,
    behavior: String,
    closing: String,
    /// Why, in Autobahn's words.
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    /// There is no right and wrong in it.
    Informational,
    /// Anything else, `NON-STRICT` too.
    Failed,
}

impl Case {
    pub(super) fn name(&self) -> String {
        let numbers: Vec<String> = self.id.iter().map(u32::to_string).collect();
        numbers.join(".")
    }

    pub(super) fn chapter(&self) -> u32 {
        self.id.first().copied().unwrap_or_default()
    }

    pub(super) fn verdict(&self) -> Verdict {
        match (&*self.behavior, &*self.closing) {
            ("OK", "OK") => Verdict::Ok,
            ("OK" | "INFORMATIONAL", "OK" | "INFORMATIONAL") => Verdict::Informational,
            _ => Verdict::Failed,
        }
    }

    /// What it was called by Autobahn: `NON-STRICT`, or `OK, closing UNCLEAN`.
    pub(super) fn called(&self) -> String {
        match &*self.closing {
            "OK" | "INFORMATIONAL" => self.behavior.clone(),
            closing => format!("{}, closing {closing}", self.behavior),
        }
    }

    fn problem(&self) -> Option<String> {
        let (name, called) = (self.name(), self.called());
        (self.verdict() == Verdict::Failed).then(|| format!("case {name}: {called}: {}", self.why))
    }
}

/// Reads what [`READER`] prints; in the order of the numbers.
pub(super) fn read(printed: &str) -> Result<Vec<Case>, String> {
    let mut cases = printed.lines().map(case).collect::<Result<Vec<Case>, String>>()?;
    cases.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(cases)
}

fn case(line: &str) -> Result<Case, String> {
    let wrong = || format!("not a result of Autobahn: {line}");
    let [id, behavior, closing, result, result_of_closing] =
        line.split('\t').collect::<Vec<_>>().try_into().map_err(|_| wrong())?;
    let id = id.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let mut why = result.to_owned();
    if closing != "OK" && !result_of_closing.is_empty() {
        let _ = write!(why, " {result_of_closing}");
    }
    Ok(Case { id, behavior: behavior.to_owned(), closing: closing.to_owned(), why })
}

/// Each case is a test, and each chapter of which all cases passed is a name that `docs/features.md` may use.
pub(super) fn outcome(asked: &Cases, cases: &[Case]) -> Outcome {
    let mut outcome = Outcome::default();
    for case in cases {
        outcome.join(Outcome::single(&case.name(), case.problem()));
    }
    for chapter in CHAPTERS {
        let mut its = cases.iter().filter(|case| case.chapter() == chapter.number).peekable();
        let any = its.peek().is_some();
        if asked.count.is_some() && any && its.all(|case| case.verdict() != Verdict::Failed) {
            outcome.names.push(chapter.name());
        }
    }
    let missing = asked
        .count
        .filter(|count| *count != cases.len())
        .map(|count| format!("{} cases were run, and it should have been {count}", cases.len()));
    outcome.close(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
10.1.1\tOK\tOK\tActual events match at least one expected.\tClosed cleanly.
6.4.1\tNON-STRICT\tOK\tActual events match at least one expected.\tClosed cleanly.
2.10\tOK\tOK\t\t
2.9\tOK\tUNCLEAN\tFine.\tThe peer did not close.
7.1.6\tINFORMATIONAL\tINFORMATIONAL\tWhatever.\t
";

    fn few() -> Cases {
        Cases { patterns: Vec::new(), count: Some(5) }
    }

    #[test]
    fn cases_are_in_the_order_of_their_numbers() {
        let cases = read(PRINTED).unwrap();
        let names: Vec<String> = cases.iter().map(Case::name).collect();
        assert_eq!(names, ["2.9", "2.10", "6.4.1", "7.1.6", "10.1.1"]);
    }

    #[test]
    fn only_ok_and_informational_pass() {
        use Verdict::{Failed, Informational, Ok};
        let verdicts: Vec<Verdict> = read(PRINTED).unwrap().iter().map(Case::verdict).collect();
        assert_eq!(verdicts, [Failed, Ok, Failed, Informational, Ok]);
    }

    #[test]
    fn a_failure_says_the_case_and_why() {
        let outcome = outcome(&few(), &read(PRINTED).unwrap());
        assert_eq!((outcome.counts.passed, outcome.counts.failed), (3, 2));
        assert_eq!(
            outcome.problems,
            [
                "case 2.9: OK, closing UNCLEAN: Fine. The peer did not close.",
                "case 6.4.1: NON-STRICT: Actual events match at least one expected.",
            ]
        );
    }

    #[test]
    fn a_chapter_has_passed_with_all_its_cases() {
        let names = outcome(&few(), &read(PRINTED).unwrap()).names;
        assert_eq!(names, ["2.10", "7.1.6", "10.1.1", "7 closing", "10 auto-fragmentation"]);
    }

    #[test]
    fn chosen_cases_are_no_chapter() {
        let chosen = Cases { patterns: Vec::new(), count: None };
        let names = outcome(&chosen, &read(PRINTED).unwrap()).names;
        assert_eq!(names, ["2.10", "7.1.6", "10.1.1"]);
    }

    #[test]
    fn cases_that_did_not_run_are_missed() {
        let line = PRINTED.lines().next().unwrap();
        let outcome = outcome(&few(), &read(line).unwrap());
        assert_eq!((outcome.counts.passed, outcome.counts.failed), (1, 1));
        assert_eq!(outcome.problems, ["1 cases were run, and it should have been 5"]);
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(read("Traceback (most recent call last):").is_err());
        assert!(read("a.b\tOK\tOK\t\t").is_err());
        assert_eq!(read(""), Ok(Vec::new()));
    }
}
