//! Many seeds, until the first that fails. Threads change how long it takes and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::{Counters, Outcome, Setup, Share, Trace};
use crate::check::{Verdict, Witness};
use crate::exit::Exit;

/// What a row of seeds showed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// How many seeds ran, up to and with the first that failed.
    pub seeds: u64,
    /// The seed that failed.
    pub failed: Option<u64>,
    /// Of each property: violated if a seed violates it, valid if it held in at least one, else undecided.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// Sums over the seeds.
    pub counters: Counters,
}

/// Runs `seeds` seeds from `first` on, up to the first that fails.
#[must_use]
pub fn run(setup: &Setup, first: u64, seeds: u64) -> Report {
    let next = AtomicU64::new(0);
    let stop = AtomicU64::new(seeds);
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        loop {
            // Seeds are taken in order, so every seed before the first that fails is run to its end.
            let index = next.fetch_add(1, Ordering::SeqCst);
            if index >= stop.load(Ordering::SeqCst) {
                return;
            }
            let outcome = run_one(setup, first.wrapping_add(index), &mut Trace::off());
            if outcome.is_violated() {
                stop.fetch_min(index + 1, Ordering::SeqCst);
            }
            outcomes.lock().expect("no worker panics").push((index, outcome));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let mut outcomes = outcomes.into_inner().expect("no worker panics");
    outcomes.sort_unstable_by_key(|(index, _)| *index);
    outcomes.truncate(usize::try_from(stop.into_inner()).unwrap_or(usize::MAX));
    report(setup, outcomes.into_iter().map(|(_, outcome)| outcome))
}

/// Runs one seed. A panic of an engine is a violation like any other: it has a seed that replays it, and a trace.
#[must_use]
pub fn run_one(setup: &Setup, seed: u64, trace: &mut Trace) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| setup.run(seed, trace))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let witness = Witness::from(format!("an engine panicked: {text}"));
        let verdicts = vec![("contract", Verdict::Violated(witness))];
        Outcome { seed, verdicts, counters: Counters::default() }
    })
}

fn report(setup: &Setup, outcomes: impl Iterator<Item = Outcome>) -> Report {
    let mut report = Report { seeds: 0, failed: None, verdicts: Vec::new(), counters: Counters::default() };
    for outcome in outcomes {
        report.seeds += 1;
        report.counters += outcome.counters;
        if outcome.is_violated() {
            report.failed = Some(outcome.seed);
        }
        for (name, verdict) in outcome.verdicts {
            report.add(name, verdict);
        }
    }
    report
        .verdicts
        .extend(idle_faults(setup, &report.counters).map(|why| ("faults", Verdict::Undecided(why))));
    report
}

/// A fault that was asked for and never struck: then nothing was shown about it.
fn idle_faults(setup: &Setup, counters: &Counters) -> Option<String> {
    let idle = |share: Option<Share>, struck: u64| share.is_some_and(|share| !share.is_zero()) && struck == 0;
    let (lost, duplicated) = (counters.lost, counters.duplicated);
    let what = if idle(setup.loss, lost) {
        "loss was asked for and nothing was lost"
    } else if idle(setup.duplicate, duplicated) {
        "duplication was asked for and nothing came twice"
    } else {
        return None;
    };
    Some(what.to_owned())
}

impl Report {
    fn add(&mut self, name: &'static str, verdict: Verdict) {
        let Some((_, known)) = self.verdicts.iter_mut().find(|(known, _)| *known == name) else {
            return self.verdicts.push((name, verdict));
        };
        let weight = |verdict: &Verdict| match verdict {
            Verdict::Undecided(_) => 0,
            Verdict::Valid => 1,
            Verdict::Violated(_) => 2,
        };
        if weight(&verdict) > weight(known) {
            *known = verdict;
        }
    }

    /// What it comes to: violated, undecided or all right.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.verdicts.iter().any(|(_, verdict)| verdict.is_violated()) {
            Exit::Violated
        } else if self.verdicts.iter().all(|(_, verdict)| verdict.is_valid()) {
            Exit::Ok
        } else {
            Exit::Undecided
        }
    }
}
