//! Many seeds, up to the first that fails. The number of threads changes the time it takes and nothing else.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::{Cost, Counters, Outcome, Setup, Share, Trace};
use crate::check::{Verdict, Witness};
use crate::exit::Exit;

/// A simulated group or cluster.
pub trait Simulation: Sync {
    /// Runs one seed and records every event in `trace`.
    fn run(&self, seed: u64, trace: &mut Trace) -> Outcome;

    /// Returns the property that is expected to be violated.
    fn expected(&self) -> Option<&'static str>;

    /// Returns a verdict for everything that was asked for and never occurred, so that the seeds show nothing about it.
    fn idle(&self, counters: &Counters) -> Vec<(&'static str, Verdict)>;
}

impl Simulation for Setup {
    fn run(&self, seed: u64, trace: &mut Trace) -> Outcome {
        Self::run(self, seed, trace)
    }

    fn expected(&self) -> Option<&'static str> {
        self.expect.map(|property| property.name)
    }

    fn idle(&self, counters: &Counters) -> Vec<(&'static str, Verdict)> {
        let faults = idle_share(self, counters).or_else(|| idle_churn(self, counters));
        let faults = faults.map(|why| ("faults", Verdict::Undecided(why)));
        let order = idle_order(self, counters).map(|why| ("hold-back", Verdict::Undecided(why)));
        faults.into_iter().chain(order).collect()
    }
}

/// The result of a series of seeds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The number of seeds run, including the first that violates a property.
    pub seeds: u64,
    /// The seed that violates a property.
    pub failed: Option<u64>,
    /// The property that was expected to be violated.
    pub expected: Option<&'static str>,
    /// The verdict on each property: violated if a seed violates it, valid if it held in at least one, else undecided.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// Sums over the seeds.
    pub counters: Counters,
    /// The cost, over all seeds.
    pub cost: Cost,
}

/// The growing report: seeds end in any order and are added in ascending order.
#[derive(Default)]
struct Progress {
    report: Report,
    early: BTreeMap<u64, Outcome>,
}

/// Runs `seeds` seeds from `first` on, up to the first that violates a property.
#[must_use]
pub fn run(simulation: &dyn Simulation, first: u64, seeds: u64) -> Report {
    let next = AtomicU64::new(0);
    let progress = Mutex::new(Progress::default());
    let work = || {
        loop {
            // Seeds are taken in order, so every seed before the first that fails is run to its end.
            let index = next.fetch_add(1, Ordering::SeqCst);
            if index >= seeds || progress.lock().expect("no worker panics").report.failed.is_some() {
                return;
            }
            let outcome = run_one(simulation, first.wrapping_add(index), &mut Trace::off());
            progress.lock().expect("no worker panics").take(index, outcome);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let mut report = progress.into_inner().expect("no worker panics").report;
    report.expected = simulation.expected();
    if report.expected.is_none() {
        report.verdicts.extend(simulation.idle(&report.counters));
    }
    report
}

impl Progress {
    /// Adds the outcomes that are next, up to the first seed that fails, however many more have run by then.
    fn take(&mut self, index: u64, outcome: Outcome) {
        self.early.insert(index, outcome);
        while self.report.failed.is_none() {
            let Some(outcome) = self.early.remove(&self.report.seeds) else { return };
            self.report.take(outcome);
        }
    }
}

/// Runs one seed. A panic of an engine is a violation like any other, with a seed to replay it and a trace.
#[must_use]
pub fn run_one(simulation: &dyn Simulation, seed: u64, trace: &mut Trace) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| simulation.run(seed, trace))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let witness = Witness::from(format!("an engine panicked: {text}"));
        let verdicts = vec![("contract", Verdict::Violated(witness))];
        Outcome { seed, verdicts, counters: Counters::default(), cost: Cost::default() }
    })
}

/// Names a fault of the network, or a pause, that was asked for and never occurred.
pub(super) fn idle_share(setup: &Setup, counters: &Counters) -> Option<String> {
    let asked = [
        (setup.loss, counters.lost, "loss was asked for and nothing was lost"),
        (setup.duplicate, counters.duplicated, "duplication was asked for and nothing came twice"),
        (setup.slow, counters.slow, "slow packets were asked for and none was slow"),
        (setup.clog, counters.clogged, "clogged links were asked for and held nothing"),
        (setup.partition, counters.cut, "partitions were asked for and kept nothing away"),
        (setup.pause, counters.paused, "pauses were asked for and delayed nothing"),
    ];
    let is_idle =
        |share: Option<Share>, struck| share.is_some_and(|share| share != Share::ZERO) && struck == 0;
    let idle = asked.into_iter().find(|&(share, struck, _)| is_idle(share, struck));
    idle.map(|(_, _, what)| what.to_owned())
}

/// Names a change of members that was asked for and never occurred.
fn idle_churn(setup: &Setup, counters: &Counters) -> Option<String> {
    let why = match setup.churn {
        churn if churn.crash > 0 && counters.crashed == 0 => "deaths were asked for and nobody died",
        churn if churn.joins() > 0 && counters.joined == 0 => "members were asked to join and none did",
        churn if churn.is_asked_for() && counters.views == 0 => {
            "losses of members were asked for and no view changed"
        }
        _ => return None,
    };
    Some(why.to_owned())
}

/// Reports that the order never held a message back, so that any order would have passed.
fn idle_order(setup: &Setup, counters: &Counters) -> Option<String> {
    let is_idle = !setup.order.promises.is_empty() && counters.held_back == 0;
    is_idle.then(|| "nothing came out of order".to_owned())
}

impl Report {
    fn take(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.counters += outcome.counters;
        if outcome.is_violated() {
            self.failed = Some(outcome.seed);
        }
        self.cost += outcome.cost;
        for (name, verdict) in outcome.verdicts {
            self.add(name, verdict);
        }
    }

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

    /// Returns the exit code: violated, undecided or all right. An expected violation alone is all right.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let is_expected = |name: &str| self.expected == Some(name);
        let mut violated = self.verdicts.iter().filter(|(_, verdict)| verdict.is_violated());
        if violated.clone().any(|(name, _)| !is_expected(name)) {
            Exit::Violated
        } else if self.expected.is_some() {
            if violated.next().is_some() { Exit::Ok } else { Exit::Violated }
        } else if self.verdicts.iter().all(|(_, verdict)| verdict.is_valid()) {
            Exit::Ok
        } else {
            Exit::Undecided
        }
    }
}
