//! Station 2: a client between start and end.
//!
//! It gives its user's messages to the [`Participant`], records deliveries, and says what it waits for.

use std::time::Duration;

use super::past::History;
use super::progress::{Progress, Report};
use super::user::User;
use super::{JoinFrom, Options, describe};
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::driver::{Node, words};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::member::replay::Origin;
use crate::member::{App, Note, Notice, Undelivered};
use crate::order::Order;
use crate::participant::{
    Application, Next, Participant, Past, Piece, Readiness, Replayed, Request, Stage, Wait,
};
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
    user: Box<dyn User + 'a>,
    results: &'a mut Results,
    /// The user cannot keep up.
    is_full: bool,
    history: History,
    counts: Counts,
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
        talk: &'a Talk,
        user: Box<dyn User + 'a>,
        results: &'a mut Results,
    ) -> Self {
        Self {
            options,
            talk,
            user,
            results,
            is_full: false,
            history: History::default(),
            counts: Counts::default(),
            progress: (Counts::default(), Time::ZERO),
            report: options.progress.then(Report::default),
            started_us: 0,
            flushed: Time::ZERO,
        }
    }

    /// Returns the counts until now.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Records the start, now that the members are known.
    pub(super) fn begin(
        &mut self,
        participant: &mut Participant<Node>,
        order: &Order,
    ) -> Result<(), Failure> {
        let node = &mut participant.endpoint;
        if self.options.trace {
            node.watch();
        }
        let members = names(node);
        self.talk.say(format!(
            "start of {} with {}, order {}",
            self.options.group,
            talk::list(&members),
            order.title()
        ));
        self.started_us = node.elapsed_micros();
        let kept = self.results.start(&Start {
            member: &self.options.id,
            incarnation: node.seat(node.me()).incarnation,
            group: &self.options.group,
            order: order.name,
            method: order.method,
            members: (&members).into(),
            time_us: self.started_us,
        })?;
        if let Some(ending) = kept {
            self.talk.say(format!("kept the results of an earlier run, with {ending} behind their names"));
        }
        participant.begin(self)
    }

    /// Takes part until the whole group has finished.
    pub(super) fn run(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        self.progress.1 = participant.endpoint.now();
        participant.run(self)?;
        let node = &mut participant.endpoint;
        let now = node.now();
        self.report_progress(node, now);
        self.user.show();
        while self.user.output().map_or(Ok(false), Output::is_busy)? {
            node.linger()?;
        }
        Ok(())
    }

    fn report_progress(&mut self, node: &Node, now: Time) {
        let Some(report) = &mut self.report else { return };
        let (done, total) = self.user.operations();
        let delivered = self.counts.delivered + self.counts.received;
        report.send(Progress { done, total, delivered, held: node.held() as u64 }, now, self.talk);
    }

    fn write_view(&mut self, node: &Node, view: &View, at_us: u64) -> Result<(), Failure> {
        self.history.view(view.number, self.results.history_length());
        self.results.view(view.number, &names_in(node, view), at_us)
    }

    /// Begins a view after the first.
    fn begin_view(&mut self, node: &Node, view: &View, at_us: u64) -> Result<(), Failure> {
        let words = format!("view {}: {}", view.number, talk::list(&names_in(node, view)));
        // A person has seen the departures, and will see the newcomers.
        if self.user.is_person() {
            self.talk.detail(words);
        } else {
            self.talk.say(words);
        }
        self.write_view(node, view, at_us)?;
        self.user.meet_group(node);
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
            self.counts.undeliverable += 1;
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

    fn waits_for(&self, participant: &Participant<Node>) -> String {
        let node = &participant.endpoint;
        if self.is_full {
            return "whoever reads standard output".to_owned();
        }
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

    fn check_limit(&self, participant: &Participant<Node>, now: Time) -> Result<(), Failure> {
        if now.since(self.progress.1) < self.options.timeout || self.user.is_person() {
            return Ok(());
        }
        let limit = units::duration(self.options.timeout);
        let message = format!("nothing has happened for {limit}: waited for {}", self.waits_for(participant));
        Err(Failure::new(Exit::TimedOut, message).help("raise --timeout to wait longer"))
    }
}

impl Application<Node> for Client<'_> {
    fn readiness(&mut self, _: &mut Participant<Node>) -> Result<Readiness, Failure> {
        self.is_full = self.user.output().map_or(Ok(false), Output::is_full)?;
        Ok(if self.is_full { Readiness::Full } else { Readiness::Ready })
    }

    fn next(&mut self, _: &mut Participant<Node>, now: Time) -> Result<Next, Failure> {
        if self.is_full {
            return Ok(Next::Rest(None));
        }
        let next = self.user.next(now)?;
        if matches!(next, Next::Rest(_)) {
            self.progress.1 = now;
        }
        Ok(next)
    }

    fn fill(
        &mut self,
        participant: &mut Participant<Node>,
        to: To,
        batch: &mut BatchBuilder,
    ) -> Result<(), Failure> {
        let now = participant.endpoint.now();
        let node = &participant.endpoint;
        let (me, at_us) = (node.me(), node.elapsed_micros());
        let is_one = |next: Next| match to {
            To::Group => next == Next::Multicast,
            To::Member(receiver) => next == Next::Send(receiver),
        };
        // A failure comes again, once the messages before it are sent.
        while !batch.is_full() && self.user.next(now).is_ok_and(is_one) {
            let Some(text) = self.user.take() else { break };
            let id = message_id(node, me, batch.push(&text));
            if let To::Member(receiver) = to {
                self.counts.sent += 1;
                self.results.send(id, &node.seat(receiver).id, &text, at_us)?;
            } else {
                self.counts.multicasts += 1;
                self.results.multicast(id, &text, at_us)?;
            }
        }
        Ok(())
    }

    fn multicasts_for(
        &mut self,
        participant: &Participant<Node>,
        own_number: u64,
        author: Author<'_>,
        text: &[u8],
    ) -> Result<(), Failure> {
        let node = &participant.endpoint;
        let (id, at_us) = (message_id(node, node.me(), own_number), node.elapsed_micros());
        self.counts.multicasts += 1;
        let authored = Authored { name: author.name, post: (author.key, author.number) };
        self.results.multicast_for(authored, id, text, at_us)
    }

    fn deliver(&mut self, participant: &Participant<Node>, delivery: Delivery) -> Result<(), Failure> {
        let node = &participant.endpoint;
        let Delivery { at_us, from, number, app } = delivery;
        let sender = &node.seat(from).id;
        match app {
            App::Multicast(batch) => {
                for (place, (own_number, author, text)) in (0..).zip(batch.entries()) {
                    let id = message_id(node, from, own_number);
                    let number = number.map(|first| first + place);
                    self.counts.delivered += 1;
                    let Some(author) = author else {
                        self.results.deliver(sender, id, text, number, at_us)?;
                        self.user.delivered(sender, text);
                        continue;
                    };
                    let is_doubled = participant.authors.is_doubled(own_number);
                    let authored = Authored { name: author.name, post: (author.key, author.number) };
                    self.results.deliver_for(authored, id, text, (number, is_doubled), at_us)?;
                    if !is_doubled {
                        self.user.delivered(author.name, text);
                    }
                }
            }
            App::Direct(batch) => {
                for (own_number, text) in batch.messages() {
                    self.results.receive(message_id(node, from, own_number), sender, text, at_us)?;
                    self.user.received(sender, text);
                    self.counts.received += 1;
                }
            }
            App::Undeliverable(batch, reason) => self.undeliverable(node, from, &batch, reason, at_us)?,
            App::View(view, _) => self.begin_view(node, &view, at_us)?,
            App::Notice(notice) => {
                let is_shown = matches!(notice, Notice::Gone(_))
                    && self.user.note(&words::notice(notice, from, &|member| node.name(member)));
                if !is_shown {
                    words::report(self.talk, node, from, notice);
                }
            }
            // The participant handles these.
            App::Finished(_) | App::Fenced(_) | App::Replay(_) => {}
        }
        Ok(())
    }

    fn note(&mut self, participant: &Participant<Node>, at_us: u64, note: &Note) -> Result<(), Failure> {
        let node = &participant.endpoint;
        let who = |member| (node.seat(member).id.as_str(), node.seat(member).incarnation);
        self.results.note(note, &who, at_us)
    }

    fn first_view(&mut self, participant: &Participant<Node>, view: &View) -> Result<(), Failure> {
        let has_caught_up = view.number > 1 && self.options.join == Some(JoinFrom::FromStart);
        if has_caught_up {
            self.talk.say(format!("caught up: {} earlier deliveries", self.counts.delivered));
        }
        if has_caught_up || view.number == 1 {
            self.history.begins_with_the_run();
        }
        self.write_view(&participant.endpoint, view, self.started_us)
    }

    fn past(&mut self, participant: &Participant<Node>, past: Past) -> Result<(), Failure> {
        let Past::Deliveries(deliveries) = past else { return Ok(()) };
        let node = &participant.endpoint;
        let at_us = node.elapsed_micros();
        for Replayed { origin: Origin { sender, own_number, number }, author, text } in deliveries {
            let Some(seat) = node.find_seat(sender) else { continue };
            let id = MessageId { member: &seat.id, incarnation: seat.incarnation, number: own_number };
            let number = (number > 0).then_some(number);
            if let Some((name, key, of_key)) = &author {
                let authored = Authored { name, post: (*key, *of_key) };
                self.results.deliver_for(authored, id, &text, (number, false), at_us)?;
                self.user.delivered(name, &text);
            } else {
                self.results.deliver(&seat.id, id, &text, number, at_us)?;
                self.user.delivered(&seat.id, &text);
            }
            self.counts.delivered += 1;
        }
        Ok(())
    }

    fn piece(&mut self, participant: &mut Participant<Node>, request: &Request) -> Result<Piece, Failure> {
        self.history.piece(&participant.endpoint, self.results, request)
    }

    fn waits(&mut self, participant: &mut Participant<Node>, wait: Wait) {
        let words = match wait {
            Wait::CatchUp => "waiting for what was delivered before this client came".to_owned(),
            Wait::Leave => {
                "waiting for the others to have what this client has sent, before it leaves".to_owned()
            }
            Wait::Window if participant.endpoint.lacks_majority().is_some() => {
                format!("waiting for {}", self.waits_for(participant))
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

    fn completed(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        self.progress.1 = participant.endpoint.now();
        Ok(())
    }

    fn before_wait(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        self.user.show();
        let now = participant.endpoint.now();
        if self.counts != self.progress.0 {
            self.progress = (self.counts, now);
        }
        if now.since(self.flushed) >= FLUSH_EVERY {
            self.flushed = now;
            self.results.flush()?;
        }
        if self.report.as_ref().is_some_and(|report| report.is_due(now)) {
            self.report_progress(&participant.endpoint, now);
        }
        // Of a full output, report only a stalled reader, not a slow one.
        if self.is_full && now.since(self.progress.1) >= SAY_EVERY {
            let waits_for = self.waits_for(participant);
            participant.endpoint.say_waiting(&format!("waiting for {waits_for}"));
        }
        if matches!(participant.stage, Stage::Finished) {
            let (waits_for, counts) = (self.waits_for(participant), describe(&self.counts));
            participant.endpoint.say_waiting(&format!("waiting for {waits_for} ({counts})"));
        }
        self.check_limit(participant, now)
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
