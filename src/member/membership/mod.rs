//! Station 6, above the protocol stack: a stack for each view, and a flush between two views.
//!
//! While a view lasts, packets pass through to its stack, and only heartbeats are added. When a member is lost or
//! leaves, the survivors elect a leader ([`super::election`]), exchange the packets of the view ([`super::flush`]),
//! close its stack and begin a fresh one, in which all numbers begin again. The numbers of deliveries continue.

pub mod arrivals;
mod belief;
mod change;
mod directs;
mod exclusion;
mod fence;
mod hear;
mod sent;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::detector::{Detector, Finding, Patience};
use super::election::Election;
use super::flush::Flush;
use super::log::Log;
use super::seats::Seats;
use super::stable::Unstable;
use super::stack::{self, ProtocolStack, StackConfig};
use super::word::{Ballot, Proposal, Word};
use super::{App, Tally, Undelivered};
use crate::defect::Defects;
use crate::engine::{DropReason, Effect, Effects, Engine, Input, MemberId, Time, To, View, sooner};
use crate::order::Order;
use crate::waiting::{Clock, Messages, Waiting, WaitsFor};
use crate::wire::{Batch, Frames, Window};
use arrivals::Arrivals;
use directs::Directs;
use exclusion::Reproaches;

/// Most packets of the next view that are kept until it is installed here.
pub const MAX_EARLY: usize = 4096;
/// Most bytes of body of the packets that are kept for the next view.
pub const MAX_EARLY_BYTES: usize = 64 << 20;
/// Shortest time between two reports of a view to the same process.
pub const TELL_AGAIN: Duration = Duration::from_millis(100);
type Out = Effects<App, Frames>;

/// The membership policy of a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Keeping {
    /// The timeouts of the failure detector; without them, no member is ever lost.
    pub patience: Option<Patience>,
    /// Whether a view needs more than half of the members of the one before.
    pub majority: bool,
    /// Whether this member delivers only what every member of the view has.
    pub safe: bool,
}

/// One member's membership, and the protocol stack of the current view.
pub struct Membership {
    order: &'static Order,
    me: MemberId,
    run: u64,
    seed: u64,
    window: Window,
    defects: Defects,
    keeping: Keeping,
    view: View,
    line: ProtocolStack,
    log: Log,
    /// With [`Keeping::safe`]: the deliveries that are not stable.
    unstable: Unstable,
    /// For each client: the number of its messages delivered before this view, and in it.
    before: BTreeMap<MemberId, u64>,
    within: BTreeMap<MemberId, u64>,
    /// The count of global numbers used before this view, and in it.
    numbers: (u64, u64),
    direct: Directs,
    detector: Detector,
    election: Election,
    flush: Option<Flush>,
    /// The ballot and the proposal of this view; a newcomer does not know the proposal.
    installed: Option<(Ballot, Option<Proposal>)>,
    /// All members that ever were in the run, as far as is known.
    seats: Seats,
    /// The seats that the forwarders have given, as far as they were reported here.
    given: Seats,
    arrivals: Arrivals,
    /// Submissions during a flush.
    pending: VecDeque<(To, App)>,
    finished: Option<Tally>,
    /// Packets of the next view.
    early: VecDeque<(MemberId, Frames)>,
    early_bytes: usize,
    told: BTreeMap<MemberId, Time>,
    reproaches: Reproaches,
    leaves: bool,
    is_out: bool,
    /// Reused between calls, empty outside of them.
    effects: Out,
}

impl Membership {
    /// Returns the membership of `place.me` in the first view of a run.
    #[must_use]
    pub fn new(order: &'static Order, place: StackConfig<'_>, keeping: Keeping) -> Self {
        let StackConfig { me, view, run, seed, window, defects } = place;
        let members = view.members();
        Self {
            order,
            me,
            run,
            seed,
            window,
            defects,
            keeping,
            line: stack::build(order, place),
            log: Log::new(&members),
            unstable: Unstable::default(),
            before: BTreeMap::new(),
            within: BTreeMap::new(),
            numbers: (0, 0),
            direct: Directs::default(),
            detector: Detector::new(keeping.patience, others(&members, me), Time::ZERO),
            election: Election::new(me),
            flush: None,
            installed: None,
            seats: Seats::default(),
            given: Seats::default(),
            arrivals: Arrivals::default(),
            pending: VecDeque::new(),
            finished: None,
            early: VecDeque::new(),
            early_bytes: 0,
            told: BTreeMap::new(),
            reproaches: Reproaches::default(),
            leaves: false,
            is_out: false,
            view: view.clone(),
            effects: Effects::default(),
        }
    }

    /// Returns the current view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Returns the members for which the view change waits, if this member leads it.
    #[must_use]
    pub fn waits_for(&self) -> Vec<MemberId> {
        self.flush.as_ref().map(Flush::waits_for).unwrap_or_default()
    }

    /// Returns whether this member is not in the group any more.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.is_out
    }

    /// Returns whether the view is being changed: nothing is sent or delivered until the next one is installed.
    #[must_use]
    pub const fn is_changing(&self) -> bool {
        self.flush.is_some()
    }

    /// Returns how many members are present, and of how many, if they are no majority.
    #[must_use]
    pub fn lacks_majority(&self) -> Option<(usize, usize)> {
        let (here, all) = (self.present().count(), self.view.members().len());
        (self.keeping.majority && 2 * here <= all).then_some((here, all))
    }

    /// Leaves the group: nothing more is submitted.
    pub fn leave(&mut self, out: &mut Out) {
        self.leaves = true;
        if let Some(flush) = &mut self.flush {
            flush.resign();
        }
        self.say(&Word::Leave, out);
    }

    /// Restarts all suspicion timeouts: this process did not listen.
    pub fn pardon(&mut self, now: Time) {
        self.detector.pardon(now);
    }

    fn place(&self) -> (u64, u16) {
        (self.run, self.view.number as u16)
    }

    fn say(&self, word: &Word, out: &mut Out) {
        out.send(To::Group, word.encode(self.place(), self.me));
    }

    /// Multicasts these messages. Any of them is also a sign of life.
    fn say_all(&mut self, now: Time, words: &[Word], out: &mut Out) {
        for word in words {
            self.say(word, out);
        }
        if !words.is_empty() {
            self.said(now);
        }
    }

    // The protocol stack: its input and its effects.

    /// Gives the stack an input and performs its effects.
    fn step(&mut self, now: Time, input: Input<App, Frames>, out: &mut Out) {
        let mut effects = std::mem::take(&mut self.effects);
        self.line.handle(now, input, &mut effects);
        self.perform(now, &mut effects, true, out);
        self.effects = effects;
    }

    fn perform(&mut self, now: Time, effects: &mut Out, is_open: bool, out: &mut Out) {
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } if is_open => {
                    self.note_sent(now, to, &message);
                    out.send(to, message);
                }
                Effect::Deliver { from, number, app } => self.deliver(from, number, app, out),
                Effect::Drop { from, reason } if is_open => out.drop(from, reason),
                // A closed stack sends nothing, and packets that it gets again are no faults.
                Effect::Send { .. } | Effect::Drop { .. } => {}
            }
        }
    }

    /// Delivers with the numbers of the whole run.
    fn deliver(&mut self, from: MemberId, number: Option<u64>, app: App, out: &mut Out) {
        match app {
            App::Multicast(batch) => {
                let count = u64::from(batch.count());
                *self.within.entry(from).or_default() += count;
                if number.is_some() {
                    self.numbers.1 += count;
                }
                let batch = self.absolute(from, batch);
                let number = number.map(|number| number + self.numbers.0);
                if self.keeping.safe {
                    self.unstable.hold((from, number, App::Multicast(batch)));
                } else {
                    out.deliver(from, number, App::Multicast(batch));
                }
            }
            App::Direct(batch) => {
                let queue = self.direct.incoming.entry(from).or_default();
                if !queue.insert(batch) {
                    return out.drop(from, DropReason::Duplicate);
                }
                while let Some(batch) = queue.pop() {
                    out.deliver(from, None, App::Direct(batch));
                }
            }
            app => out.deliver(from, number, app),
        }
    }

    fn before(&self, member: MemberId) -> u64 {
        self.before.get(&member).copied().unwrap_or(0)
    }

    /// Returns a batch of the stack with the message numbers of the whole run.
    fn absolute(&self, from: MemberId, batch: Batch) -> Batch {
        match self.before(from) {
            0 => batch,
            before => {
                let first = batch.first() + before;
                batch.numbered_from(first)
            }
        }
    }

    /// Returns a wait in the stack with the numbers of the whole run.
    fn absolute_waiting(&self, waiting: Waiting) -> Waiting {
        let here = |Messages { sender, first, next }: Messages| {
            let before = self.before(sender);
            Messages { sender, first: first + before, next: next + before }
        };
        let waits_for = match waiting.waits_for {
            WaitsFor::Earlier(messages) => WaitsFor::Earlier(here(messages)),
            WaitsFor::Causes(causes) => WaitsFor::Causes(causes.into_iter().map(here).collect()),
            WaitsFor::Place(number, messages) => WaitsFor::Place(number + self.numbers.0, messages.map(here)),
            WaitsFor::Turn(messages) => WaitsFor::Turn(here(messages)),
            other => other,
        };
        let number = waiting.number.map(|number| number + self.numbers.0);
        Waiting { messages: here(waiting.messages), number, waits_for }
    }

    fn submit(&mut self, now: Time, to: To, app: App, out: &mut Out) {
        if self.is_out || self.leaves {
            return;
        }
        if self.flush.is_some() {
            return self.pending.push_back((to, app));
        }
        let app = match app {
            App::Multicast(batch) => {
                let first = batch.first().saturating_sub(self.before(self.me)).max(1);
                App::Multicast(batch.numbered_from(first))
            }
            App::Direct(batch) => {
                let To::Member(receiver) = to else { return };
                if !self.view.clients.contains(&receiver) {
                    return self.undeliverable(receiver, batch, Undelivered::NotSent, out);
                }
                self.direct.unsent.entry(receiver).or_default().push_back(batch.clone());
                App::Direct(batch)
            }
            App::Finished(tally) => {
                self.finished = Some(tally.clone());
                App::Finished(tally)
            }
            // Only for a present receiver: a newcomer asks again after a view change.
            App::Replay(replay) => {
                let is_there = matches!(to, To::Member(receiver) if self.view.clients.contains(&receiver));
                if !is_there {
                    return;
                }
                App::Replay(replay)
            }
            App::View(..) | App::Fenced(_) | App::Notice(_) | App::Undeliverable(..) => return,
        };
        self.step(now, Input::Submit { to, app }, out);
    }

    // Time.

    fn wake(&mut self, now: Time, out: &mut Out) {
        if self.is_out {
            return;
        }
        if self.flush.is_none() && self.unstable.asks(now) {
            self.line.request_acknowledgements(now);
        }
        if self.flush.is_none() && self.line.next_deadline().is_some_and(|due| due <= now) {
            self.step(now, Input::Wake, out);
        }
        let mut words = Vec::new();
        for finding in self.detector.look(now) {
            if finding == Finding::Heartbeat {
                self.detector.said(now);
            }
            match finding {
                Finding::Heartbeat if self.leaves => words.push(Word::Leave),
                Finding::Heartbeat => words.push(self.sign_of_life()),
                Finding::Silent(member) => words.push(Word::Verify(member)),
                Finding::Lost(member) => self.suspected(now, member, out),
            }
        }
        self.say_all(now, &words, out);
        self.look_after_election(now, out);
        self.look_after_change(now, out);
        let mut words = Vec::new();
        if let Some(flush) = &mut self.flush {
            flush.repeat(now, &self.log, &mut words);
        }
        self.say_all(now, &words, out);
        // A new stack may have a deadline that is due already.
        if self.flush.is_none() && self.line.next_deadline().is_some_and(|due| due <= now) {
            self.step(now, Input::Wake, out);
        }
    }
}

impl Membership {
    /// Returns how many batches are held back, by the order or until they are stable.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.held() + self.unstable.len()
    }

    /// Returns whether all others have delivered everything that was submitted here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_changing() && self.pending.is_empty() && self.direct.is_settled() && self.line.is_settled()
    }

    /// Returns the messages that are held back, each with the reason, numbered as in the whole run.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        self.line.waiting().into_iter().map(|waiting| self.absolute_waiting(waiting)).collect()
    }

    /// Returns the one member that is behind all others, and its cumulative acknowledgement.
    #[must_use]
    pub fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        if self.is_changing() { None } else { self.line.slowest_receiver() }
    }

    /// Returns the logical clock, in an order that has one.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.line.clock()
    }
}

fn others(members: &[MemberId], me: MemberId) -> impl Iterator<Item = MemberId> + '_ {
    members.iter().copied().filter(move |&member| member != me)
}

impl Engine for Membership {
    type App = App;
    type Wire = Frames;

    fn handle(&mut self, now: Time, input: Input<App, Frames>, out: &mut Out) {
        match input {
            Input::Submit { to, app } => self.submit(now, to, app, out),
            Input::Receive { from, message } => self.receive(now, from, message, out),
            Input::Wake => self.wake(now, out),
        }
        if self.keeping.safe && !self.is_out {
            let owes = self.line.next_deadline().is_some_and(|due| due <= now);
            let stable = self.unstable.look(now, self.me, &self.log, self.line.unsent(), owes);
            stable.into_iter().for_each(|(from, number, app)| out.deliver(from, number, app));
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        if self.is_out {
            return None;
        }
        let own = sooner(self.detector.next_deadline(), self.election.next_deadline());
        let change = match &self.flush {
            None => sooner(self.line.next_deadline(), self.unstable.next_deadline()),
            Some(flush) => Some(flush.next_deadline()),
        };
        sooner(own, change)
    }

    fn window(&self, to: To) -> usize {
        match to {
            _ if self.is_out || self.leaves || self.flush.is_some() => 0,
            // The message is undeliverable at once, so no window applies.
            To::Member(receiver) if !self.view.clients.contains(&receiver) => usize::MAX,
            to => self.line.window(to),
        }
    }
}
