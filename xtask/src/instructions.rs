//! What an event costs, in instructions: the same for the same program, whatever else the machine does.

use crate::child;
use crate::outcome::Outcome;
use crate::processes::Processes;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What an event may cost more than a message of the same bytes, in percent.
const MOST: u64 = 15;

/// Runs of two lengths: their difference is what the messages cost, and not the start.
const FEW: u64 = 1_000;
const MANY: u64 = 6_000;

const LIMIT: Duration = Duration::from_secs(120);

/// Instructions of one message, written or emitted.
fn cost(
    processes: &Processes,
    valgrind: impl Fn() -> Command,
    program: &Path,
    what: &str,
) -> Result<u64, String> {
    let collected = |count: u64| {
        let mut command = valgrind();
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args([what, &count.to_string()]);
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

/// `valgrind` makes its command.
pub(crate) fn compare(
    processes: &Processes,
    valgrind: impl Fn() -> Command,
    program: &Path,
) -> Outcome {
    let name = "an_event_costs_15_percent_more_than_a_message_at_most";
    let cost = |what| cost(processes, &valgrind, program, what);
    let costs = cost("write").and_then(|write| Ok((write, cost("emit")?)));
    Outcome::single(
        name,
        match costs {
            Err(problem) => Some(problem),
            Ok((write, emit)) => {
                println!("instructions: {write} a message, {emit} an event");
                (write == 0 || emit * 100 > write * (100 + MOST))
                    .then(|| format!("an event costs {emit} instructions, a message {write}"))
            }
        },
    )
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
}
