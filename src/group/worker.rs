//! The thread that takes part for a program: it turns its [`Node`], so that the others hear of it however long the program
//! is busy with something else.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::desk::{Desk, Job, Phase, Wish};
use super::state::{Giving, Newcomer};
use super::{Delivery, Direct, Event, Join, Start, Undeliverable, View};
use crate::driver::node::Delivery as Delivered;
use crate::driver::{Node, words};
use crate::engine::{self, MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::replay::{Missed, Replay};
use crate::member::{App, Finish, Tally};
use crate::talk::Talk;
use crate::transport::wakeup::Wakeup;
use crate::transport::zmq::Context;
use crate::wire::BatchBuilder;
use crate::wire::control::{Role, Seat};

/// Most batches submitted before incoming packets get their turn.
const BATCHES_PER_TURN: usize = 8;

/// Takes part to the end, and leaves on the desk how that was.
pub(super) fn run(join: &Join, desk: &Arc<Desk>, wakeup: Wakeup) {
    let outcome = catch_unwind(AssertUnwindSafe(|| take_part(join, desk, wakeup)));
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::new(Exit::Bug, "this is a bug in groupcast")));
    desk.look().phase = Phase::Over(outcome);
    desk.ring();
}

fn take_part(join: &Join, desk: &Arc<Desk>, wakeup: Wakeup) -> Result<(), Failure> {
    let (context, talk) = (Context::default(), join.talk());
    let mut node = Node::join(&context, &join.joining()?, None, &talk)?;
    node.wake_by(wakeup);
    let mut worker = Worker::new(join, desk, &node, talk);
    worker.begin(&node);
    let outcome = worker.run(&mut node);
    match &outcome {
        Ok(()) if node.departs() => node.leave(&Failure::new(Exit::Ok, "it has left the group")),
        Ok(()) => {}
        Err(failure) => node.leave(failure),
    }
    outcome
}

struct Worker<'a> {
    desk: &'a Desk,
    talk: Talk,
    me: MemberId,
    /// How many messages may be under way at one time.
    most: u64,
    gives_state: bool,
    tally: Tally,
    finish: Finish,
    /// The clients of the last view that was put on the desk.
    members: Vec<MemberId>,
    /// Of each name: the client of this run that has it, or was the last to have it.
    known: BTreeMap<String, MemberId>,
    has_finished: bool,
    is_done: bool,
    newcomer: Option<Newcomer>,
    /// The view in which a newcomer began, until it has its state.
    first_view: Option<View>,
    giving: Giving,
}

impl<'a> Worker<'a> {
    fn new(join: &Join, desk: &'a Desk, node: &Node, talk: Talk) -> Self {
        let mut finish = Finish::new(node.me(), node.view());
        node.delivered_before().for_each(|(client, count)| finish.came_after(client, count));
        // With the group that starts, every member begins with nothing.
        let waits = join.start == Start::WithState && node.view().number > 1;
        Self {
            desk,
            talk,
            me: node.me(),
            most: join.window.messages,
            gives_state: join.gives_state,
            tally: Tally::default(),
            finish,
            members: node.view().clients.clone(),
            known: BTreeMap::new(),
            has_finished: false,
            is_done: false,
            newcomer: waits.then(|| Newcomer::new(node.view().number)),
            first_view: None,
            giving: Giving::default(),
        }
    }

    fn begin(&mut self, node: &Node) {
        self.meet(node, node.view());
        let view = named(node, node.view(), &[], &[]);
        let mut papers = self.desk.look();
        if self.newcomer.is_some() {
            self.first_view = Some(view);
        } else {
            papers.put_event(Event::View(view));
        }
        papers.phase = Phase::Running;
        drop(papers);
        self.desk.ring();
    }

    fn run(&mut self, node: &mut Node) -> Result<(), Failure> {
        while !node.is_over() {
            let next = self.attend(node)?;
            let turned = node.turn(next);
            // Also after a failure: what was delivered before is the program's.
            for delivered in node.delivered() {
                self.deliver(node, delivered)?;
            }
            turned?;
            if self.has_finished && !self.is_done && self.finish.is_complete() {
                self.is_done = true;
                node.done();
            }
        }
        Ok(())
    }

    /// What the program wants. When to go on by itself.
    fn attend(&mut self, node: &mut Node) -> Result<Option<Time>, Failure> {
        let (wish, is_full) = {
            let mut papers = self.desk.look();
            for (view, state) in papers.states.drain(..) {
                self.giving.given(node.now(), view, state);
            }
            (papers.wish, papers.is_full())
        };
        // A newcomer must hear the pieces of its state, whatever else comes.
        node.listen(!is_full || self.newcomer.is_some());
        match wish {
            Wish::Abandon => return Err(Failure::new(Exit::Terminated, "the program dropped its `Group`")),
            Wish::Leave => self.newcomer = None,
            Wish::Stay | Wish::Finish => {}
        }
        if let Some(newcomer) = &mut self.newcomer {
            newcomer.catch_up.look(node)?;
            return Ok(None);
        }
        let tells_more = self.giving.tell(node);
        let sends_more = self.send_jobs(node);
        let is_empty = self.desk.look().job().is_none();
        match wish {
            Wish::Finish if is_empty => self.say_finished(node),
            Wish::Leave if is_empty => self.depart(node),
            _ => {}
        }
        Ok((tells_more || sends_more).then(|| node.now()))
    }

    /// Submits what lies on the desk and the windows have room for. Whether there may be more.
    fn send_jobs(&mut self, node: &mut Node) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let to = {
                let mut papers = self.desk.look();
                match papers.job() {
                    None => return false,
                    Some(Job::Multicast(_)) => To::Group,
                    Some(Job::Send(id, _)) => match self.known.get(id) {
                        Some(&member) => To::Member(member),
                        // `Group::send` takes the names of members only.
                        None => {
                            papers.take_job();
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

    /// Submits what is next, as much of it as is for `to` and goes into one batch.
    fn send_batch(&mut self, node: &mut Node, to: To) {
        let count = match to {
            To::Group => &mut self.tally.multicasts,
            To::Member(member) => self.tally.sent.entry(member).or_default(),
        };
        let mut batch = BatchBuilder::new(*count + 1).at_most(self.most);
        {
            let mut papers = self.desk.look();
            while !batch.is_full() {
                let is_next = match (papers.job(), to) {
                    (Some(Job::Multicast(_)), To::Group) => true,
                    (Some(Job::Send(id, _)), To::Member(member)) => self.known.get(id) == Some(&member),
                    _ => false,
                };
                if !is_next {
                    break;
                }
                if let Some(Job::Multicast(text) | Job::Send(_, text)) = papers.take_job() {
                    *count = batch.push(&text);
                }
            }
        }
        self.desk.ring();
        if let Some(batch) = batch.finish() {
            node.submit(to, if to == To::Group { App::Multicast(batch) } else { App::Direct(batch) });
        }
    }

    fn say_finished(&mut self, node: &mut Node) {
        if !self.has_finished {
            self.has_finished = true;
            self.finish.finished(self.me, self.tally.clone());
            node.submit(To::Group, App::Finished(self.tally.clone()));
        }
    }

    /// Leaves the group when all have what was sent here. The last one does as if it had finished.
    fn depart(&mut self, node: &mut Node) {
        if node.departs() {
            return;
        }
        if node.view().clients.len() == 1 {
            return self.say_finished(node);
        }
        if self.finish.multicasts_of(self.me) >= self.tally.multicasts && node.is_settled() {
            node.depart();
        }
    }

    fn deliver(&mut self, node: &mut Node, delivered: Delivered) -> Result<(), Failure> {
        let app = match delivered.app {
            App::Replay(Replay::Ask { what, view, have }) => {
                if what == Missed::State && self.gives_state && self.newcomer.is_none() {
                    self.giving.asked(delivered.from, view, have);
                } else {
                    node.submit(To::Member(delivered.from), App::Replay(Replay::Cannot));
                }
                return Ok(());
            }
            App::Replay(replay) => return self.take_state(node, delivered.from, replay),
            app => app,
        };
        let delivered = Delivered { app, ..delivered };
        match &mut self.newcomer {
            Some(newcomer) => newcomer.catch_up.hold(delivered),
            None => {
                self.take(node, delivered);
                Ok(())
            }
        }
    }

    fn take_state(&mut self, node: &mut Node, from: MemberId, replay: Replay) -> Result<(), Failure> {
        let now = node.now();
        let Some(newcomer) = &mut self.newcomer else { return Ok(()) };
        let Some((state, held)) = newcomer.told(now, from, replay)? else { return Ok(()) };
        self.newcomer = None;
        let mut papers = self.desk.look();
        papers.put_event(Event::State(state));
        self.first_view.take().into_iter().for_each(|view| papers.put_event(Event::View(view)));
        drop(papers);
        self.desk.ring();
        held.into_iter().for_each(|delivered| self.take(node, delivered));
        Ok(())
    }

    /// Puts what was delivered on the desk.
    fn take(&mut self, node: &Node, delivered: Delivered) {
        let Delivered { at_us, from, number, app } = delivered;
        let name = || node.who(from).map_or_else(String::new, |seat| seat.id.clone());
        let mut papers = self.desk.look();
        match app {
            App::Multicast(batch) => {
                for (place, (own_number, text)) in (0..).zip(batch.messages()) {
                    papers.put_event(Event::Delivery(Delivery {
                        from: name(),
                        text: text.to_vec(),
                        number: number.map(|first| first + place),
                        own_number,
                    }));
                }
                self.finish.delivered(from, u64::from(batch.count()));
            }
            App::Direct(batch) => {
                for (own_number, text) in batch.messages() {
                    let direct = Direct { from: name(), text: text.to_vec(), own_number };
                    papers.put_event(Event::Direct(direct));
                }
                self.finish.received(from, u64::from(batch.count()));
            }
            App::Undeliverable(batch, reason) => {
                for (own_number, text) in batch.messages() {
                    let lost = Undeliverable { to: name(), text: text.to_vec(), own_number, reason };
                    papers.put_event(Event::Undeliverable(lost));
                }
            }
            App::Finished(tally) => self.finish.finished(from, tally),
            App::View(view, arrivals) => {
                drop(papers);
                return self.go_on_with(node, Time::from_micros(at_us), &view, &arrivals);
            }
            App::Notice(notice) => words::tell(&self.talk, node, from, notice),
            // Those are for the node.
            App::Fenced(_) | App::Replay(_) => {}
        }
        drop(papers);
        self.desk.ring();
    }

    fn meet(&mut self, node: &Node, view: &engine::View) {
        self.known.extend(view.clients.iter().map(|&client| (node.seat(client).id.clone(), client)));
    }

    /// The group is another one from here on.
    fn go_on_with(&mut self, node: &Node, now: Time, view: &engine::View, arrivals: &[Seat]) {
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
        let mut papers = self.desk.look();
        papers.put_event(Event::View(named));
        if is_wanted {
            papers.put_event(Event::StateWanted);
        }
        drop(papers);
        self.desk.ring();
    }
}

/// A view as a program is told of it; `before` are the clients of the one before, if there was one here.
fn named(node: &Node, view: &engine::View, before: &[MemberId], arrivals: &[Seat]) -> View {
    let name = |member: MemberId| node.who(member).map_or_else(|| member.to_string(), |seat| seat.id.clone());
    let names = |members: &[MemberId]| {
        let mut names: Vec<String> = members.iter().copied().map(name).collect();
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
        sequencer: view.sequencer.map(name),
    }
}
