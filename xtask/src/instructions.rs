//! What things cost, in instructions: the same for the same program, whatever else the machine does.

use crate::child;
use crate::outcome::Outcome;
use crate::processes::Processes;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What an event may cost more than a message of the same bytes, in percent.
const EVENT: u64 = 15;
/// What a thing may cost more or less than is recorded, in percent. Of one that has become cheaper, growth back to what it
/// was would not be noticed.
const CHANGE: u64 = 5;

/// Runs of two lengths: their difference is what the messages cost, and not the start.
const FEW: u64 = 1_000;
const MANY: u64 = 6_000;

const LIMIT: Duration = Duration::from_secs(120);

/// Where it is recorded what things cost: a name and a number in each line.
const RECORD: &str = "benches/instructions.txt";

/// Instructions of one message.
fn cost(
    processes: &Processes,
    valgrind: impl Fn() -> Command,
    program: &Path,
    thing: &str,
) -> Result<u64, String> {
    let collected = |count: u64| {
        let mut command = valgrind();
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args([thing, &count.to_string()]);
        let finished = child::run(processes, command, LIMIT);
        match finished.problem {
            Some(problem) => Err(problem),
            None => read(&finished.lines).ok_or_else(|| "callgrind counted nothing".to_owned()),
        }
    };
    let (few, many) = (collected(FEW)?, collected(MANY)?);
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// The sum in `==123== Collected : 456`.
fn read(lines: &[String]) -> Option<u64> {
    lines.iter().rev().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// Names and numbers.
fn parse(record: &str) -> Result<Vec<(&str, u64)>, String> {
    let line = |line| {
        let (name, number) = str::split_once(line, ' ')?;
        Some((name, number.trim().parse().ok()?))
    };
    let lines = record.lines().filter(|line| !line.starts_with('#'));
    lines.map(|text| line(text).ok_or_else(|| format!("{RECORD}: `{text}`?"))).collect()
}

/// What is wrong with what a thing costs.
fn judge(thing: &str, cost: u64, recorded: u64) -> Option<String> {
    let told = format!("{thing}: {cost} instructions, and {recorded} are recorded; ");
    if cost == 0 || cost * 100 > recorded * (100 + CHANGE) {
        Some(
            told + &format!(
                "make it as cheap as it was, or record in {RECORD} that it is worth it"
            ),
        )
    } else if cost * 100 < recorded * (100 - CHANGE) {
        Some(told + &format!("it has become cheaper: record the new number in {RECORD}"))
    } else {
        None
    }
}

/// `valgrind` makes its command.
pub(crate) fn compare(
    processes: &Processes,
    valgrind: impl Fn() -> Command,
    program: &Path,
    root: &Path,
) -> Outcome {
    let record = match std::fs::read_to_string(root.join(RECORD)) {
        Ok(record) => record,
        Err(error) => return Outcome::default().close(Some(format!("{RECORD}: {error}"))),
    };
    let things = match parse(&record) {
        Ok(things) => things,
        Err(problem) => return Outcome::default().close(Some(problem)),
    };
    let mut outcome = Outcome::default();
    let mut costs = Vec::new();
    for (thing, recorded) in things {
        let problem = match cost(processes, &valgrind, program, thing) {
            Err(problem) => Some(problem),
            Ok(cost) => {
                println!("instructions: {thing} {cost}, recorded {recorded}");
                costs.push((thing, cost));
                judge(thing, cost, recorded)
            }
        };
        outcome.join(Outcome::single(&format!("what_{thing}_costs_has_not_grown"), problem));
    }
    let of = |thing| costs.iter().find(|(name, _)| *name == thing).map(|(_, cost)| *cost);
    let event = match of("write").zip(of("emit")) {
        None => Some("write and emit are not both recorded".to_owned()),
        Some((write, emit)) => (emit * 100 > write * (100 + EVENT))
            .then(|| format!("an event costs {emit} instructions, a message {write}")),
    };
    outcome.join(Outcome::single("an_event_costs_15_percent_more_than_a_message_at_most", event));
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        let lines = ["==1== Events    : Ir", "==1== Collected : 3955124", "=="].map(str::to_owned);
        assert_eq!(read(&lines), Some(3_955_124));
        assert_eq!(read(&lines[..1]), None);
    }

    #[test]
    fn growth_by_more_than_five_percent_is_told() {
        assert_eq!(parse("# all\necho 100\nemit 7\n"), Ok(vec![("echo", 100), ("emit", 7)]));
        assert!(parse("echo\n").is_err());
        assert_eq!(judge("echo", 105, 100), None);
        let told = "echo: 106 instructions, and 100 are recorded; make it as cheap as it was, ";
        assert!(judge("echo", 106, 100).is_some_and(|problem| problem.starts_with(told)));
        assert!(judge("echo", 0, 100).is_some_and(|problem| problem.contains("make it as cheap")));
    }

    #[test]
    fn what_has_become_cheaper_by_more_than_five_percent_is_to_be_recorded() {
        assert_eq!(judge("echo", 95, 100), None);
        let told = "echo: 94 instructions, and 100 are recorded; \
                    it has become cheaper: record the new number in benches/instructions.txt";
        assert_eq!(judge("echo", 94, 100).as_deref(), Some(told));
    }
}
