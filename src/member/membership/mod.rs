//! Station 6, above the protocol stack: a stack for each view, and a view change between two views.
//!
//! While a view lasts, packets pass through to its stack (`traffic`), and only heartbeats are added. When a member is
//! lost or leaves, the survivors elect a leader (`leader`), stop and exchange the packets of the view (`change`, with
//! [`super::flush`]), close its stack and begin a fresh one (`install`), in which all numbers begin again. The numbers
//! of deliveries continue.

mod admission;
mod change;
mod exclusion;
mod fence;
mod install;
mod leader;
mod receive;
mod traffic;
mod validation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::app::App;
use super::arrivals::Arrivals;
use super::detector::{Detector, DetectorConfig, Finding};
use super::directs::Directs;
use super::early::EarlyPackets;
use super::election::Election;
use super::flush::Flush;
use super::log::Log;
use super::offsets::Offsets;
use super::seats::Seats;
use super::stable::Unstable;
use super::stack::{self, ProtocolStack, StackConfig};
use super::tally::Tally;
use super::view_message::{Admission, Ballot, Proposal, ViewMessage};
use crate::defect::Defects;
use crate::engine::{DropReason, Effects, Engine, Input, sooner};
use crate::ids::{MemberId, Time, To, View};
use crate::order::Order;
use crate::waiting::{Clock, Waiting};
use crate::wire::control::Seat;
use crate::wire::{Packet, Window};

/// Shortest time between two reports of a view to the same process.
pub const TELL_AGAIN: Duration = Duration::from_millis(100);
type Out = Effects<App, Packet>;

/// The membership policy of a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MembershipConfig {
    /// The timeouts of the failure detector; without them, no member is ever lost.
    pub detector: Option<DetectorConfig>,
    /// Whether a view needs more than half of the members of the one before.
    pub majority: bool,
    /// Whether this member delivers only what every member of the view has.
    pub safe: bool,
}

/// The phase in which a member is.
#[derive(Debug)]
enum Phase {
    /// Packets pass between the stack and the other members.
    Normal,
    /// The view changes: the stack has stopped, and nothing is sent or delivered until the next view is installed.
    Changing(Box<ViewChange>),
    /// This member is not in the group any more. True if submissions were still waiting.
    Out { has_unsent: bool },
}

/// The state of a member while the view changes.
#[derive(Debug)]
struct ViewChange {
    flush: Flush,
    /// Submissions since the stack has stopped.
    submissions: VecDeque<(To, App)>,
    /// Members that this leader has given up because they do not answer.
    unresponsive: BTreeSet<MemberId>,
}

/// One member's membership, and the protocol stack of the current view.
pub struct Membership {
    order: &'static Order,
    me: MemberId,
    run: u64,
    seed: u64,
    window: Window,
    defects: Defects,
    config: MembershipConfig,
    phase: Phase,
    /// Whether this member has asked to be left out of the next view.
    is_leaving: bool,

    // The current view.
    view: View,
    /// Its ballot and its proposal; nothing in the first view, and a newcomer does not know the proposal.
    installed: Option<(Ballot, Option<Proposal>)>,
    stack: ProtocolStack,
    log: Log,
    /// With [`MembershipConfig::safe`]: the deliveries that are not stable.
    unstable: Unstable,
    detector: Detector,
    election: Election,
    /// Packets of the next view.
    early: EarlyPackets,
    /// The members to be excluded, and those that were left out of the view: the accuser of each, and for how many
    /// milliseconds it has received nothing.
    accusations: BTreeMap<MemberId, (MemberId, u64)>,

    // The run.
    offsets: Offsets,
    directs: Directs,
    finished: Option<Tally>,
    /// All members that ever were in the run, as far as is known.
    seats: Seats,
    /// The seats that the forwarders have given, as far as they were reported here.
    given: Seats,
    arrivals: Arrivals,
    /// The last time at which each process was told of the view.
    told: BTreeMap<MemberId, Time>,

    /// Reused between calls, empty outside of them.
    effects: Out,
}

impl Membership {
    /// Returns the membership of `config.me` in the first view of a run.
    #[must_use]
    pub fn new(order: &'static Order, stack_config: StackConfig<'_>, config: MembershipConfig) -> Self {
        let StackConfig { me, view, run, seed, window, defects } = stack_config;
        let members = view.members();
        Self {
            order,
            me,
            run,
            seed,
            window,
            defects,
            config,
            phase: Phase::Normal,
            is_leaving: false,
            view: view.clone(),
            installed: None,
            stack: stack::build(order, stack_config),
            log: Log::new(&members),
            unstable: Unstable::default(),
            detector: Detector::new(config.detector, others(&members, me), Time::ZERO),
            election: Election::new(me),
            early: EarlyPackets::default(),
            accusations: BTreeMap::new(),
            offsets: Offsets::default(),
            directs: Directs::default(),
            finished: None,
            seats: Seats::default(),
            given: Seats::default(),
            arrivals: Arrivals::default(),
            told: BTreeMap::new(),
            effects: Effects::default(),
        }
    }

    /// Returns the membership of a newcomer that was admitted to a view.
    #[must_use]
    pub fn admitted(
        order: &'static Order,
        stack_config: StackConfig<'_>,
        config: MembershipConfig,
        admission: &Admission,
    ) -> Self {
        let Admission { ballot, before, numbers, seats, .. } = admission;
        let mut membership = Self::new(order, stack_config, config).with_seats(seats);
        membership.offsets = Offsets::after(before, *numbers);
        membership.installed = Some((*ballot, None));
        membership
    }

    /// Adds the seats of the run. Without them, a newcomer that supersedes a member is not recognized.
    #[must_use]
    pub fn with_seats(mut self, seats: &[Seat]) -> Self {
        self.seats.learn(seats);
        self
    }

    /// Begins behind this global number: a log has the messages up to it.
    #[must_use]
    pub fn behind(mut self, number: u64) -> Self {
        self.offsets = Offsets::after(&[], number);
        self
    }

    /// Records seats that a forwarder has given.
    pub fn seated(&mut self, seats: &[Seat]) {
        self.given.learn(seats);
    }

    /// Returns the current view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Returns the members for which the view change waits, if this member leads it.
    #[must_use]
    pub fn waits_for(&self) -> Vec<MemberId> {
        self.flush().map(Flush::waits_for).unwrap_or_default()
    }

    /// Returns whether this member is not in the group any more.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        matches!(self.phase, Phase::Out { .. })
    }

    /// Returns whether the view is being changed: nothing is sent or delivered until the next one is installed.
    #[must_use]
    pub const fn is_changing(&self) -> bool {
        matches!(self.phase, Phase::Changing(_))
    }

    const fn is_normal(&self) -> bool {
        matches!(self.phase, Phase::Normal)
    }

    fn flush(&self) -> Option<&Flush> {
        match &self.phase {
            Phase::Changing(change) => Some(&change.flush),
            Phase::Normal | Phase::Out { .. } => None,
        }
    }

    /// Returns how many members are present, and of how many, if they are no majority.
    #[must_use]
    pub fn lacks_majority(&self) -> Option<(usize, usize)> {
        let (here, all) = (self.present().count(), self.view.members().len());
        (self.config.majority && 2 * here <= all).then_some((here, all))
    }

    /// Returns how many messages of each client were delivered before the current view.
    pub fn delivered_before(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.offsets.before()
    }

    /// Returns the highest global number that was given before the current view.
    #[must_use]
    pub const fn numbers_before(&self) -> u64 {
        self.offsets.numbers_before()
    }

    /// Returns how many batches are held back, by the order or until they are stable.
    #[must_use]
    pub fn held(&self) -> usize {
        self.stack.held() + self.unstable.len()
    }

    /// Returns whether all others have delivered everything that was submitted here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let is_sent = matches!(self.phase, Phase::Normal | Phase::Out { has_unsent: false });
        is_sent && self.directs.is_settled() && self.stack.is_settled()
    }

    /// Returns the lowest global number that a later delivery can have, in an order that has a sequencer.
    #[must_use]
    pub fn next_number(&self) -> Option<u64> {
        self.unstable.first_number().or_else(|| self.offsets.number(self.stack.next_number()))
    }

    /// Returns the messages that are held back, each with the reason, numbered as in the whole run.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        self.stack.waiting().into_iter().map(|waiting| self.offsets.absolute_waiting(waiting)).collect()
    }

    /// Returns the one member that is behind all others, and its cumulative acknowledgement.
    #[must_use]
    pub fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        if self.is_changing() { None } else { self.stack.slowest_receiver() }
    }

    /// Returns the logical clock, in an order that has one.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.stack.clock()
    }

    /// Leaves the group: nothing more is submitted.
    pub fn leave(&mut self, out: &mut Out) {
        self.is_leaving = true;
        if let Phase::Changing(change) = &mut self.phase {
            change.flush.resign();
        }
        self.send(&ViewMessage::Leave, out);
    }

    /// Restarts all suspicion timeouts: this process did not receive packets.
    pub fn restart_timeouts(&mut self, now: Time) {
        self.detector.restart_timeouts(now);
    }

    /// Returns the run and the view, as in a header.
    const fn epoch(&self) -> (u64, u16) {
        (self.run, self.view.number as u16)
    }

    /// Returns whether this is another member of the current view.
    fn is_member(&self, member: MemberId) -> bool {
        self.detector.knows(member)
    }

    fn send(&self, message: &ViewMessage, out: &mut Out) {
        out.send(To::Group, message.encode(self.epoch(), self.me));
    }

    /// Multicasts these messages. Any of them is also a sign of life.
    fn send_all(&mut self, now: Time, messages: &[ViewMessage], out: &mut Out) {
        for message in messages {
            self.send(message, out);
        }
        if !messages.is_empty() {
            self.note_multicast(now);
        }
    }

    /// Takes all steps that are due.
    fn wake(&mut self, now: Time, out: &mut Out) {
        if self.is_out() {
            return;
        }
        if self.is_normal() && self.unstable.take_due_request(now) {
            self.stack.request_acknowledgements(now);
        }
        self.wake_stack(now, out);
        let mut messages = Vec::new();
        for finding in self.detector.check(now) {
            match finding {
                Finding::Heartbeat => {
                    self.detector.note_multicast(now);
                    messages.push(if self.is_leaving { ViewMessage::Leave } else { self.sign_of_life() });
                }
                Finding::Silent(member) => messages.push(ViewMessage::Verify(member)),
                Finding::Lost(member) => self.report_suspicion(now, member, out),
            }
        }
        self.send_all(now, &messages, out);
        self.check_election(now, out);
        self.check_need_for_change(now, out);
        self.repeat_change_messages(now, out);
        // A new stack may have a deadline that is due already.
        self.wake_stack(now, out);
        if self.is_normal() && self.unstable.take_acknowledgement() {
            // The others wait until it is stable, as this member does.
            self.drive(now, out, |stack, effects| stack.acknowledge(effects));
        }
    }

    /// Delivers what has become stable.
    fn deliver_stable(&mut self, now: Time, out: &mut Out) {
        if self.unstable.is_empty() || self.is_out() {
            return;
        }
        // An own packet that is due and not built yet is one that the deliveries follow from.
        let owes = self.stack.next_deadline().is_some_and(|due| due <= now);
        if self.unstable.has_fresh() && !owes {
            let mut came = self.log.highest_received();
            let own = came.iter_mut().filter(|(sender, _)| *sender == self.me);
            own.for_each(|(_, number)| *number += self.stack.unsent());
            self.unstable.follow_from(came);
        }
        let known = |sender| self.log.acknowledged_by(others(&self.view.clients, self.me), sender);
        for (from, number, app) in self.unstable.take_stable(now, known) {
            out.deliver(from, number, app);
        }
    }
}

fn others(members: &[MemberId], me: MemberId) -> impl Iterator<Item = MemberId> + '_ {
    members.iter().copied().filter(move |&member| member != me)
}

impl Engine for Membership {
    type App = App;
    type Wire = Packet;

    fn handle(&mut self, now: Time, input: Input<App, Packet>, out: &mut Out) {
        match input {
            Input::Submit { to, app } => self.submit(now, to, app, out),
            Input::Receive { from, message } if message.header.sender == from => {
                self.receive(now, message, out);
            }
            Input::Receive { from, .. } => out.drop(from, DropReason::Malformed),
            Input::Wake => self.wake(now, out),
        }
        self.deliver_stable(now, out);
    }

    fn next_deadline(&self) -> Option<Time> {
        let change = match &self.phase {
            Phase::Out { .. } => return None,
            Phase::Normal => sooner(self.stack.next_deadline(), self.unstable.next_deadline()),
            Phase::Changing(change) => Some(change.flush.next_deadline()),
        };
        sooner(sooner(self.detector.next_deadline(), self.election.next_deadline()), change)
    }

    fn window(&self, to: To) -> usize {
        match to {
            _ if self.is_leaving || !self.is_normal() => 0,
            // The message is undeliverable at once, so no window applies.
            To::Member(receiver) if !self.view.clients.contains(&receiver) => usize::MAX,
            to => self.stack.window(to),
        }
    }
}
