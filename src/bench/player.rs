//! The part of a member that paces its multicasts and checks and times its deliveries. Groupcast and the baselines
//! share it, so that all have the same work beside their own.

use super::delays::Delays;
use super::ledger::Ledger;
use super::part::{Account, Part};
use super::threads::{MEMBERS, Threads};
use super::usage::Usage;
use super::workload::{Amount, Stamp, Workload};
use crate::driver::clock::shared_micros;
use crate::exit::{Exit, Failure};
use crate::order::Promise;

/// The play of one member.
pub(super) struct Player {
    me: u16,
    group: u16,
    workload: Workload,
    /// The text of the next multicast.
    text: Vec<u8>,
    sent: u64,
    /// The number of its own multicasts that it has delivered.
    own: u64,
    cause: u16,
    ledger: Ledger,
    began: Option<u64>,
    /// The processes whose work is counted, by role, and their threads when this member began.
    watched: Vec<(String, u32)>,
    before: Vec<(String, Threads)>,
    /// The times of the end of the warm-up and of the last delivery.
    warm: Option<u64>,
    last: u64,
    round_trips: Delays,
    delays: Delays,
}

impl Player {
    pub(super) fn new(part: &Part, promises: &[Promise]) -> Self {
        let workload = part.workload.clone();
        let mut player = Self {
            me: part.me,
            group: part.group,
            text: vec![b'.'; workload.size],
            sent: 0,
            own: 0,
            cause: 0,
            ledger: Ledger::new(workload.members, promises),
            began: None,
            watched: part.watched.as_ref().map_or_else(Vec::new, |middle| {
                let own = (MEMBERS.to_owned(), std::process::id());
                middle.iter().cloned().chain([own]).collect()
            }),
            before: Vec::new(),
            warm: None,
            last: 0,
            round_trips: Delays::default(),
            delays: Delays::default(),
            workload,
        };
        if part.me >= player.workload.senders {
            // It never begins to send.
            player.watch();
        }
        player
    }

    /// Notes the work until now of the processes whose work is counted.
    fn watch(&mut self) {
        let threads = self.watched.iter().map(|(role, process)| (role.clone(), Threads::of(*process)));
        self.before = threads.collect();
    }

    /// Returns the number of the member in its group.
    pub(super) const fn me(&self) -> u16 {
        self.me
    }

    /// Returns the length of each text in bytes.
    pub(super) const fn size(&self) -> usize {
        self.workload.size
    }

    /// Returns the number of deliveries.
    pub(super) const fn delivered(&self) -> u64 {
        self.ledger.delivered()
    }

    /// Returns the number of multicasts sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns true if it will send no more.
    pub(super) fn has_finished(&self, now: u64) -> bool {
        let is_over = |began| matches!(self.workload.amount, Amount::Time(time) if now - began >= time.as_micros() as u64);
        self.me >= self.workload.senders
            || self.sent >= self.workload.most()
            || self.began.is_some_and(is_over)
    }

    /// Returns the number of multicasts that may be sent now. The clock starts with the first call.
    pub(super) fn room(&mut self, now: u64) -> u64 {
        if self.began.is_none() {
            self.watch();
        }
        let began = *self.began.get_or_insert(now);
        self.last = self.last.max(began);
        if self.has_finished(now) {
            return 0;
        }
        let Workload { window, .. } = self.workload;
        let open = match self.interval() {
            Some(interval) => (((now - began) as f64 / interval) as u64 + 1).saturating_sub(self.sent),
            // The window is refilled when half of it is empty, so that there are messages to pack.
            None if !self.is_half_empty() => 0,
            None => window - (self.sent - self.own),
        };
        open.min(self.workload.most() - self.sent)
    }

    /// Returns true if so many own multicasts have been delivered that it is time to send again.
    pub(super) const fn is_half_empty(&self) -> bool {
        self.workload.rate.is_none() && self.sent - self.own <= self.workload.window / 2
    }

    /// Returns the time between two multicasts in microseconds, if the rate is fixed.
    fn interval(&self) -> Option<f64> {
        self.workload.rate.map(|rate| 1e6 * f64::from(self.workload.senders) / rate)
    }

    /// Returns the time at which the next multicast is due; `None` if that depends on deliveries.
    pub(super) fn due(&self) -> Option<u64> {
        let due = self.began? + (self.sent as f64 * self.interval()?) as u64;
        (self.me < self.workload.senders && self.sent < self.workload.most()).then_some(due)
    }

    /// Returns the next multicast.
    pub(super) fn next(&mut self, now: u64) -> &[u8] {
        let due = self.due().unwrap_or(now);
        self.sent += 1;
        self.cause = (self.cause + 1) % self.workload.members;
        let stamp = Stamp {
            sender: self.me,
            cause: self.cause,
            number: self.sent as u32,
            // Its own earlier multicasts precede this one, delivered here or not.
            caused_by: if self.cause == self.me {
                self.sent as u32 - 1
            } else {
                self.ledger.last(self.cause)
            },
            due: due as u32,
        };
        stamp.write(&mut self.text);
        &self.text
    }

    /// Checks and counts a delivery.
    ///
    /// # Errors
    /// [`Exit::Violated`] if the delivery breaks a promise.
    pub(super) fn deliver(&mut self, text: &[u8]) -> Result<(), Failure> {
        let stamp = Stamp::read(text).filter(|_| text.len() == self.workload.size);
        let taken = stamp.ok_or_else(|| "a text that nobody sent".to_owned());
        let stamp = taken
            .and_then(|stamp| self.ledger.deliver(&stamp).map(|()| stamp))
            .map_err(|what| wrong(&what))?;
        let is_own = stamp.sender == self.me;
        self.own += u64::from(is_own);
        if self.workload.rate.is_some() || (is_own && self.workload.has_round_trips()) {
            let delay = u64::from((shared_micros() as u32).wrapping_sub(stamp.due));
            if is_own {
                self.round_trips.add(delay);
            }
            self.delays.add(delay);
        }
        if self.warm.is_none() && self.ledger.delivered() >= self.warmup() {
            self.warm = if self.warmup() == 0 { self.began } else { Some(shared_micros()) };
        }
        Ok(())
    }

    fn warmup(&self) -> u64 {
        self.workload.warmup * u64::from(self.workload.senders)
    }

    /// Records that the last delivery was now, and returns the time.
    pub(super) fn rest(&mut self) -> u64 {
        self.last = shared_micros();
        self.last
    }

    /// Returns the results of the member.
    pub(super) fn account(&self, is_whole: bool) -> Account {
        let delivered = self.ledger.delivered();
        Account {
            me: self.me,
            group: self.group,
            is_whole,
            multicasts: self.sent,
            timed: self.warm.map_or(0, |_| delivered.saturating_sub(self.warmup())),
            micros: self.warm.map_or(0, |warm| self.last.saturating_sub(warm)),
            witness: self.ledger.witness().clone(),
            round_trips: self.round_trips.counted(),
            delays: self.delays.counted(),
            usage: Usage::of("self"),
            work: self.before.iter().map(|(role, before)| (role.clone(), before.work_since())).collect(),
            packets: None,
        }
    }
}

/// Returns the failure for a broken promise.
pub(super) fn wrong(what: &str) -> Failure {
    Failure::new(Exit::Violated, format!("wrong order: {what}"))
}
