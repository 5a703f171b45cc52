//! `docs/benchmarks.md`: the tables, and what is written below them by hand.

use std::fmt::Write as _;

use super::chart::{Bar, draw};
use super::figures::{median, shown};
use super::scenarios::Scenario;
use super::servers::{SERVERS, Server};

/// What a server cost in a scenario, a value for each round.
pub(super) struct Row {
    pub(super) server: &'static Server,
    pub(super) values: Vec<f64>,
    /// Of CPU time, what is not the kernel's.
    pub(super) user: Option<f64>,
}

/// A scenario and what everybody cost in it.
pub(super) struct Table {
    pub(super) scenario: &'static Scenario,
    pub(super) rows: Vec<Row>,
}

/// From here on the page belongs to people, and a run leaves it as it is.
const BY_HAND: &str =
    "<!-- What is below this line is written by hand; `cargo xtask bench` keeps it. -->";

/// The row that the others are compared with.
const BASE: &str = "primus-ws";

/// The page, with what is written by hand in the `former` one.
pub(super) fn write(command: &str, machine: &[String], sections: &str, former: &str) -> String {
    let by_hand = former.split_once(BY_HAND).map_or("\n", |(_, rest)| rest);
    let machine: Vec<String> = machine.iter().map(|line| format!("- {line}")).collect();
    let mut servers = String::new();
    for server in SERVERS {
        let _ = writeln!(servers, "| {} | {} |", server.name, server.what);
    }
    format!(
        "\
# Benchmarks

What a message and a connection cost a server, measured side by side:

```sh
{command}
```

It installs and builds the servers, runs each alone on one core and the load generator (`benches/load`) on the next, all once a round, and writes this page.
`cargo xtask bench --help` names its options. Every message that comes is compared with what was sent; a run in which one is wrong, missing or too many does not count.

Read CPU time and ratios: on a busy machine they hardly change, which messages a second do. The tables show medians of the rounds, and the least and the most.

{}

Each server is the same application: text that begins with `b` goes to everybody, anything else is echoed.

| name | server |
|---|---|
{servers}
{sections}{BY_HAND}{by_hand}",
        machine.join("\n")
    )
}

pub(super) fn chart(table: &Table) -> String {
    let bars: Vec<Bar> = sorted(table)
        .into_iter()
        .map(|(row, value)| Bar {
            name: row.server.name.to_owned(),
            value,
            ours: row.server.is_ours(),
        })
        .collect();
    draw(table.scenario.title, table.scenario.unit, &bars)
}

/// The name of the chart's file, beside the page.
pub(super) fn chart_file(scenario: &Scenario) -> String {
    format!("benchmarks/{}.svg", scenario.name)
}

/// One scenario: what it is, its chart, its table, the cheapest first.
pub(super) fn section(table: &Table, seconds: f64) -> String {
    let Scenario { title, arguments, unit, .. } = table.scenario;
    let (scenario, options) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let rows = sorted(table);
    // Of memory nothing is the kernel's.
    let timed = rows.iter().any(|(row, _)| row.user.is_some());
    let (user, line) = if timed { (" of it user |", "--:|") } else { ("", "") };
    let mut out = format!(
        "## {title}\n\n`primus-load {scenario} ADDRESS {options} -t {seconds}`\n\n![{title}]({})\n\n\
         | server | {unit} |{user} × {BASE} | least–most |\n|---|--:|{line}--:|--:|\n",
        chart_file(table.scenario)
    );
    let base = rows.iter().find(|(row, _)| row.server.name == BASE).map(|(_, value)| *value);
    for (row, value) in rows {
        let least = row.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = row.values.iter().copied().fold(0.0, f64::max);
        let ratio = base.filter(|base| *base > 0.0).map(|base| format!("{:.2}", value / base));
        let _ = writeln!(
            out,
            "| {} | {} |{} {} | {}–{} |",
            row.server.name,
            shown(value),
            row.user.map(|user| format!(" {} |", shown(user))).unwrap_or_default(),
            ratio.unwrap_or_default(),
            shown(least),
            shown(most),
        );
    }
    out + "\n"
}

fn sorted(table: &Table) -> Vec<(&Row, f64)> {
    let rows = table.rows.iter().filter_map(|row| Some((row, median(&row.values)?)));
    let mut rows: Vec<(&Row, f64)> = rows.collect();
    rows.sort_by(|one, other| one.1.total_cmp(&other.1));
    rows
}

#[cfg(test)]
mod tests {
    use super::super::{scenarios::scenario_named, servers::server_named};
    use super::*;

    fn table() -> Table {
        let row = |name, values: &[f64]| Row {
            server: server_named(name).unwrap(),
            values: values.to_vec(),
            user: Some(0.5),
        };
        Table {
            scenario: scenario_named("echo-1").unwrap(),
            rows: vec![row("ws", &[8.0, 7.0, 9.0]), row(BASE, &[4.0]), row("axum", &[])],
        }
    }

    #[test]
    fn a_table_has_medians_and_ratios_the_cheapest_first() {
        let section = section(&table(), 2.0);
        let rows = "| primus-ws | 4.00 | 0.50 | 1.00 | 4.00–4.00 |\n| ws | 8.00 | 0.50 | 2.00 | 7.00–9.00 |\n\n";
        assert!(section.ends_with(rows), "{section}");
        assert!(section.contains("`primus-load echo ADDRESS -c 100 -t 2`"), "{section}");
        assert!(section.contains("](benchmarks/echo-1.svg)"), "{section}");
        assert!(chart(&table()).contains(">ws</text>"));
    }

    #[test]
    fn a_table_of_memory_has_no_time() {
        let mut table = table();
        table.rows.iter_mut().for_each(|row| row.user = None);
        let section = section(&table, 2.0);
        let rows = "|---|--:|--:|--:|\n| primus-ws | 4.00 | 1.00 | 4.00–4.00 |\n| ws | 8.00 | 2.00 | 7.00–9.00 |\n\n";
        assert!(section.ends_with(rows), "{section}");
    }

    #[test]
    fn what_is_written_by_hand_stays() {
        let first = write("cargo xtask bench", &["a machine".into()], "## Old\n\n", "");
        let edited = first + "\n## By hand\n";
        let second = write("cargo xtask bench", &[], "## New\n\n", &edited);
        assert!(second.ends_with("\n## By hand\n"), "{second}");
        assert!(second.contains("## New") && !second.contains("## Old"), "{second}");
        assert_eq!(second.matches(BY_HAND).count(), 1);
    }
}
