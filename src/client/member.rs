//! Station 2: a client between start and end.
//!
//! It gives its user's messages to the [`Participant`], records deliveries, and says what it waits for.

use std::borrow::Cow;
use std::time::Duration;

use super::past::History;
use super::progress::{Progress, Report};
use super::user::User;
use super::{JoinFrom, Options, describe};
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::driver::{Clock, Node, words};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::member::{App, Notice, Undelivered};
use crate::order::Order;
use crate::participant::merge::Merge;
use crate::participant::{Next, Participant, Past, Piece, Readiness, Replayed, Request, Stage, Wait};
use crate::results::{Authored, Counts, MessageId, Results, Start, undelivered};
use crate::session::SAY_EVERY;
use crate::talk::{self, Talk};
use crate::transport::stdio::Output;
use crate::units;
use crate::wire::{Author, Batch, BatchBuilder};

/// Longest time until a delivery is in the files, so that a client that fails leaves it there.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// A client between start and end.
pub(super) struct Client<'a> {
    options: &'a Options,
    talk: &'a Talk,
    pub(super) user: Box<dyn User + 'a>,
    pub(super) results: &'a mut Results,
    /// The user cannot keep up.
    is_full: bool,
    /// A message was sent in this turn.
    pub(super) has_sent: bool,
    /// For each group, the history as far as newcomers may need it.
    histories: Vec<History>,
    /// For each group, its place among the names of all.
    pub(super) ranks: Vec<usize>,
    /// The deliveries of several groups, if there is one order of all.
    pub(super) merge: Option<Merge<Taken>>,
    /// The time of a client in several groups, whose members have clocks of their own.
    clock: Option<Clock>,
    /// The multicasts of earlier lives of this client that were delivered before its first view.
    own_logged: u64,
    /// The results of an earlier life are being copied.
    pub(super) is_copying: bool,
    /// The counts of each group.
    counts: Vec<Counts>,
    /// The counts, and the time, when something last happened.
    progress: (Counts, Time),
    /// The reports to a parent process under `--progress`.
    report: Option<Report>,
    started_us: u64,
    flushed: Time,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        options: &'a Options,
        order: &Order,
        talk: &'a Talk,
        user: Box<dyn User + 'a>,
        results: &'a mut Results,
    ) -> Self {
        let groups = options.group.len();
        let merges = groups > 1 && order.sequencer;
        Self {
            options,
            talk,
            user,
            results,
            is_full: false,
            has_sent: false,
            histories: (0..groups).map(|_| History::default()).collect(),
            ranks: ranks(&options.group),
            merge: merges.then(|| Merge::new(groups, options.known_bad.defects())),
            clock: (groups > 1).then(Clock::start),
            own_logged: 0,
            is_copying: false,
            counts: vec![Counts::default(); groups],
            progress: (Counts::default(), Time::ZERO),
            report: options.progress.then(Report::default),
            started_us: 0,
            flushed: Time::ZERO,
        }
    }

    /// Returns the counts of each group until now.
    pub(super) fn counts(&self) -> &[Counts] {
        &self.counts
    }

    fn total(&self) -> Counts {
        self.counts.iter().copied().sum()
    }

    /// Returns the group of this index with a colon, for messages of a client in several.
    fn prefix(&self, at: usize) -> String {
        if self.options.group.len() > 1 { format!("{}: ", self.options.group[at]) } else { String::new() }
    }

    /// Returns the time of histories.
    fn at_us(&self, node: &Node) -> u64 {
        self.clock.as_ref().map_or_else(|| node.elapsed_micros(), Clock::elapsed_micros)
    }

    /// Takes note that something has happened.
    pub(super) fn has_progressed(&mut self, now: Time) {
        self.progress.1 = self.clock.as_mut().map_or(now, Clock::now);
    }

    /// Records the start of a group, now that its members are known.
    pub(super) fn begin_group(&mut self, at: usize, node: &mut Node, order: &Order) -> Result<(), Failure> {
        if self.options.trace {
            node.watch();
        }
        let (members, group) = (names(node), &self.options.group[at]);
        self.talk.say(format!("start of {group} with {}, order {}", talk::list(&members), order.title()));
        self.started_us = self.at_us(node);
        self.results.turn_to(at);
        let all: Vec<&str> = self.options.group.iter().map(String::as_str).collect();
        let kept = self.results.start(&Start {
            member: &self.options.id,
            incarnation: node.seat(node.me()).incarnation,
            group,
            groups: if all.len() > 1 { all.into() } else { (&[]).into() },
            order: order.name,
            method: order.method,
            log: node.log(),
            members: (&members).into(),
            time_us: self.started_us,
        })?;
        if let Some(ending) = kept {
            self.talk.say(format!("kept the results of an earlier run, with {ending} behind their names"));
        }
        Ok(())
    }

    pub(super) fn report_progress(&mut self, participants: &[Participant<Node>], now: Time) {
        let counts = self.total();
        let Some(report) = &mut self.report else { return };
        let (done, total) = self.user.operations();
        let delivered = counts.delivered + counts.received;
        let held = participants.iter().map(|participant| participant.endpoint.held()).sum::<usize>()
            + self.merge.as_ref().map_or(0, Merge::waiting);
        report.send(Progress { done, total, delivered, held: held as u64 }, now, self.talk);
    }

    fn write_view(&mut self, at: usize, node: &Node, view: &View, at_us: u64) -> Result<(), Failure> {
        self.results.turn_to(at);
        self.histories[at].view(view.number, self.results.history_length());
        self.results.view(view.number, &names_in(node, view), at_us)
    }

    /// Begins a view after the first.
    fn begin_view(&mut self, at: usize, node: &Node, view: &View, at_us: u64) -> Result<(), Failure> {
        let words = format!("{}view {}: {}", self.prefix(at), view.number, talk::list(&names_in(node, view)));
        // A person has seen the departures, and will see the newcomers.
        if self.user.is_person() {
            self.talk.detail(words);
        } else {
            self.talk.say(words);
        }
        self.write_view(at, node, view, at_us)?;
        if at == 0 {
            self.user.meet_group(node);
        }
        Ok(())
    }

    /// Records that these messages to `receiver` are undeliverable, and warns the user.
    fn undeliverable(
        &mut self,
        node: &Node,
        receiver: MemberId,
        batch: &Batch,
        reason: Undelivered,
        at_us: u64,
    ) -> Result<(), Failure> {
        let to = &node.seat(receiver).id;
        for (own_number, text) in batch.messages() {
            let id = message_id(node, node.me(), own_number);
            self.results.undeliverable(id, to, reason, at_us)?;
            self.user.note(&format!("not delivered to {to}: {}", talk::on_one_line(text)));
            self.counts[0].undeliverable += 1;
        }
        let first = message_id(node, node.me(), batch.first());
        let (messages, are) = match batch.count() {
            1 => (format!("{first} to {to}"), "is"),
            2 => (format!("{first} and 1 more message to {to}"), "are"),
            count => (format!("{first} and {} more messages to {to}", count - 1), "are"),
        };
        self.talk.warn(format!("{messages} {are} undeliverable: {}", undelivered(reason)));
        Ok(())
    }

    /// Returns what this client waits for: in the first of its groups that is not over.
    fn waits_for(&self, participants: &[Participant<Node>]) -> String {
        if self.is_full {
            return "whoever reads standard output".to_owned();
        }
        let is_open = |(_, participant): &(usize, &Participant<Node>)| {
            !participant.endpoint.is_over() && !matches!(participant.stage, Stage::Done)
        };
        let open = participants.iter().enumerate().find(is_open).unwrap_or((0, &participants[0]));
        self.waits_for_in(open.0, open.1)
    }

    fn waits_for_in(&self, at: usize, participant: &Participant<Node>) -> String {
        let (prefix, node) = (self.prefix(at), &participant.endpoint);
        format!("{prefix}{}", self.waits_for_at(node, participant))
    }

    fn waits_for_at(&self, node: &Node, participant: &Participant<Node>) -> String {
        if matches!(participant.stage, Stage::Done) {
            return match node.missing() {
                [] => "the others to be done".to_owned(),
                missing => format!("{} to be done", talk::list(missing)),
            };
        }
        if let Some((here, all)) = node.lacks_majority() {
            return format!("a majority ({here} of {all} members are here)");
        }
        if matches!(participant.stage, Stage::CatchingUp(_)) {
            return "what was delivered before this client came".to_owned();
        }
        if node.is_changing() {
            return "the members to agree on the next view".to_owned();
        }
        if !participant.finish.has_finished() {
            let slow =
                node.slowest_receiver().map_or("the others", |(member, _)| node.seat(member).id.as_str());
            return format!("{slow} to take what this client has sent");
        }
        let others = participant.finish.waits_for().filter(|&client| client != node.me());
        match &others.map(|client| node.seat(client).id.as_str()).collect::<Vec<_>>()[..] {
            [] => "its own messages to be delivered".to_owned(),
            others => format!("{} to finish", talk::list(others)),
        }
    }

    fn check_limit(&self, participants: &[Participant<Node>], now: Time) -> Result<(), Failure> {
        if now.since(self.progress.1) < self.options.timeout || self.user.is_person() {
            return Ok(());
        }
        let limit = units::duration(self.options.timeout);
        let message =
            format!("nothing has happened for {limit}: waited for {}", self.waits_for(participants));
        Err(Failure::new(Exit::TimedOut, message).help("raise --timeout to wait longer"))
    }
}

/// A delivery that the merge holds back.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) delivery: Delivery,
    /// The numbers of its messages that are later copies of texts of authors.
    pub(super) doubled: Vec<u64>,
}

/// The part of an application in the group of an index.
impl Client<'_> {
    pub(super) fn readiness(&mut self, at: usize) -> Result<Readiness, Failure> {
        self.is_full = self.user.output().map_or(Ok(false), Output::is_full)?;
        let waits = self.merge.as_ref().is_some_and(|merge| merge.is_full(self.ranks[at]));
        Ok(if self.is_full || waits { Readiness::Full } else { Readiness::Ready })
    }

    pub(super) fn next(&mut self, at: usize, node_now: Time) -> Result<Next, Failure> {
        if self.is_full {
            return Ok(Next::Rest(None));
        }
        let now = self.clock.as_mut().map_or(node_now, Clock::now);
        let next = self.user.next(now)?;
        Ok(match next {
            Next::Rest(until) => {
                self.progress.1 = now;
                Next::Rest(until.map(|until| node_now.after(until.since(now))))
            }
            Next::Multicast if self.user.group() != at => Next::Rest(None),
            Next::Send(_) if at != 0 => Next::Rest(None),
            next => next,
        })
    }

    pub(super) fn fill(
        &mut self,
        at: usize,
        participant: &mut Participant<Node>,
        to: To,
        batch: &mut BatchBuilder,
    ) -> Result<(), Failure> {
        let now = participant.endpoint.now();
        let now = self.clock.as_mut().map_or(now, Clock::now);
        let node = &participant.endpoint;
        let (me, at_us) = (node.me(), self.at_us(node));
        let is_one = |next: Next| match to {
            To::Group => next == Next::Multicast,
            To::Member(receiver) => next == Next::Send(receiver),
        };
        let is_of = |user: &dyn User| to != To::Group || user.group() == at;
        self.results.turn_to(at);
        // A failure comes again, once the messages before it are sent.
        while !batch.is_full() && self.user.next(now).is_ok_and(is_one) && is_of(&*self.user) {
            self.has_sent = true;
            let Some(text) = self.user.take() else { break };
            let id = message_id(node, me, batch.push(&text));
            if let To::Member(receiver) = to {
                self.counts[at].sent += 1;
                self.results.send(id, &node.seat(receiver).id, &text, at_us)?;
            } else {
                self.counts[at].multicasts += 1;
                self.results.multicast(id, &text, at_us)?;
            }
        }
        Ok(())
    }

    pub(super) fn multicasts_for(
        &mut self,
        at: usize,
        node: &Node,
        own_number: u64,
        author: Author<'_>,
        text: &[u8],
    ) -> Result<(), Failure> {
        let (id, at_us) = (message_id(node, node.me(), own_number), self.at_us(node));
        self.results.turn_to(at);
        self.counts[at].multicasts += 1;
        let authored = Authored { name: author.name, post: (author.key, author.number) };
        self.results.multicast_for(authored, id, text, at_us)
    }

    /// Returns the name of a sender as users see it: with the group, if there are several.
    fn shown<'n>(&self, at: usize, sender: &'n str) -> Cow<'n, str> {
        match &self.options.group[..] {
            [_] => Cow::Borrowed(sender),
            groups => Cow::Owned(format!("{sender}@{}", groups[at])),
        }
    }

    /// Records a delivery. The messages of `doubled` are later copies of texts of authors.
    pub(super) fn deliver(
        &mut self,
        at: usize,
        node: &Node,
        delivery: Delivery,
        doubled: &[u64],
    ) -> Result<(), Failure> {
        let Delivery { at_us, from, number, app } = delivery;
        let at_us = self.clock.as_ref().map_or(at_us, Clock::elapsed_micros);
        let sender = &node.seat(from).id;
        self.results.turn_to(at);
        match app {
            App::Multicast(batch) => {
                for (place, (own_number, author, text)) in (0..).zip(batch.entries()) {
                    let id = message_id(node, from, own_number);
                    let number = number.map(|first| first + place);
                    self.counts[at].delivered += 1;
                    let Some(author) = author else {
                        self.results.deliver(sender, id, text, number, at_us)?;
                        self.user.delivered(&self.shown(at, sender), text);
                        continue;
                    };
                    let is_doubled = doubled.contains(&own_number);
                    let authored = Authored { name: author.name, post: (author.key, author.number) };
                    self.results.deliver_for(authored, id, text, number, is_doubled, at_us)?;
                    if !is_doubled {
                        self.user.delivered(&self.shown(at, author.name), text);
                    }
                }
            }
            App::Direct(batch) => {
                for (own_number, text) in batch.messages() {
                    self.results.receive(message_id(node, from, own_number), sender, text, at_us)?;
                    self.user.received(sender, text);
                    self.counts[at].received += 1;
                }
            }
            App::Undeliverable(batch, reason) => self.undeliverable(node, from, &batch, reason, at_us)?,
            App::View(view, _) => self.begin_view(at, node, &view, at_us)?,
            App::Notice(notice) => {
                let is_shown = matches!(notice, Notice::Gone(_))
                    && self.user.note(&words::notice(notice, from, &|member| node.name(member)));
                if !is_shown {
                    words::report_of(&self.prefix(at), self.talk, node, from, notice);
                }
            }
            // The participant handles these.
            App::Finished(_) | App::Fenced(_) | App::Replay(_) | App::Advance(_) | App::Record(_) => {}
        }
        Ok(())
    }

    pub(super) fn first_view(&mut self, at: usize, node: &Node, view: &View) -> Result<(), Failure> {
        let has_caught_up = view.number > 1 && self.options.join == Some(JoinFrom::FromStart);
        let earlier = self.counts[at].delivered;
        if self.options.resume {
            let own = self.own_logged;
            self.talk.say(format!("resumes behind {earlier} earlier deliveries, {own} of them its own"));
            self.user.resume(own);
        } else if has_caught_up || earlier > 0 {
            self.talk.say(format!("caught up: {earlier} earlier deliveries"));
        }
        if has_caught_up || view.number == 1 {
            self.histories[at].begins_with_the_run();
        }
        self.write_view(at, node, view, self.started_us)
    }

    pub(super) fn past(&mut self, at: usize, node: &Node, past: Past) -> Result<(), Failure> {
        let Past::Deliveries(deliveries) = past else { return Ok(()) };
        let at_us = node.elapsed_micros();
        for replayed in &deliveries {
            let Some((member, incarnation)) = replayed.sender(node) else { continue };
            let Replayed { origin, author, text, doubled, .. } = replayed;
            let id = MessageId { member, incarnation, number: origin.own_number };
            let number = replayed.number();
            self.counts[at].delivered += 1;
            if let Some((name, key, of_key)) = author {
                let authored = Authored { name, post: (*key, *of_key) };
                self.results.deliver_for(authored, id, text, number, *doubled, at_us)?;
                if !doubled && !self.is_copying {
                    self.user.delivered(name, text);
                }
                continue;
            }
            self.own_logged += u64::from(member == self.options.id);
            self.results.deliver(member, id, text, number, at_us)?;
            if !self.is_copying {
                self.user.delivered(member, text);
            }
        }
        Ok(())
    }

    pub(super) fn piece(&mut self, at: usize, node: &Node, request: &Request) -> Result<Piece, Failure> {
        self.results.turn_to(at);
        self.histories[at].piece(node, self.results, request)
    }

    pub(super) fn waits(&mut self, at: usize, participant: &mut Participant<Node>, wait: Wait) {
        let words = match wait {
            Wait::CatchUp => "waiting for what was delivered before this client came".to_owned(),
            Wait::Leave => {
                "waiting for the others to have what this client has sent, before it leaves".to_owned()
            }
            Wait::Window if participant.endpoint.lacks_majority().is_some() => {
                format!("waiting for {}", self.waits_for_in(at, participant))
            }
            Wait::Window => {
                let silence = participant.endpoint.silence();
                if silence < SAY_EVERY {
                    return;
                }
                let silence = units::duration(silence);
                format!("nothing heard from the group for {silence}; waiting for the others to acknowledge")
            }
            Wait::SlowMember(_, length) if length < SAY_EVERY => return,
            Wait::SlowMember(member, length) => {
                let (id, length) = (&participant.endpoint.seat(member).id, units::duration(length));
                format!("waiting for {id}, which has taken nothing for {length}")
            }
        };
        participant.endpoint.say_waiting(&words);
    }

    /// Ends a turn, before input is waited for.
    pub(super) fn end_turn(&mut self, participants: &mut [Participant<Node>]) -> Result<(), Failure> {
        self.user.show();
        let now = participants[0].endpoint.now();
        let now = self.clock.as_mut().map_or(now, Clock::now);
        let counts = self.total();
        if counts != self.progress.0 {
            self.progress = (counts, now);
        }
        if now.since(self.flushed) >= FLUSH_EVERY {
            self.flushed = now;
            self.results.flush()?;
        }
        if self.report.as_ref().is_some_and(|report| report.is_due(now)) {
            self.report_progress(participants, now);
        }
        // Of a full output, report only a stalled reader, not a slow one.
        if self.is_full && now.since(self.progress.1) >= SAY_EVERY {
            let waits_for = self.waits_for(participants);
            participants[0].endpoint.say_waiting(&format!("waiting for {waits_for}"));
        }
        let is_finished = |participant: &Participant<Node>| matches!(participant.stage, Stage::Finished);
        if participants.iter().any(is_finished) {
            let (waits_for, counts) = (self.waits_for(participants), describe(&counts));
            participants[0].endpoint.say_waiting(&format!("waiting for {waits_for} ({counts})"));
        }
        self.check_limit(participants, now)
    }
}

/// Returns the names of the clients of the present view, sorted.
pub(super) fn names(node: &Node) -> Vec<&str> {
    names_in(node, node.view())
}

fn names_in<'n>(node: &'n Node, view: &View) -> Vec<&'n str> {
    let mut names: Vec<&str> = view.clients.iter().map(|&client| node.seat(client).id.as_str()).collect();
    names.sort_unstable();
    names
}

fn message_id(node: &Node, member: MemberId, number: u64) -> MessageId<'_> {
    let seat = node.seat(member);
    MessageId { member: &seat.id, incarnation: seat.incarnation, number }
}

/// Returns, for each group, its place among the names of all, which is the same at every client.
fn ranks(groups: &[String]) -> Vec<usize> {
    groups.iter().map(|group| groups.iter().filter(|other| *other < group).count()).collect()
}
