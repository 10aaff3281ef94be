//! The work of the threads of a process, as Linux tells it in `/proc`; nothing where the system does not.

use std::collections::BTreeMap;
use std::fs;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::usage::{TICKS_PER_SECOND, ticks};

/// The role of all members together.
pub(super) const MEMBERS: &str = "members";

/// The kind of a thread.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Kind {
    /// The one that runs the program.
    Main,
    /// One of those in which ZeroMQ reads and writes.
    ZeroMq,
    /// Any other.
    Other,
}

/// The work of threads of one kind.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Work {
    pub(super) kind: Kind,
    pub(super) spent: Spent,
}

/// The processor time of a thread, and how often it lost the processor.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Spent {
    /// In user mode and in kernel mode, in microseconds. Linux tells hundredths of a second.
    pub(super) user: u64,
    pub(super) kernel: u64,
    /// How often it waited, and was woken up.
    pub(super) wakeups: u64,
    /// How often another thread took the processor from it.
    pub(super) preemptions: u64,
}

/// The threads of a process at one time, by their numbers.
#[derive(Debug)]
pub(super) struct Threads {
    process: u32,
    all: BTreeMap<u32, Work>,
}

impl Threads {
    /// Returns the threads of this process.
    pub(super) fn of(process: u32) -> Self {
        let numbers = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
        let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let work = |thread: u32| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{process}/task/{thread}/{file}")).ok();
            let (stat, status) = (read("stat")?, read("status")?);
            let kind = if thread == process { Kind::Main } else { kind(name(&stat)?) };
            Some((thread, Work { kind, spent: spent(&stat, &status)? }))
        };
        Self { process, all: numbers.filter_map(work).collect() }
    }

    /// Returns the work since then. That of threads that have ended is lost.
    pub(super) fn work_since(&self) -> Vec<Work> {
        let work = |(thread, now): (u32, Work)| {
            let before = self.all.get(&thread).map_or_else(Spent::default, |work| work.spent);
            Work { spent: now.spent.since(before), ..now }
        };
        together(Self::of(self.process).all.into_iter().map(work))
    }
}

/// Adds up the work of each kind of threads; leaves out those that did nothing.
pub(super) fn together(all: impl IntoIterator<Item = Work>) -> Vec<Work> {
    let mut sums: BTreeMap<Kind, Spent> = BTreeMap::new();
    for Work { kind, spent } in all {
        *sums.entry(kind).or_default() += spent;
    }
    let works = sums.into_iter().map(|(kind, spent)| Work { kind, spent });
    works.filter(|work| work.spent != Spent::default()).collect()
}

impl Spent {
    const fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            kernel: self.kernel.saturating_sub(before.kernel),
            wakeups: self.wakeups.saturating_sub(before.wakeups),
            preemptions: self.preemptions.saturating_sub(before.preemptions),
        }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.user += other.user;
        self.kernel += other.kernel;
        self.wakeups += other.wakeups;
        self.preemptions += other.preemptions;
    }
}

impl Kind {
    /// Returns the name of the kind.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::ZeroMq => "ZeroMQ",
            Self::Other => "others",
        }
    }
}

/// Returns the name of a thread: the second field of `stat`, which may contain anything.
fn name(stat: &str) -> Option<&str> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0)
}

fn kind(name: &str) -> Kind {
    if name.starts_with("ZMQbg/IO") { Kind::ZeroMq } else { Kind::Other }
}

fn spent(stat: &str, status: &str) -> Option<Spent> {
    let (user, kernel) = ticks(stat)?;
    let switches = |which: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    let micros = |ticks: u64| ticks * (1_000_000 / TICKS_PER_SECOND);
    Some(Spent {
        user: micros(user),
        kernel: micros(kernel),
        wakeups: switches("voluntary_ctxt_switches")?,
        preemptions: switches("nonvoluntary_ctxt_switches")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nvoluntary_ctxt_switches:\t77\nnonvoluntary_ctxt_switches:\t5\n";

    fn stat(name: &str) -> String {
        format!("7 ({name}) S 1 1 1 0 -1 4194304 99 0 0 0 12 30 0 0 20 0 1 0 9 0 0")
    }

    #[test]
    fn reads_what_linux_writes_whatever_the_names() {
        let told = Spent { user: 120_000, kernel: 300_000, wakeups: 77, preemptions: 5 };
        for named in ["client", "a b", "a) S 1 (b", ")", "("] {
            assert_eq!((name(&stat(named)), spent(&stat(named), STATUS)), (Some(named), Some(told)));
        }
        let kinds = ["ZMQbg/IO/0", "ZMQbg/IO/11", "ZMQbg/Reaper", "zmq"].map(kind);
        assert_eq!(kinds, [Kind::ZeroMq, Kind::ZeroMq, Kind::Other, Kind::Other]);
        for (stat, status) in [("", STATUS), (&*stat("x"), ""), ("7 (x) S 1", STATUS)] {
            assert_eq!(spent(stat, status), None, "{stat}");
        }
        assert_eq!((name("7 x"), name("")), (None, None));
    }

    #[test]
    fn work_is_added_up_by_kind_and_idle_kinds_are_left_out() {
        let work = |kind, wakeups| Work { kind, spent: Spent { wakeups, ..Spent::default() } };
        let all = [work(Kind::ZeroMq, 1), work(Kind::Main, 2), work(Kind::Other, 0), work(Kind::ZeroMq, 4)];
        assert_eq!(together(all), [work(Kind::Main, 2), work(Kind::ZeroMq, 5)]);
    }

    #[test]
    fn own_threads_work() {
        let before = Threads::of(std::process::id());
        let (_sender, silent) = std::sync::mpsc::channel::<()>();
        assert!(silent.recv_timeout(std::time::Duration::from_millis(5)).is_err());
        let wakeups: u64 = before.work_since().iter().map(|work| work.spent.wakeups).sum();
        assert!(wakeups > 0 && before.all.contains_key(&std::process::id()), "{before:?}");
    }
}
