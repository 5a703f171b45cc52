//! Builds what is needed, and measures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::figures::{figure, json_number, median, shown};
use super::machine;
use super::options::{HELP, Options};
use super::page::{self, Row, Table};
use super::scenarios::{Scenario, scenario_named};
use super::servers::{Place, Running, Server, on_cores, server_named};
use crate::npm;
use crate::processes::Processes;
use crate::setup::{self, Tools, step};

/// Runs what the arguments say. False if a measurement failed.
pub(crate) fn bench(root: &Path, target: &Path, arguments: &[&str]) -> Result<bool, String> {
    if let ["--help" | "-h"] = arguments {
        print!("{HELP}");
        return Ok(true);
    }
    let options = Options::parse(arguments)?;
    let tools = setup::node(root)?;
    build(root, &tools)?;
    let processes = Processes::start()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (problems, options) = (Vec::new(), &options);
    let mut bench = Bench { root, target, tools: &tools, processes, options, cores, problems };

    let mut sections = String::new();
    for table in bench.tables() {
        sections += &page::section(&table, options.seconds);
        if options.is_everything() {
            let file = root.join("docs").join(page::chart_file(table.scenario));
            let folder = file.parent().unwrap_or(root);
            fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            write(&file, &page::chart(&table))?;
        }
    }
    if options.threads {
        sections += &bench.two_threads();
    }
    if options.not_reading {
        sections += &bench.not_reading();
    }
    if let Some(rtload) = &options.rtload {
        sections += &bench.agreement(rtload);
    }
    let file = root.join("docs/benchmarks.md");
    if options.is_everything() {
        let command = options.command();
        let former = fs::read_to_string(&file).unwrap_or_default();
        let machine = machine::describe(root, &tools);
        write(&file, &page::write(&command, &machine, &sections, &former))?;
        step(&format!("wrote {}", file.display()));
    }
    println!("\n{sections}");
    for problem in &bench.problems {
        eprintln!("does not count: {problem}");
    }
    Ok(bench.problems.is_empty())
}

/// Everything in its optimized form. Minutes the first time.
fn build(root: &Path, tools: &Tools) -> Result<(), String> {
    npm::install(root, "benches/peers/node", tools)?;
    let ours = ["build", "--release", "--package", "primus-load", "--bin", "primus-load"];
    let echo = ["build", "--release", "--package", "primus-examples", "--example", "echo"];
    let peers = ["build", "--release", "--locked", "--bins"];
    for (folder, arguments) in
        [(root, &ours[..]), (root, &echo[..]), (&root.join("benches/peers"), &peers[..])]
    {
        let what = format!("cargo {} in {}", arguments.join(" "), folder.display());
        step(&what);
        let status = tools.command("cargo", folder).args(arguments).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("{what}: {status}")),
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

struct Bench<'a> {
    root: &'a Path,
    target: &'a Path,
    tools: &'a Tools,
    processes: Processes,
    options: &'a Options,
    cores: usize,
    problems: Vec<String>,
}

/// Which load generator.
#[derive(Clone, Copy)]
enum Generator<'a> {
    Ours,
    Rtload(&'a str),
}

impl Bench<'_> {
    fn tables(&mut self) -> Vec<Table> {
        let options = self.options;
        let row = |server: &&'static Server| Row { server, values: Vec::new(), user: None };
        let empty = |scenario: &&'static Scenario| Table {
            scenario,
            rows: options.servers.iter().map(row).collect(),
        };
        let mut tables: Vec<Table> = options.scenarios.iter().map(empty).collect();
        for round in 0..options.rounds {
            for table in tables.iter_mut().filter(|table| round == 0 || table.scenario.repeated) {
                step(&format!("round {}: {}", round + 1, table.scenario.title));
                for row in &mut table.rows {
                    let Scenario { arguments, figure: name, .. } = table.scenario;
                    let Some(lines) = self.alone(row.server, arguments, options.seconds) else {
                        continue;
                    };
                    let value = figure(&lines, name).unwrap_or(f64::NAN);
                    println!("    {:<18} {:>8}", row.server.name, shown(value));
                    row.values.push(value);
                    // Of the last round: a share, which does not change with the machine's mood.
                    row.user = figure(&lines, &name.replace("cpu_", "user_"))
                        .filter(|_| name.starts_with("cpu_"));
                }
            }
        }
        tables
    }

    /// One core for the server, another for the generator.
    fn alone(&mut self, server: &Server, arguments: &str, seconds: f64) -> Option<Vec<String>> {
        let (one, other) = if self.cores > 1 { (Some("0"), Some("1")) } else { (None, None) };
        self.measure(server, arguments, seconds, (one, 1), other)
    }

    fn measure(
        &mut self,
        server: &Server,
        arguments: &str,
        seconds: f64,
        (cores, threads): (Option<&str>, usize),
        generator_cores: Option<&str>,
    ) -> Option<Vec<String>> {
        let place = self.place(cores, threads);
        let text = Running::start(server, &place).and_then(|running| {
            self.load(Generator::Ours, &running, server, arguments, seconds, generator_cores)
        });
        match text {
            Ok(text) => Some(text.lines().map(str::to_owned).collect()),
            Err(problem) => {
                self.problems.push(format!("{}, {arguments}: {problem}", server.name));
                None
            }
        }
    }

    fn place(&self, cores: Option<&str>, threads: usize) -> Place<'_> {
        let (root, target, tools) = (self.root, self.target, self.tools);
        let cores = cores.map(str::to_owned);
        Place { root, target, tools, processes: &self.processes, cores, threads }
    }

    /// What the generator prints.
    fn load(
        &self,
        generator: Generator<'_>,
        running: &Running,
        server: &Server,
        arguments: &str,
        seconds: f64,
        cores: Option<&str>,
    ) -> Result<String, String> {
        const LIMIT: &str = "180";
        let (program, pid) = match generator {
            Generator::Ours => (self.target.join("release/primus-load"), "-p"),
            Generator::Rtload(program) => (program.into(), "--server-pid"),
        };
        let mut command = Command::new("timeout");
        let (scenario, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
        command.arg(LIMIT).arg(program).args([scenario, &running.address.to_string()]);
        command.args(rest.split_whitespace());
        command.args([pid, &running.pid().to_string(), "-t", &seconds.to_string()]);
        match (generator, server.dialect) {
            (Generator::Ours, dialect) => command.args(["-d", dialect]),
            (Generator::Rtload(_), "plain") => command.args(["-d", "ws"]),
            (Generator::Rtload(_), "classic") => command.args(["-d", "primus"]),
            (Generator::Rtload(_), "socket.io") => command.args(["-d", "sio"]),
            (Generator::Rtload(_), dialect) => command.args(["-d", dialect]),
        };
        if let Some(path) = server.path {
            command.args(["--path", path]);
        }
        let mut command = on_cores(command, cores);
        self.processes.mark(&mut command);
        let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let faults = text.lines().find(|line| line.starts_with("faults")).map(str::to_owned);
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(faults.unwrap_or(said))
    }

    /// Two worker threads beside one.
    fn two_threads(&mut self) -> String {
        if self.cores < 2 {
            return String::new();
        }
        step("two threads");
        let mut out = format!(
            "## Two threads\n\n`--threads 2` beside `--threads 1`, the server on two cores, the load generator {}. What it allows is what both could \
             do at most, by the CPU time that a message costs each of them with one thread.\n\n\
             | server | scenario | a second, 1 thread | 2 threads | ratio | the generator allows |\n|---|---|--:|--:|--:|--:|\n",
            if self.cores > 2 { "on a third" } else { "on the same two" }
        );
        for server in ["primus-ws", "primus-resumable"].into_iter().filter_map(server_named) {
            for arguments in ["echo -c 100", "echo -c 100 -w 32", "broadcast -c 1000"] {
                let mut rates = [Vec::new(), Vec::new()];
                let mut allowed = Vec::new();
                for _ in 0..self.options.rounds {
                    for threads in [1, 2] {
                        let generator = (self.cores > 2).then_some("2");
                        let seconds = self.options.seconds;
                        let on = (Some("0,1"), threads);
                        let Some(lines) = self.measure(server, arguments, seconds, on, generator)
                        else {
                            continue;
                        };
                        let of = |name| figure(&lines, name).unwrap_or(f64::NAN);
                        rates[threads - 1].push(of("per_second"));
                        if threads == 1 {
                            let (server, generator) = (of("server_busy"), of("generator_busy"));
                            allowed.push(most(server, generator, self.cores));
                        }
                    }
                }
                let medians = (median(&rates[0]), median(&rates[1]), median(&allowed));
                if let (Some(one), Some(two), Some(allowed)) = medians {
                    let _ = writeln!(
                        out,
                        "| {} | `{arguments}` | {} | {} | {:.2} | {allowed:.2} |",
                        server.name,
                        shown(one),
                        shown(two),
                        two / one
                    );
                }
            }
        }
        out + "\n"
    }

    /// Some clients that do not read, and what the others notice.
    fn not_reading(&mut self) -> String {
        const EVERYBODY: &str = "broadcast -c 18810 -w 16";
        /// So many times as long as anything else: buffers have to fill up.
        const LONGER: f64 = 7.0;
        step("clients that do not read");
        let seconds = self.options.seconds * LONGER;
        let mut out = format!(
            "## Clients that do not read\n\n19,000 connections, and broadcasts of 64 bytes as fast as they go, for {seconds} s. 190 of the clients never read, and have \
             the smallest buffers that the system allows; beside that, the same without them. Times are from sending to each delivery.\n\n\
             `primus-load {}`, and without `--deaf`\n\n\
             | server | do not read | p50 ms | p99 ms | peak memory, MB | ended by the server |\n|---|--:|--:|--:|--:|--:|\n",
            EVERYBODY.replacen(' ', " ADDRESS ", 1) + " --deaf 190"
        );
        for server in ["primus-ws", "primus-resumable"].into_iter().filter_map(server_named) {
            let mut runs = [Vec::new(), Vec::new()];
            for _ in 0..self.options.rounds {
                for (deaf, runs) in ["", " --deaf 190"].into_iter().zip(&mut runs) {
                    runs.extend(self.alone(server, &format!("{EVERYBODY}{deaf}"), seconds));
                }
            }
            for (deaf, runs) in ["0", "190"].into_iter().zip(&runs) {
                let of = |name| {
                    let values: Vec<f64> =
                        runs.iter().filter_map(|run: &Vec<String>| figure(run, name)).collect();
                    median(&values)
                };
                let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), shown);
                let _ = writeln!(
                    out,
                    "| {} | {deaf} | {} | {} | {} | {} |",
                    server.name,
                    cell(of("p50_us").map(|micros| micros / 1e3)),
                    cell(of("p99_us").map(|micros| micros / 1e3)),
                    cell(of("server_peak_bytes").map(|bytes| bytes / 1e6)),
                    of("deaf_ended").map_or_else(|| "–".to_owned(), |ended| format!("{ended:.0}")),
                );
            }
        }
        out + "\n"
    }

    /// The same figures by another generator.
    fn agreement(&mut self, rtload: &str) -> String {
        step("another load generator");
        let mut out = String::from(
            "## The load generator\n\nIts figures beside those of rtload, a load generator with which it shares no code, on the same servers, in turn.\n\n\
             | server | scenario | primus-load | rtload | ratio |\n|---|---|--:|--:|--:|\n",
        );
        let cores = (self.cores > 1).then_some(("0", "1"));
        let (one, other) = (cores.map(|both| both.0), cores.map(|both| both.1));
        let servers = ["primus-ws", "primus-classic", "tungstenite-tuned", "socketioxide"];
        for server in servers.into_iter().filter_map(server_named) {
            for scenario in
                ["echo-1", "echo-32", "broadcast-1k", "idle"].into_iter().filter_map(scenario_named)
            {
                let mut both = [Vec::new(), Vec::new()];
                let rounds = if scenario.repeated { self.options.rounds } else { 1 };
                for _ in 0..rounds {
                    let generators = [Generator::Ours, Generator::Rtload(rtload)];
                    for (generator, values) in generators.into_iter().zip(&mut both) {
                        let place = self.place(one, 1);
                        let Scenario { arguments, figure: name, rtload: json, .. } = scenario;
                        let text = Running::start(server, &place).and_then(|running| {
                            let seconds = self.options.seconds;
                            self.load(generator, &running, server, arguments, seconds, other)
                        });
                        match text {
                            Ok(text) => values.extend(match generator {
                                Generator::Ours => {
                                    let lines: Vec<String> =
                                        text.lines().map(str::to_owned).collect();
                                    figure(&lines, name)
                                }
                                Generator::Rtload(_) => json_number(&text, json),
                            }),
                            Err(problem) => {
                                self.problems.push(format!("{}: {problem}", server.name))
                            }
                        }
                    }
                }
                if let (Some(ours), Some(theirs)) = (median(&both[0]), median(&both[1])) {
                    let ratio = ours / theirs;
                    let _ = writeln!(
                        out,
                        "| {} | {} | {} | {} | {ratio:.2} |",
                        server.name,
                        scenario.name,
                        shown(ours),
                        shown(theirs),
                    );
                    let problem = disagreement(ratio);
                    self.problems.extend(
                        problem.map(|it| format!("{}, {}: {it}", server.name, scenario.name)),
                    );
                }
            }
        }
        out + "\n"
    }
}

/// How much faster a server with two threads could be: not twice as fast where the generator, which needs
/// its share of a core for each message, or the cores of both run out before.
fn most(server: f64, generator: f64, cores: usize) -> f64 {
    2.0_f64.min(1.0 / generator).min(cores as f64 / (server + generator))
}

/// What is wrong where one load generator finds so many times what the other does, as the table shows it.
fn disagreement(ratio: f64) -> Option<String> {
    let agree = (0.9..=1.1).contains(&((ratio * 100.0).round() / 100.0));
    (!agree).then(|| {
        format!("primus-load says {ratio:.2} times what rtload does; from 0.90 to 1.10 they agree")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_generators_that_differ_by_more_than_a_tenth_disagree() {
        for ratio in [0.9, 1.0, 1.1, 0.896, 1.104] {
            assert_eq!(disagreement(ratio), None, "{ratio}");
        }
        let told = "primus-load says 1.11 times what rtload does; from 0.90 to 1.10 they agree";
        assert_eq!(disagreement(1.11).as_deref(), Some(told));
        assert!(disagreement(0.89).is_some_and(|problem| problem.contains("says 0.89 times")));
        assert!(disagreement(f64::NAN).is_some() && disagreement(f64::INFINITY).is_some());
    }

    #[test]
    fn two_threads_can_be_twice_as_fast_only_where_the_generator_keeps_up() {
        let is = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
        is(most(1.0, 0.5, 2), 4.0 / 3.0);
        is(most(1.0, 0.25, 4), 2.0);
        is(most(1.0, 0.8, 4), 1.25);
    }
}
