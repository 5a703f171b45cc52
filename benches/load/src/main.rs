//! `primus-load SCENARIO ADDRESS [options]`: loads a server and prints what it cost.

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use lexopt::{
    Parser, ValueExt as _,
    prelude::{Long, Short, Value},
};
use primus_load::{Dialect, Plan, Report, Scenario, pin, raise_open_files, run};

const HELP: &str = "\
primus-load SCENARIO ADDRESS [options]

scenarios:
  echo        each connection keeps messages in flight
  broadcast   the first connection sends, all receive
  idle        opens connections, holds them, then one echo on each
  churn       connect, one echo, close, again

The server echoes text that begins with `e`, and sends text that begins with `b` to everybody.

options:
  -d, --dialect NAME      plain, classic, resumable, socket.io or sockjs [default: plain]
      --path PATH         in place of the dialect's usual one; {id} is a number of the connection
  -c, --connections N     clients; of churn, at one time [default: 100]
  -w, --window N          messages in flight [default: 1]
  -s, --size BYTES        of a message's text [default: 64]
      --deaf N            of broadcast: so many clients more, which never read [default: 0]
  -t, --time SECONDS      measured; of idle, held [default: 3]
      --warmup SECONDS    run before [default: 0.7]
  -p, --server PID        the process whose CPU time and memory are told
      --core N            run on this core
";

fn main() -> ExitCode {
    let plan = match plan(Parser::from_env()) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let _ = raise_open_files();
    match run(&plan) {
        Ok(report) => {
            print!("{}", told(&plan, &report));
            if report.faults.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("primus-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut arguments: Parser) -> Result<Option<Plan>, lexopt::Error> {
    let mut places = Vec::new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut plan = Plan::new(any, Dialect::Plain, Scenario::Echo);
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('d') | Long("dialect") => plan.dialect = arguments.value()?.parse()?,
            Long("path") => plan.path = Some(arguments.value()?.string()?),
            Short('c') | Long("connections") => plan.connections = arguments.value()?.parse()?,
            Short('w') | Long("window") => plan.window = arguments.value()?.parse()?,
            Short('s') | Long("size") => plan.size = arguments.value()?.parse()?,
            Long("deaf") => plan.deaf = arguments.value()?.parse()?,
            Short('t') | Long("time") => plan.time = seconds(&mut arguments)?,
            Long("warmup") => plan.warmup = seconds(&mut arguments)?,
            Short('p') | Long("server") => plan.server = Some(arguments.value()?.parse()?),
            Long("core") => pin(arguments.value()?.parse()?).map_err(io_error)?,
            Value(place) => places.push(place),
            other => return Err(other.unexpected()),
        }
    }
    let [scenario, address] = &places[..] else {
        return Err("a scenario and an address are needed".into());
    };
    plan.scenario = scenario.parse()?;
    plan.address = address.parse()?;
    if plan.connections == 0 || plan.window == 0 || plan.size == 0 {
        return Err("connections, window and size are at least 1".into());
    }
    Ok(Some(plan))
}

fn io_error(error: io::Error) -> lexopt::Error {
    lexopt::Error::Custom(error.into())
}

fn seconds(arguments: &mut Parser) -> Result<Duration, lexopt::Error> {
    let seconds = arguments.value()?.parse::<f64>()?;
    Duration::try_from_secs_f64(seconds).map_err(|error| lexopt::Error::Custom(error.into()))
}

/// One figure a line, `name value`.
fn told(plan: &Plan, report: &Report) -> String {
    let unit = plan.scenario.unit();
    let mut lines = Vec::new();
    if let Some((user, system)) = report.cpu_micros() {
        lines.push(format!("cpu_us_per_{unit} {:.3}", user + system));
        lines.push(format!("user_us_per_{unit} {user:.3}"));
        lines.push(format!("system_us_per_{unit} {system:.3}"));
    }
    if let Some(memory) = report.memory {
        lines.push(format!("bytes_per_connection {}", memory.held));
        lines.push(format!("bytes_per_connection_after_echo {}", memory.after_echo));
    }
    if let Some(latency) = report.latency {
        for (name, time) in [("p50", latency.p50), ("p99", latency.p99), ("p999", latency.p999)] {
            lines.push(format!("{name}_us {:.0}", time.as_secs_f64() * 1e6));
        }
    }
    let busy = |time: Duration| time.as_secs_f64() / report.wall.as_secs_f64().max(1e-9);
    if let Some(server) = report.server {
        lines.push(format!("server_busy {:.2}", busy(server.total())));
    }
    lines.push(format!("generator_busy {:.2}", busy(report.generator.total())));
    lines.push(format!("per_second {:.0}", report.per_second()));
    if let Some(peak) = report.peak {
        lines.push(format!("server_peak_bytes {peak}"));
    }
    if plan.deaf > 0 {
        lines.push(format!("deaf_ended {}", report.deaf_ended));
    }
    if !report.faults.is_clean() {
        lines.push(format!("faults {}", report.faults));
    }
    lines.join("\n") + "\n"
}
