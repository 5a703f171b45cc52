//! What is asked for on the command line.

use std::fmt::Write as _;

use super::scenarios::{SCENARIOS, Scenario};
use super::servers::{SERVERS, Server};

pub(super) struct Options {
    pub(super) scenarios: Vec<&'static Scenario>,
    /// Beside the scenarios that everybody runs, two of ours alone.
    pub(super) threads: bool,
    pub(super) not_reading: bool,
    pub(super) servers: Vec<&'static Server>,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// A second load generator, whose figures are to be compared.
    pub(super) rtload: Option<String>,
}

pub(super) const HELP: &str = "\
cargo xtask bench [options]: what servers cost beside each other

  --rounds N          so many times everything; the median counts [default: 3]
  --seconds S         that each measurement takes [default: 2]
  --scenarios A,B     only these, and docs/benchmarks.md stays as it is
  --servers A,B       only these, and docs/benchmarks.md stays as it is
  --rtload PROGRAM    compare with this load generator, too
";

/// How long a measurement takes, if nothing else is asked for.
const SECONDS: f64 = 2.0;

/// Names of the two.
const THREADS: &str = "threads";
const NOT_READING: &str = "not-reading";

impl Options {
    pub(super) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            scenarios: SCENARIOS.iter().collect(),
            threads: true,
            not_reading: true,
            servers: SERVERS.iter().collect(),
            rounds: 3,
            seconds: SECONDS,
            rtload: None,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = *arguments.next().ok_or_else(|| format!("`{name}`?\n\n{HELP}"))?;
            let wrong = || format!("{name} {value}: not a number above 0");
            match *name {
                "--rounds" => options.rounds = value.parse().map_err(|_| wrong())?,
                "--seconds" => options.seconds = value.parse().map_err(|_| wrong())?,
                "--scenarios" => {
                    let (beside, names): (Vec<&str>, Vec<&str>) =
                        value.split(',').partition(|name| [THREADS, NOT_READING].contains(name));
                    options.threads = beside.contains(&THREADS);
                    options.not_reading = beside.contains(&NOT_READING);
                    options.scenarios = named(SCENARIOS, &names, |one| one.name)?;
                }
                "--servers" => {
                    options.servers =
                        named(SERVERS, &value.split(',').collect::<Vec<_>>(), |one| one.name)?
                }
                "--rtload" => options.rtload = Some(value.to_owned()),
                _ => return Err(format!("no option `{name}`\n\n{HELP}")),
            }
            if options.rounds == 0 || !options.seconds.is_finite() || options.seconds <= 0.0 {
                return Err(wrong());
            }
        }
        Ok(options)
    }

    /// What was asked for, as the page shows it: without paths of this machine.
    pub(super) fn command(&self) -> String {
        let mut command = format!("cargo xtask bench --rounds {}", self.rounds);
        if self.seconds.to_bits() != SECONDS.to_bits() {
            let _ = write!(command, " --seconds {}", self.seconds);
        }
        if self.rtload.is_some() {
            command += " --rtload PATH";
        }
        command
    }

    /// Only then the page can be written.
    pub(super) fn is_everything(&self) -> bool {
        let whole = self.scenarios.len() == SCENARIOS.len() && self.servers.len() == SERVERS.len();
        whole && self.threads && self.not_reading
    }
}

fn named<T>(
    all: &'static [T],
    names: &[&str],
    name: fn(&T) -> &'static str,
) -> Result<Vec<&'static T>, String> {
    let one = |wanted: &&str| {
        all.iter().find(|one| name(one) == *wanted).ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(name).collect();
            format!("there is no `{wanted}`; there are {}", known.join(", "))
        })
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_scenarios_and_servers_are_not_everything() {
        assert!(Options::parse(&["--rounds", "1"]).unwrap().is_everything());
        let some = Options::parse(&["--servers", "ws,axum", "--seconds", "0.5"]).unwrap();
        assert_eq!(some.servers.iter().map(|one| one.name).collect::<Vec<_>>(), ["ws", "axum"]);
        assert!(!some.is_everything());
        let beside = Options::parse(&["--scenarios", "threads"]).unwrap();
        assert!(beside.threads && !beside.not_reading && beside.scenarios.is_empty());
        assert!((some.seconds - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_page_shows_the_command_without_paths_of_this_machine() {
        let command = |arguments: &[&str]| Options::parse(arguments).unwrap().command();
        assert_eq!(command(&[]), "cargo xtask bench --rounds 3");
        let arguments = ["--rtload", "/somewhere/rtload", "--rounds", "2", "--seconds", "0.5"];
        let shown = "cargo xtask bench --rounds 2 --seconds 0.5 --rtload PATH";
        assert_eq!(command(&arguments), shown);
        assert_eq!(command(&arguments[..4]), "cargo xtask bench --rounds 2 --rtload PATH");
    }

    #[test]
    fn what_is_not_understood_is_said_with_what_there_is() {
        let said = |arguments: &[&str]| Options::parse(arguments).err().unwrap();
        assert!(said(&["--servers", "iis"]).contains("there are primus-ws, "));
        assert!(said(&["--rounds", "0"]).contains("above 0"));
        assert!(said(&["--rounds"]).contains("--rtload PROGRAM"));
        assert!(said(&["--fast", "1"]).starts_with("no option `--fast`"));
    }
}
