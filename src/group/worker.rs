//! The worker of a member: it takes part in the run for the application, which may be busy with something else.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::builder::{Builder, Start};
use super::error::Error;
use super::event::{Delivery, Direct, Event, Undeliverable, View};
use super::shared::{Incoming, Outgoing, Phase, Shared, Shutdown};
use super::state::{CaughtUp, Giving, Newcomer};
use crate::driver::node::{Delivery as Delivered, Joining};
use crate::driver::slow_member::{SlowMember, SlowestReceiver};
use crate::driver::{Node, Participant, words};
use crate::engine::{self, MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::replay::{Missed, Origin, Replay};
use crate::member::{App, Fence, Finish, Tally};
use crate::talk::Talk;
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::Context;
use crate::wire::control::{Role, Seat};
use crate::wire::{Batch, BatchBuilder};

/// Most batches submitted before incoming packets get their turn.
const BATCHES_PER_TURN: usize = 8;

/// Takes part to the end, and leaves the outcome in the queues.
pub(super) fn run(builder: &Builder, joining: &Joining, shared: &Arc<Shared>, wakeup: Wakeup) {
    let outcome = catch_unwind(AssertUnwindSafe(|| take_part(builder, joining, shared, wakeup)));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::Bug("the thread of the member panicked".to_owned())));
    shared.change(|queues| queues.phase = Phase::Over(outcome));
}

fn take_part(
    builder: &Builder,
    joining: &Joining,
    shared: &Arc<Shared>,
    wakeup: Wakeup,
) -> Result<(), Error> {
    let (context, talk) = (Context::default(), builder.talk());
    let joined = Node::join(&context, joining, None, &talk);
    let mut node = joined.map_err(Error::of_joining)?;
    node.wake_by(wakeup);
    let mut worker = Worker::new(builder, shared, &node, talk);
    worker.begin(&node);
    let outcome = turn_until_over(&mut worker, &mut node);
    match &outcome {
        Ok(()) if node.departs() => node.leave(&Failure::new(Exit::Ok, "it has left the group")),
        Ok(()) => {}
        Err(error) => node.leave(&Failure::new(Exit::Unavailable, error.to_string())),
    }
    outcome
}

fn turn_until_over(worker: &mut Worker, node: &mut Node) -> Result<(), Error> {
    while !node.is_over() {
        let next = worker.attend(node)?;
        let turned = node.turn(next);
        // After a failure, too: earlier deliveries belong to the application.
        let delivered = node.delivered();
        worker.deliver(node, delivered)?;
        turned.map_err(|failure| failed(node, failure))?;
    }
    Ok(())
}

/// Returns the reason why a node ended before the end.
fn failed(node: &Node, failure: Failure) -> Error {
    match node.fenced() {
        Some(why) => fenced(why, failure),
        // The others ended the run without this member.
        None if node.is_over() => Error::LeftBehind(failure.message),
        None => Error::of_member(failure),
    }
}

/// Returns the error of a member that is not in its group any more.
pub(super) fn fenced(why: Fence, failure: Failure) -> Error {
    match why {
        Fence::NoSequencer(_) => Error::Lost(failure.message),
        _ => Error::LeftBehind(failure.message),
    }
}

/// The part of a member between its queues and the [`Participant`].
pub(super) struct Worker {
    shared: Arc<Shared>,
    talk: Talk,
    me: MemberId,
    /// Most messages of one batch.
    most: u64,
    gives_state: bool,
    slow_member: SlowMember,
    slowest: SlowestReceiver,
    tally: Tally,
    finish: Finish,
    /// The clients of the last view that was reported.
    members: Vec<MemberId>,
    /// The newest client of each name.
    known: BTreeMap<String, MemberId>,
    has_finished: bool,
    is_done: bool,
    /// Events wait that the application must receive first.
    is_full: bool,
    newcomer: Option<Newcomer>,
    /// The first view of a newcomer that has not caught up.
    first_view: Option<View>,
    giving: Giving,
}

impl Worker {
    pub(super) fn new(builder: &Builder, shared: &Arc<Shared>, node: &dyn Participant, talk: Talk) -> Self {
        let mut finish = Finish::new(node.me(), node.view());
        for (client, count) in node.delivered_before() {
            finish.came_after(client, count);
        }
        // A group that starts has no past.
        let missed = match builder.start {
            _ if node.view().number == 1 => None,
            Start::WithState => Some(Missed::State),
            Start::FromStart => Some(Missed::Deliveries),
            Start::Together | Start::FromNow => None,
        };
        Self {
            shared: Arc::clone(shared),
            talk,
            me: node.me(),
            most: builder.window.messages,
            gives_state: builder.gives_state,
            slow_member: builder.slow_member,
            slowest: SlowestReceiver::default(),
            tally: Tally::default(),
            finish,
            members: node.view().clients.clone(),
            known: BTreeMap::new(),
            has_finished: false,
            is_done: false,
            is_full: false,
            newcomer: missed.map(|missed| Newcomer::new(missed, node.view().number)),
            first_view: None,
            giving: Giving::default(),
        }
    }

    /// Reports the first view.
    pub(super) fn begin(&mut self, node: &dyn Participant) {
        self.meet(node, node.view());
        let view = named(node, node.view(), &[], &[]);
        self.shared.change(|queues| {
            queues.newest = Some(view.clone());
            if self.newcomer.is_some() {
                self.first_view = Some(view);
            } else {
                queues.put_event(Event::View(view));
            }
            queues.phase = Phase::Running;
        });
    }

    /// Does what the application wants. Returns the time at which to continue without input.
    ///
    /// # Errors
    /// The reason to end: the application has dropped the group, or no member lets a newcomer catch up.
    pub(super) fn attend(&mut self, node: &mut dyn Participant) -> Result<Option<Time>, Error> {
        let now = node.now();
        let shutdown = {
            let mut queues = self.shared.look();
            for (view, state) in queues.states.drain(..) {
                self.giving.given(now, view, state);
            }
            self.is_full = queues.is_full();
            queues.shutdown
        };
        // A newcomer receives its state, however many events wait.
        let gets_state = self.newcomer.as_ref().is_some_and(|newcomer| newcomer.missed == Missed::State);
        let listens = !self.is_full || gets_state;
        node.listen(listens);
        match shutdown {
            Shutdown::Abandon => return Err(Error::Ended),
            Shutdown::Leave => self.newcomer = None,
            Shutdown::None | Shutdown::Finish => {}
        }
        if let Some(newcomer) = &mut self.newcomer {
            if !listens {
                newcomer.catch_up.postpone(now);
            }
            newcomer.catch_up.look(node).map_err(Error::of_newcomer)?;
            return Ok(None);
        }
        self.look_for_slow_member(node, now);
        let gives_more = self.giving.give(node);
        let sends_more = self.send_queued(node);
        let is_empty = self.shared.look().outgoing().is_none();
        match shutdown {
            Shutdown::Finish if is_empty => self.announce_finish(node),
            Shutdown::Leave if is_empty => self.depart(node),
            _ => {}
        }
        self.report_done(node);
        Ok((gives_more || sends_more).then_some(now))
    }

    /// Excludes the slowest receiver after the limit for slow members.
    fn look_for_slow_member(&mut self, node: &mut dyn Participant, now: Time) {
        if self.slow_member != SlowMember::Block
            && let Some(slow) = self.slowest.find(node, now, self.is_full)
        {
            self.slowest.exclude(node, self.slow_member, slow);
        }
    }

    /// Submits queued messages as far as the windows allow. Returns whether more can be submitted now.
    fn send_queued(&mut self, node: &mut dyn Participant) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let to = {
                let mut queues = self.shared.look();
                match queues.outgoing() {
                    None => return false,
                    Some(Outgoing::Multicast(_)) => To::Group,
                    Some(Outgoing::Direct(id, _)) => match self.known.get(id) {
                        Some(&member) => To::Member(member),
                        // `Sender::send` accepts the ids of members only.
                        None => {
                            queues.take_outgoing();
                            continue;
                        }
                    },
                }
            };
            if node.window(to) == 0 {
                return false;
            }
            self.send_batch(node, to);
        }
        true
    }

    /// Submits the next messages to `to`, as many as one batch holds.
    fn send_batch(&mut self, node: &mut dyn Participant, to: To) {
        let count = match to {
            To::Group => &mut self.tally.multicasts,
            To::Member(member) => self.tally.sent.entry(member).or_default(),
        };
        let mut batch = BatchBuilder::new(*count + 1).at_most(self.most);
        self.shared.change(|queues| {
            while !batch.is_full() {
                let is_next = match (queues.outgoing(), to) {
                    (Some(Outgoing::Multicast(_)), To::Group) => true,
                    (Some(Outgoing::Direct(id, _)), To::Member(member)) => {
                        self.known.get(id) == Some(&member)
                    }
                    _ => false,
                };
                if !is_next {
                    break;
                }
                if let Some(Outgoing::Multicast(payload) | Outgoing::Direct(_, payload)) =
                    queues.take_outgoing()
                {
                    *count = batch.push(&payload);
                }
            }
        });
        if let Some(batch) = batch.finish() {
            node.submit(to, if to == To::Group { App::Multicast(batch) } else { App::Direct(batch) });
        }
    }

    fn announce_finish(&mut self, node: &mut dyn Participant) {
        if !self.has_finished {
            self.has_finished = true;
            self.finish.finished(self.me, self.tally.clone());
            node.submit(To::Group, App::Finished(self.tally.clone()));
        }
    }

    /// Leaves the group when all members have the messages of this one. The last member finishes instead.
    fn depart(&mut self, node: &mut dyn Participant) {
        if node.departs() {
            return;
        }
        if node.view().clients.len() == 1 {
            return self.announce_finish(node);
        }
        if self.finish.multicasts_of(self.me) >= self.tally.multicasts && node.is_settled() {
            node.depart();
        }
    }

    /// Reports once in each view that everything has been delivered.
    fn report_done(&mut self, node: &mut dyn Participant) {
        if self.has_finished && !self.is_done && self.finish.is_complete() {
            self.is_done = true;
            node.done();
        }
    }

    /// Queues deliveries for the application.
    ///
    /// # Errors
    /// A newcomer cannot catch up.
    pub(super) fn deliver(
        &mut self,
        node: &mut dyn Participant,
        delivered: Vec<Delivered>,
    ) -> Result<(), Error> {
        delivered.into_iter().try_for_each(|delivered| self.deliver_one(node, delivered))?;
        self.report_done(node);
        Ok(())
    }

    fn deliver_one(&mut self, node: &mut dyn Participant, delivered: Delivered) -> Result<(), Error> {
        let app = match delivered.app {
            App::Replay(Replay::Ask { what, view, have }) => {
                if what == Missed::State && self.gives_state && self.newcomer.is_none() {
                    self.giving.asked(delivered.from, view, have);
                } else {
                    node.submit(To::Member(delivered.from), App::Replay(Replay::Cannot));
                }
                return Ok(());
            }
            App::Replay(replay) => return self.take_past(node, delivered.from, replay),
            app => app,
        };
        let delivered = Delivered { app, ..delivered };
        match &mut self.newcomer {
            Some(newcomer) => newcomer.catch_up.hold(delivered).map_err(Error::of_newcomer),
            None => {
                self.take(node, delivered);
                Ok(())
            }
        }
    }

    fn take_past(&mut self, node: &mut dyn Participant, from: MemberId, replay: Replay) -> Result<(), Error> {
        let now = node.now();
        let Some(newcomer) = &mut self.newcomer else { return Ok(()) };
        for caught_up in newcomer.told(now, from, replay)? {
            match caught_up {
                CaughtUp::NotYet => {}
                CaughtUp::Deliveries(deliveries) => self.shared.change(|queues| {
                    for (Origin { sender, own_number, number }, payload) in deliveries {
                        let number = (number > 0).then_some(number);
                        let from = node.name(sender);
                        queues.put_event(Event::Delivery(Delivery { from, payload, number, own_number }));
                    }
                }),
                CaughtUp::Whole(state, held) => self.has_caught_up(node, state, held),
            }
        }
        Ok(())
    }

    fn has_caught_up(&mut self, node: &dyn Participant, state: Option<Bytes>, held: VecDeque<Delivered>) {
        self.newcomer = None;
        self.shared.change(|queues| {
            state.into_iter().for_each(|state| queues.put_event(Event::State(state)));
            self.first_view.take().into_iter().for_each(|view| queues.put_event(Event::View(view)));
        });
        held.into_iter().for_each(|delivered| self.take(node, delivered));
    }

    /// Queues a delivery for the application.
    fn take(&mut self, node: &dyn Participant, delivered: Delivered) {
        let Delivered { at_us, from, number, app } = delivered;
        match app {
            App::Multicast(batch) => {
                self.put(node, from, &batch, |place, from, payload, own_number| {
                    let number = number.map(|first| first + place);
                    Event::Delivery(Delivery { from, payload, number, own_number })
                });
                self.finish.delivered(from, u64::from(batch.count()));
            }
            App::Direct(batch) => {
                self.put(node, from, &batch, |_, from, payload, own_number| {
                    Event::Direct(Direct { from, payload, own_number })
                });
                self.finish.received(from, u64::from(batch.count()));
            }
            App::Undeliverable(batch, reason) => {
                self.put(node, from, &batch, |_, to, payload, own_number| {
                    Event::Undeliverable(Undeliverable { to, payload, own_number, reason })
                });
            }
            App::Finished(tally) => self.finish.finished(from, tally),
            App::View(view, arrivals) => {
                self.go_on_with(node, Time::from_micros(at_us), &view, &arrivals);
            }
            App::Notice(notice) => words::tell(&self.talk, node, from, notice),
            // The participant handles these.
            App::Fenced(_) | App::Replay(_) => {}
        }
    }

    /// Queues an event for each message of a batch of this peer.
    fn put(
        &self,
        node: &dyn Participant,
        peer: MemberId,
        batch: &Batch,
        event: impl Fn(u64, String, Bytes, u64) -> Event,
    ) {
        let name = node.name(peer);
        self.shared.change(|queues| {
            for (place, (own_number, payload)) in (0..).zip(batch.messages()) {
                let payload = batch.body().slice_ref(payload);
                queues.put_event(event(place, name.clone(), payload, own_number));
            }
        });
    }

    fn meet(&mut self, node: &dyn Participant, view: &engine::View) {
        self.known.extend(view.clients.iter().map(|&client| (node.name(client), client)));
    }

    /// Continues in a new view.
    fn go_on_with(&mut self, node: &dyn Participant, now: Time, view: &engine::View, arrivals: &[Seat]) {
        self.meet(node, view);
        self.finish.go_on_with(view);
        self.is_done = false;
        let named = named(node, view, &self.members, arrivals);
        self.talk.detail(format!("view {}: {:?}", named.number, named.members));
        self.members.clone_from(&view.clients);
        let newcomers: Vec<MemberId> = arrivals
            .iter()
            .filter(|seat| seat.role == Role::Client)
            .map(|seat| MemberId(seat.slot))
            .collect();
        let is_wanted = self.gives_state && !newcomers.is_empty();
        self.giving.view(now, view.number, &view.clients, if is_wanted { newcomers } else { Vec::new() });
        self.shared.change(|queues| {
            queues.put_event(Event::View(named));
            if is_wanted {
                queues.put_incoming(Incoming::StateRequest(view.number));
            }
        });
    }
}

/// Returns a view with names instead of slots; `before` are the clients of the one before, if there was one.
fn named(node: &dyn Participant, view: &engine::View, before: &[MemberId], arrivals: &[Seat]) -> View {
    let names = |members: &[MemberId]| {
        let mut names: Vec<String> = members.iter().map(|&member| node.name(member)).collect();
        names.sort_unstable();
        names
    };
    let gone: Vec<MemberId> =
        before.iter().copied().filter(|member| !view.clients.contains(member)).collect();
    let arrivals = arrivals.iter().filter(|seat| seat.role == Role::Client);
    View {
        number: view.number,
        members: names(&view.clients),
        joined: arrivals.map(|seat| seat.id.clone()).collect(),
        gone: names(&gone),
        sequencer: view.sequencer.map(|sequencer| node.name(sequencer)),
    }
}
