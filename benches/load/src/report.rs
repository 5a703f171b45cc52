//! What a measurement found.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;

use crate::process::Cpu;

/// What one run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages, deliveries or connections.
    pub count: u64,
    /// How long it was measured.
    pub wall: Duration,
    /// What the server used meanwhile, if its process was named.
    pub server: Option<Cpu>,
    /// What the generator used. Near to `wall` it, and not the server, set the pace.
    pub generator: Cpu,
    /// From sending to the answer, or to each delivery of a broadcast.
    pub latency: Option<Latency>,
    /// Of idle connections.
    pub memory: Option<Memory>,
    /// The most bytes of memory that the server ever had resident, if its process was named.
    pub peak: Option<u64>,
    /// So many of those that do not read were ended by the server.
    pub deaf_ended: usize,
    /// What went wrong.
    pub faults: Faults,
}

impl Report {
    /// Microseconds of the server's CPU a message: user, system.
    #[must_use]
    pub fn cpu_micros(&self) -> Option<(f64, f64)> {
        let server = self.server?;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.count.max(1) as f64;
        Some((each(server.user), each(server.system)))
    }

    /// Messages a second: of this machine at this moment, so only beside the rest.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}

/// Quantiles.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "they are what they are called")]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
}

impl Latency {
    pub(crate) fn of(nanos: &Histogram<u64>) -> Self {
        let at = |quantile| Duration::from_nanos(nanos.value_at_quantile(quantile));
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

/// Up to two minutes in nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000_000, 3).expect("the bounds are right")
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes of the server's resident memory a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Connected and silent.
    pub held: u64,
    /// After one message went each way.
    pub after_echo: u64,
}

/// What must not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages that are not what was sent.
    pub mismatched: u64,
    /// Messages that never came.
    pub missing: u64,
    /// Messages that nobody had sent.
    pub unasked: u64,
    /// Connections that ended or could not be made, and why the last one did.
    pub lost: u64,
    /// Empty if none was lost.
    pub why: &'static str,
}

impl Faults {
    /// Whether the run counts.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.mismatched, "mismatched"),
            (self.missing, "missing"),
            (self.unasked, "unasked"),
            (self.lost, "connections lost"),
        ];
        let told: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        f.write_str(&told.join(", "))?;
        if self.why.is_empty() { Ok(()) } else { write!(f, " ({})", self.why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_told_a_message() {
        let server = Cpu { user: Duration::from_millis(500), system: Duration::from_millis(1500) };
        let report = Report {
            count: 1_000_000,
            wall: Duration::from_secs(4),
            server: Some(server),
            ..Report::default()
        };
        assert_eq!(report.cpu_micros(), Some((0.5, 1.5)));
        assert!((report.per_second() - 250_000.0).abs() < 1e-6);
        assert_eq!(Report::default().cpu_micros(), None);
    }

    #[test]
    fn faults_say_what_and_why() {
        assert!(Faults::default().is_clean());
        let faults = Faults { missing: 2, lost: 1, why: "a close frame", ..Faults::default() };
        assert!(!faults.is_clean());
        assert_eq!(faults.to_string(), "2 missing, 1 connections lost (a close frame)");
    }
}
