//! A member's play: which multicast may go when, and what its deliveries say about order and time. The same for ours
//! and for the baselines, so that all of them have the same work beside their own.

use super::delays::Delays;
use super::ledger::Ledger;
use super::part::{Account, Part};
use super::usage::Usage;
use super::workload::{Amount, Stamp, Workload};
use crate::driver::clock::shared_micros;
use crate::exit::{Exit, Failure};
use crate::order::Promise;

/// One member at play.
pub(super) struct Player {
    me: u16,
    group: u16,
    workload: Workload,
    /// The text of the next multicast.
    text: Vec<u8>,
    sent: u64,
    /// How many of its own have come back.
    own: u64,
    cause: u16,
    ledger: Ledger,
    began: Option<u64>,
    /// When the warm-up was over, and when the last delivery came.
    warm: Option<u64>,
    last: u64,
    round_trips: Delays,
    delays: Delays,
}

impl Player {
    pub(super) fn new(part: &Part, promises: &[Promise]) -> Self {
        let workload = part.workload.clone();
        Self {
            me: part.me,
            group: part.group,
            text: vec![b'.'; workload.size],
            sent: 0,
            own: 0,
            cause: 0,
            ledger: Ledger::new(workload.members, promises),
            began: None,
            warm: None,
            last: 0,
            round_trips: Delays::default(),
            delays: Delays::default(),
            workload,
        }
    }

    /// How many were delivered.
    pub(super) const fn delivered(&self) -> u64 {
        self.ledger.delivered()
    }

    /// How many were sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether it will send nothing more.
    pub(super) fn has_finished(&self, now: u64) -> bool {
        let is_over = |began| matches!(self.workload.amount, Amount::Time(time) if now - began >= time.as_micros() as u64);
        self.sent >= self.workload.most() || self.began.is_some_and(is_over)
    }

    /// How many multicasts may go now. The clock starts with the first call.
    pub(super) fn room(&mut self, now: u64) -> u64 {
        let began = *self.began.get_or_insert(now);
        self.last = self.last.max(began);
        if self.has_finished(now) {
            return 0;
        }
        let Workload { window, .. } = self.workload;
        let open = match self.interval() {
            Some(interval) => (((now - began) as f64 / interval) as u64 + 1).saturating_sub(self.sent),
            // Filled again when half of it is empty, so that there is something to pack.
            None if !self.is_half_empty() => 0,
            None => window - (self.sent - self.own),
        };
        open.min(self.workload.most() - self.sent)
    }

    /// Whether so many have come back that it is time to send again.
    pub(super) const fn is_half_empty(&self) -> bool {
        self.workload.rate.is_none() && self.sent - self.own <= self.workload.window / 2
    }

    /// Microseconds from one multicast to the next, if that is what it goes by.
    fn interval(&self) -> Option<f64> {
        self.workload.rate.map(|rate| 1e6 * f64::from(self.workload.members) / rate)
    }

    /// When the next one is to be sent; nothing if that depends on deliveries.
    pub(super) fn due(&self) -> Option<u64> {
        let due = self.began? + (self.sent as f64 * self.interval()?) as u64;
        (self.sent < self.workload.most()).then_some(due)
    }

    /// The next multicast.
    pub(super) fn next(&mut self, now: u64) -> &[u8] {
        let due = self.due().unwrap_or(now);
        self.sent += 1;
        self.cause = (self.cause + 1) % self.workload.members;
        let stamp = Stamp {
            sender: self.me,
            cause: self.cause,
            number: self.sent as u32,
            // What it sent itself came before, delivered here or not.
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

    /// A multicast was delivered.
    ///
    /// # Errors
    /// [`Exit::Violated`] if that breaks a promise.
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
        self.workload.warmup * u64::from(self.workload.members)
    }

    /// Nothing more has come for now: what came last came now.
    pub(super) fn rest(&mut self) {
        self.last = shared_micros();
    }

    /// What it has done and seen.
    pub(super) fn account(self, is_whole: bool) -> Account {
        let delivered = self.ledger.delivered();
        Account {
            me: self.me,
            group: self.group,
            is_whole,
            multicasts: self.sent,
            timed: self.warm.map_or(0, |_| delivered.saturating_sub(self.warmup())),
            micros: self.warm.map_or(0, |warm| self.last.saturating_sub(warm)),
            witness: self.ledger.into_witness(),
            round_trips: self.round_trips.counted(),
            delays: self.delays.counted(),
            usage: Usage::of("self"),
        }
    }
}

/// What a promise that was not kept ends with.
pub(super) fn wrong(what: &str) -> Failure {
    Failure::new(Exit::Violated, format!("wrong order: {what}"))
}
