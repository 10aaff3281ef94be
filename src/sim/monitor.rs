//! The observer of a simulated run: the trace, the counts, the cost, and the contract of the engines.

use super::cost::Meter;
use super::counters::{Counters, Seen, is_overheard};
use super::faults::Fault;
use super::network::Passage;
use super::trace::{AppWords, Trace, Words};
use super::world::Observer;
use crate::check::Witness;
use crate::engine::{DropReason, Effects, Engine, MemberId, Time, To};
use crate::member::{App, Membership};
use crate::wire::Packet;

/// The observer of one run.
pub(super) struct Monitor<'t> {
    pub(super) trace: &'t mut Trace,
    pub(super) counters: Counters,
    pub(super) meter: Meter,
    /// The first breach of the contract of engines.
    pub(super) breach: Option<Witness>,
    seen: Seen,
    clients: usize,
    /// Whether members are lost or come.
    has_churn: bool,
    /// The packet that is being handled.
    receipt: Option<Receipt>,
    /// The batches that members have delivered since they were last taken out: the member, the number of the first
    /// message, the count. Only for members of several groups.
    pub(super) batches: Option<Vec<(MemberId, u64, u64)>>,
}

/// A packet that a member received.
struct Receipt {
    at: MemberId,
    from: MemberId,
    /// The next deadline before it was received, of a NACK to another member.
    overheard: Option<Option<Time>>,
}

impl<'t> Monitor<'t> {
    pub(super) fn new(clients: usize, has_churn: bool, trace: &'t mut Trace) -> Self {
        Self {
            trace,
            counters: Counters::default(),
            meter: Meter::new(clients),
            breach: None,
            seen: Seen::default(),
            clients,
            has_churn,
            receipt: None,
            batches: None,
        }
    }
}

impl Observer for Monitor<'_> {
    fn submitted(&mut self, now: Time, at: MemberId, to: To, app: &App) {
        self.trace.line(now, &at, "submit", &to, format_args!("{}", AppWords(app, None)));
        self.counters.submitted(app);
        self.meter.submitted(now, at, app);
    }

    fn sent(&mut self, now: Time, from: MemberId, to: To, packet: &Packet, members: usize) {
        self.trace.line(now, &from, "send", &to, format_args!("{}", Words(packet)));
        self.seen.sent(packet, &mut self.counters);
        self.meter.sent(packet, if to == To::Group { members - 1 } else { 1 });
    }

    fn carried(&mut self, now: Time, from: MemberId, to: MemberId, packet: &Packet, passage: Passage) {
        self.counters.carried(passage);
        if passage.arrivals[0].is_none() {
            let verb = if passage.is_cut { "cut" } else { "lose" };
            self.trace.line(now, &from, verb, &to, format_args!("{}", Words(packet)));
        }
    }

    fn received(&mut self, now: Time, at: MemberId, from: MemberId, packet: &Packet, due: Option<Time>) {
        self.trace.line(now, &at, "receive", &from, format_args!("{}", Words(packet)));
        self.seen.received(at, packet);
        self.receipt = Some(Receipt { at, from, overheard: is_overheard(at, packet).then_some(due) });
    }

    fn woken(&mut self, now: Time, at: MemberId, due: Time) {
        self.counters.paused += u64::from(due < now);
        self.trace.line(now, &at, "wake", &"", format_args!(""));
    }

    fn handled(&mut self, now: Time, at: MemberId, membership: &Membership, effects: &Effects<App, Packet>) {
        // A newcomer handles nothing yet, so the last receipt may be that of another member.
        if let Some(receipt) = self.receipt.take().filter(|receipt| receipt.at == at) {
            self.counters.received(receipt.from, effects.as_slice());
            if let Some(due) = receipt.overheard {
                self.counters.overheard(due, membership.next_deadline());
            }
        }
        if usize::from(at.0) < self.clients {
            self.meter.holds(now, at, membership.held());
        }
    }

    fn delivered(&mut self, now: Time, at: MemberId, from: MemberId, number: Option<u64>, app: &App) {
        self.trace.line(now, &at, "deliver", &from, format_args!("{}", AppWords(app, number)));
        if let (Some(batches), App::Multicast(batch)) = (&mut self.batches, app) {
            batches.push((at, number.unwrap_or_default(), u64::from(batch.count())));
        }
        if let App::Undeliverable(batch, _) = app {
            self.counters.undeliverable += u64::from(batch.count());
        }
        self.counters.views += u64::from(matches!(app, App::View(..)));
        self.meter.delivered(now, at, from, app);
    }

    fn dropped(&mut self, now: Time, at: MemberId, from: MemberId, reason: DropReason) {
        self.trace.line(now, &at, "drop", &from, format_args!("{reason}"));
        self.counters.dropped += u64::from(reason == DropReason::Duplicate);
        // Among honest members, a packet may only be a duplicate. But a removed member still sends until it learns of
        // its removal. During a flush members ignore their send windows, and the receiver handles packets outside its
        // window when the view ends.
        let is_known = [DropReason::Stranger, DropReason::OutsideWindow].contains(&reason);
        if reason != DropReason::Duplicate && !(self.has_churn && is_known) {
            let story = format!("{at} blamed {from}, which is honest, for \"{reason}\" at {now}");
            self.breach.get_or_insert(Witness::from(story));
        }
    }

    fn paused(&mut self) {
        self.counters.paused += 1;
    }

    fn waited(&mut self) {
        self.counters.waited += 1;
    }

    fn fault(&mut self, now: Time, fault: &Fault) {
        match fault {
            Fault::Crash(member) => {
                self.counters.crashed += 1;
                self.trace.line(now, member, "die", &"", format_args!(""));
            }
            Fault::Calm => {
                let what = format_args!("the network is at no fault from now on");
                self.trace.line(now, &"", "heal", &"", what);
            }
            fault => self.trace.line(now, &"", "outage", &"", format_args!("{fault}")),
        }
    }

    fn left_behind(&mut self) {
        self.counters.left_behind += 1;
    }

    fn admitted(&mut self) {
        self.counters.joined += 1;
    }
}
