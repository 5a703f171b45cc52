//! What a process has used, from `/proc`.

use std::{fs, time::Duration};

/// CPU time, as the kernel splits it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In the program itself.
    pub user: Duration,
    /// In the kernel, on its behalf.
    pub system: Duration,
}

impl Cpu {
    /// Both.
    #[must_use]
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Since it began.
    pub cpu: Cpu,
    /// Bytes of memory of its own that are resident.
    pub resident: u64,
    /// The most that ever were.
    pub peak: u64,
}

impl Sample {
    /// Of this process. All zero when it is gone.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        Self {
            cpu: cpu(&read("stat"), tick()),
            resident: bytes(&status, "VmRSS:"),
            peak: bytes(&status, "VmHWM:"),
        }
    }
}

fn tick() -> Duration {
    Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// `stat`: the 14th and 15th field. The second, a name in brackets, may hold anything.
fn cpu(stat: &str, tick: Duration) -> Cpu {
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut times = fields.split(' ').skip(11).map(|field| field.parse().unwrap_or(0));
    let mut next = || tick * times.next().unwrap_or(0);
    Cpu { user: next(), system: next() }
}

/// `status`: `VmRSS:      1234 kB`
fn bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 25 7 0 0 20 0 1 0 9 1 1";
        let cpu = cpu(stat, Duration::from_millis(10));
        assert_eq!((cpu.user, cpu.system), (Duration::from_millis(250), Duration::from_millis(70)));
        assert_eq!(cpu.total(), Duration::from_millis(320));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(bytes("Name:\tx\nVmRSS:\t    1234 kB\n", "VmRSS:"), 1234 * 1024);
        assert_eq!(bytes("Name:\tx\n", "VmRSS:"), 0);
        assert!(Sample::of(std::process::id()).resident > 0);
        assert_eq!(Sample::of(u32::MAX).resident, 0);
    }
}
