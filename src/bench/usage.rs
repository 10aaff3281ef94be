//! The resources that a process has used, as reported by the system; 0 where the system does not report them.

use std::fs;

use serde::{Deserialize, Serialize};

/// The unit of processor time in `/proc` on every Linux: hundredths of a second.
pub(super) const TICKS_PER_SECOND: u64 = 100;

/// The resources that a process has used until now.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Usage {
    /// The most memory at one time.
    pub(super) memory_kib: u64,
    /// The processor time.
    pub(super) cpu_ms: u64,
}

impl Usage {
    /// Returns the usage of the process with this number or name in `/proc`.
    pub(super) fn of(process: &str) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        Self {
            memory_kib: peak(&read("status")).unwrap_or_default(),
            cpu_ms: ticks(&read("stat")).map_or(0, |(user, kernel)| user + kernel) * 1000 / TICKS_PER_SECOND,
        }
    }

    /// Returns the larger value of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self { memory_kib: self.memory_kib.max(other.memory_kib), cpu_ms: self.cpu_ms.max(other.cpu_ms) }
    }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Returns the processor time in user and in kernel mode: fields 14 and 15; the second field, a name, may contain
/// anything.
pub(super) fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        assert_eq!(peak("Name:\tx\nVmPeak:\t9 kB\nVmHWM:\t   7264 kB\n"), Some(7264));
        assert_eq!(ticks("7 (a) b) S 1 1 1 0 -1 4194304 99 0 0 0 12 30 0 0 20 0"), Some((12, 30)));
        assert_eq!((peak(""), ticks("")), (None, None));
    }
}
