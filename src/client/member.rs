//! Station 2: a client between start and end.
//!
//! It sends its user's messages as fast as the send window allows, records deliveries, announces when it sends nothing
//! more, and ends when it has everything that all clients have sent.

use std::collections::VecDeque;
use std::time::Duration;

use super::past::{First, Newcomer, Telling};
use super::progress::{Progress, Report};
use super::user::{Next, Source, User};
use super::{JoinFrom, Options, describe};
use crate::driver::catch_up::Told;
use crate::driver::node::Delivery;
use crate::driver::slow_member::SlowestReceiver;
use crate::driver::{Node, words};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::member::replay::{Origin, Replay};
use crate::member::{App, Finish, Note, Notice, Tally, Undelivered};
use crate::order::Order;
use crate::results::{Counts, MessageId, Results, Start, undelivered};
use crate::session::SAY_EVERY;
use crate::talk::{self, Talk};
use crate::wire::{Batch, BatchBuilder};

/// Most batches submitted before incoming packets get their turn.
const BATCHES_PER_TURN: usize = 8;
/// Longest time until a delivery is in the files, so that a client that fails leaves it there.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// A client between start and end.
pub(super) struct Member<'a> {
    options: &'a Options,
    talk: &'a Talk,
    user: User<'a>,
    results: &'a mut Results,
    me: MemberId,
    tally: Tally,
    /// Whether the user cannot keep up: then nothing is received.
    is_full: bool,
    has_finished: bool,
    is_done: bool,
    /// The deliveries that a newcomer still has to receive before it takes part.
    newcomer: Option<Newcomer>,
    /// The replays for newcomers.
    telling: Telling,
    finish: Finish,
    counts: Counts,
    /// The reports to a parent process under `--progress`.
    report: Option<Report>,
    /// The length of the last batch's body.
    expected: usize,
    slowest: SlowestReceiver,
    /// When something last happened.
    progress: Time,
    flushed: Time,
}

impl<'a> Member<'a> {
    pub(super) fn new(
        options: &'a Options,
        talk: &'a Talk,
        node: &Node,
        user: User<'a>,
        results: &'a mut Results,
    ) -> Self {
        let mut finish = Finish::new(node.me(), node.view());
        node.delivered_before().for_each(|(client, count)| finish.came_after(client, count));
        Self {
            options,
            talk,
            user,
            results,
            me: node.me(),
            tally: Tally::default(),
            is_full: false,
            has_finished: false,
            is_done: false,
            newcomer: None,
            telling: Telling::default(),
            finish,
            counts: Counts::default(),
            report: options.progress.then(Report::default),
            expected: 0,
            slowest: SlowestReceiver::default(),
            progress: Time::ZERO,
            flushed: Time::ZERO,
        }
    }

    /// Returns the counts until now.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Records the start, now that the members are known.
    pub(super) fn begin(&mut self, node: &mut Node, order: &Order, source: &Source) -> Result<(), Failure> {
        if self.options.trace {
            node.watch();
        }
        let mut members: Vec<&str> =
            node.view().clients.iter().map(|&client| node.seat(client).id.as_str()).collect();
        members.sort_unstable();
        self.talk.say(format!(
            "start of {} with {}, order {}",
            self.options.group,
            talk::list(&members),
            order.title()
        ));
        let time_us = node.elapsed_micros();
        let kept = self.results.start(&Start {
            member: &self.options.id,
            incarnation: node.seat(self.me).incarnation,
            group: &self.options.group,
            order: order.name,
            method: order.method,
            members: &members,
            time_us,
        })?;
        if let Some(ending) = kept {
            self.talk.say(format!("kept the results of an earlier run, with {ending} behind their names"));
        }
        // Nothing was delivered before view 1.
        if self.options.join == Some(JoinFrom::FromStart) && node.view().number > 1 {
            let members = members.iter().map(|&member| member.to_owned()).collect();
            let first = First { number: node.view().number, members, time_us };
            self.newcomer = Some(Newcomer::new(first));
        } else {
            if node.view().number == 1 {
                self.telling.begins_with_the_run();
            }
            self.write_view(node.view().number, &members, time_us)?;
        }
        match source {
            Source::Script(script) => script.unknown_receiver(&members).map_or(Ok(()), Err),
            Source::Lines | Source::Terminal => Ok(()),
        }
    }

    /// Takes part until the whole group has finished.
    pub(super) fn run(&mut self, node: &mut Node) -> Result<(), Failure> {
        self.progress = node.now();
        while !node.is_over() {
            let before = self.counts;
            let next_feed = self.attend(node)?;
            self.user.show();
            let turned = node.turn(next_feed);
            // Also after a failure: earlier deliveries belong into the results.
            self.take_deliveries(node)?;
            turned?;
            let now = node.now();
            if self.counts != before {
                self.progress = now;
            }
            if now.since(self.flushed) >= FLUSH_EVERY {
                self.flushed = now;
                self.results.flush()?;
            }
            if self.report.as_ref().is_some_and(|report| report.is_due(now)) {
                self.tell_progress(node, now);
            }
            self.look_for_slow_member(node, now);
            self.look_for_the_end(node, now)?;
        }
        let now = node.now();
        self.tell_progress(node, now);
        self.user.show();
        while self.user.is_behind()? {
            node.linger()?;
        }
        Ok(())
    }

    fn tell_progress(&mut self, node: &Node, now: Time) {
        let Some(report) = &mut self.report else { return };
        let (done, total) = self.user.operations();
        let progress = Progress {
            done,
            total,
            delivered: self.counts.delivered + self.counts.received,
            held: node.held() as u64,
        };
        report.tell(progress, now, self.talk);
    }

    /// Sends and receives while the user can keep up. Returns when to go on without input.
    fn attend(&mut self, node: &mut Node) -> Result<Option<Time>, Failure> {
        self.is_full = self.user.is_full()?;
        node.listen(!self.is_full);
        if let Some(newcomer) = &mut self.newcomer {
            newcomer.catch_up.look(node)?;
            node.say_waiting("waiting for what was delivered before this client came");
            return Ok(None);
        }
        let has_more = self.telling.tell(node)?;
        if !self.is_full {
            let next = self.feed(node)?;
            return Ok(if has_more { Some(node.now()) } else { next });
        }
        // Report only a stalled reader, not a slow one.
        if node.now().since(self.progress) >= SAY_EVERY {
            node.say_waiting(&format!("waiting for {}", self.waits_for(node)));
        }
        Ok(None)
    }

    /// Submits the user's messages for which the window has room. Returns when to go on without input.
    fn feed(&mut self, node: &mut Node) -> Result<Option<Time>, Failure> {
        for _ in 0..BATCHES_PER_TURN {
            let now = node.now();
            match self.user.next(now)? {
                Next::Multicast(_) if node.window(To::Group) > 0 => self.multicast(node)?,
                Next::Send(to, _) if node.window(To::Member(to)) > 0 => self.send(node, to)?,
                Next::Multicast(_) | Next::Send(..) => {
                    let silence = node.silence();
                    if node.lacks_majority().is_some() {
                        node.say_waiting(&format!("waiting for {}", self.waits_for(node)));
                    } else if silence >= SAY_EVERY {
                        let silence = talk::duration(silence);
                        node.say_waiting(&format!(
                            "nothing heard from the group for {silence}; waiting for the others to acknowledge"
                        ));
                    }
                    return Ok(None);
                }
                Next::Rest(until) => {
                    self.progress = now;
                    return Ok(until);
                }
                Next::Leave => {
                    self.leave(node);
                    return Ok(None);
                }
                Next::Finished => {
                    self.say_finished(node);
                    return Ok(None);
                }
            }
        }
        Ok(Some(node.now()))
    }

    /// Leaves the group when all have this client's messages. The last client finishes instead.
    fn leave(&mut self, node: &mut Node) {
        if node.view().clients.len() == 1 && !node.departs() {
            return self.say_finished(node);
        }
        if self.finish.multicasts_of(self.me) < self.tally.multicasts || !node.is_settled() {
            return node
                .say_waiting("waiting for the others to have what this client has sent, before it leaves");
        }
        node.depart();
    }

    fn say_finished(&mut self, node: &mut Node) {
        if !self.has_finished {
            self.has_finished = true;
            self.finish.finished(self.me, self.tally.clone());
            node.submit(To::Group, App::Finished(self.tally.clone()));
        }
    }

    /// Multicasts the next messages, as many as go into one batch.
    fn multicast(&mut self, node: &mut Node) -> Result<(), Failure> {
        let now = node.now();
        let mut batch = BatchBuilder::new(self.tally.multicasts + 1)
            .at_most(self.options.window.messages)
            .expecting(self.expected);
        let at_us = node.elapsed_micros();
        // A failure comes again, once the messages before it are sent.
        while let Ok(Next::Multicast(text)) = self.user.next(now) {
            if batch.is_full() {
                break;
            }
            let number = batch.push(text);
            self.results.multicast(message_id(node, self.me, number), text, at_us)?;
            self.user.advance();
            self.counts.multicasts += 1;
            self.tally.multicasts = number;
        }
        self.expected = batch.len();
        if let Some(batch) = batch.finish() {
            node.submit(To::Group, App::Multicast(batch));
        }
        self.take_deliveries(node)
    }

    /// Sends the next messages to this receiver, as many as go into one batch.
    fn send(&mut self, node: &mut Node, receiver: MemberId) -> Result<(), Failure> {
        let now = node.now();
        let mut batch = BatchBuilder::new(self.tally.sent.get(&receiver).copied().unwrap_or(0) + 1)
            .at_most(self.options.window.messages);
        while let Ok(Next::Send(to, text)) = self.user.next(now) {
            if batch.is_full() || to != receiver {
                break;
            }
            let number = batch.push(text);
            let to = &node.seat(receiver).id;
            self.results.send(message_id(node, self.me, number), to, text, node.elapsed_micros())?;
            self.user.advance();
            self.counts.sent += 1;
            self.tally.sent.insert(receiver, number);
        }
        if let Some(batch) = batch.finish() {
            node.submit(To::Member(receiver), App::Direct(batch));
        }
        Ok(())
    }

    /// Records deliveries and, with `--trace`, arrivals and waits, in the order of time.
    fn take_deliveries(&mut self, node: &mut Node) -> Result<(), Failure> {
        let mut noted = node.noted().into_iter().peekable();
        for delivery in node.delivered() {
            while let Some((at_us, note)) = noted.next_if(|(at_us, _)| *at_us <= delivery.at_us) {
                self.note(node, &note, at_us)?;
            }
            match (delivery.app, &mut self.newcomer) {
                (App::Replay(replay), _) => self.replay(node, delivery.from, replay)?,
                (app, Some(newcomer)) => newcomer.catch_up.hold(Delivery { app, ..delivery })?,
                (app, None) => self.deliver(node, Delivery { app, ..delivery })?,
            }
        }
        noted.try_for_each(|(at_us, note)| self.note(node, &note, at_us))
    }

    fn note(&mut self, node: &Node, note: &Note, at_us: u64) -> Result<(), Failure> {
        let who = |member| (node.seat(member).id.as_str(), node.seat(member).incarnation);
        self.results.note(note, &who, at_us)
    }

    fn deliver(&mut self, node: &Node, delivery: Delivery) -> Result<(), Failure> {
        let Delivery { at_us, from, number, app } = delivery;
        let sender = &node.seat(from).id;
        match app {
            App::Multicast(batch) => {
                for (place, (own_number, text)) in batch.messages().enumerate() {
                    let id = message_id(node, from, own_number);
                    self.results.deliver(
                        sender,
                        id,
                        text,
                        number.map(|first| first + place as u64),
                        at_us,
                    )?;
                    self.user.delivered(sender, text);
                    self.counts.delivered += 1;
                }
                self.finish.delivered(from, u64::from(batch.count()));
            }
            App::Direct(batch) => {
                for (own_number, text) in batch.messages() {
                    self.results.receive(message_id(node, from, own_number), sender, text, at_us)?;
                    self.user.received(sender, text);
                    self.counts.received += 1;
                }
                self.finish.received(from, u64::from(batch.count()));
            }
            App::Undeliverable(batch, reason) => self.undeliverable(node, from, &batch, reason, at_us)?,
            App::Finished(tally) => self.finish.finished(from, tally),
            App::View(view, _) => self.go_on_with(node, &view, at_us)?,
            App::Notice(notice) => {
                let is_shown = matches!(notice, Notice::Gone(_))
                    && self.user.departed(&words::notice(notice, from, &|member| node.name(member)));
                if !is_shown {
                    words::tell(self.talk, node, from, notice);
                }
            }
            // The node handles these.
            App::Fenced(_) | App::Replay(_) => {}
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
            let id = message_id(node, self.me, own_number);
            self.results.undeliverable(id, to, reason, at_us)?;
            self.user.undeliverable(to, text);
            self.counts.undeliverable += 1;
        }
        let first = message_id(node, self.me, batch.first());
        let (messages, are) = match batch.count() {
            1 => (format!("{first} to {to}"), "is"),
            2 => (format!("{first} and 1 more message to {to}"), "are"),
            count => (format!("{first} and {} more messages to {to}", count - 1), "are"),
        };
        self.talk.warn(format!("{messages} {are} undeliverable: {}", undelivered(reason)));
        Ok(())
    }

    fn write_view(&mut self, number: u64, members: &[&str], at_us: u64) -> Result<(), Failure> {
        self.telling.view(number, self.results.history_length());
        self.results.view(number, members, at_us)
    }

    /// Handles the request of a newcomer for a replay, or a piece of one.
    fn replay(&mut self, node: &mut Node, from: MemberId, replay: Replay) -> Result<(), Failure> {
        if let Replay::Ask { what, view, have } = replay {
            return self.telling.asked(node, self.results, from, (what, view, have));
        }
        let now = node.now();
        let Some(newcomer) = &mut self.newcomer else { return Ok(()) };
        for told in newcomer.catch_up.told(now, from, replay) {
            match told {
                Told::From(_, Replay::Past(origins, batch)) => self.take_past(node, &origins, &batch)?,
                Told::From(..) => {}
                Told::All(held) => self.has_caught_up(node, held)?,
            }
        }
        Ok(())
    }

    fn take_past(&mut self, node: &Node, origins: &[Origin], batch: &Batch) -> Result<(), Failure> {
        let at_us = node.elapsed_micros();
        for (&Origin { sender, own_number, number }, (_, text)) in origins.iter().zip(batch.messages()) {
            let is_news =
                self.newcomer.as_mut().is_some_and(|newcomer| newcomer.catch_up.is_news(sender, own_number));
            let Some(seat) = node.who(sender).filter(|_| is_news) else { continue };
            let id = MessageId { member: &seat.id, incarnation: seat.incarnation, number: own_number };
            self.results.deliver(&seat.id, id, text, (number > 0).then_some(number), at_us)?;
            self.user.delivered(&seat.id, text);
            self.counts.delivered += 1;
        }
        Ok(())
    }

    /// Records the first view and the deliveries held back: from here on, this client is like one from the start.
    fn has_caught_up(&mut self, node: &mut Node, held: VecDeque<Delivery>) -> Result<(), Failure> {
        let Some(Newcomer { first, .. }) = self.newcomer.take() else { return Ok(()) };
        let before = self.counts.delivered;
        self.talk.say(format!("caught up: {before} earlier deliveries"));
        self.telling.begins_with_the_run();
        let members: Vec<&str> = first.members.iter().map(String::as_str).collect();
        self.write_view(first.number, &members, first.time_us)?;
        held.into_iter().try_for_each(|delivery| self.deliver(node, delivery))
    }

    /// Begins a new view.
    fn go_on_with(&mut self, node: &Node, view: &View, at_us: u64) -> Result<(), Failure> {
        let mut members: Vec<&str> =
            view.clients.iter().map(|&client| node.seat(client).id.as_str()).collect();
        members.sort_unstable();
        let words = format!("view {}: {}", view.number, talk::list(&members));
        // A person has seen the departures, and will see the newcomers.
        if self.user.is_person() {
            self.talk.detail(words);
        } else {
            self.talk.say(words);
        }
        self.write_view(view.number, &members, at_us)?;
        self.finish.go_on_with(view);
        self.user.meet_group(node);
        // The forwarder counts `Done` per view, so send it again.
        self.is_done = false;
        Ok(())
    }

    /// Reports the slowest receiver, and excludes it after the limit for slow members.
    fn look_for_slow_member(&mut self, node: &mut Node, now: Time) {
        let Some((member, length)) = self.slowest.find(node, now, self.is_full) else { return };
        let id = node.seat(member).id.clone();
        let behind = format!("has taken nothing for {}", talk::duration(length));
        if length >= SAY_EVERY {
            node.say_waiting(&format!("waiting for {id}, which {behind}"));
        }
        self.slowest.exclude(node, self.options.slow_member, (member, length));
    }

    /// Reports when this client has everything; until then reports for whom it waits, up to a limit.
    fn look_for_the_end(&mut self, node: &mut Node, now: Time) -> Result<(), Failure> {
        if self.is_done || !self.has_finished {
            return self.check_limit(node, now);
        }
        if self.finish.is_complete() {
            self.is_done = true;
            self.progress = now;
            node.done();
            return Ok(());
        }
        let waits_for = self.waits_for(node);
        node.say_waiting(&format!("waiting for {waits_for} ({})", describe(&self.counts)));
        self.check_limit(node, now)
    }

    fn waits_for(&self, node: &Node) -> String {
        if self.is_full {
            return "whoever reads standard output".to_owned();
        }
        if self.is_done {
            return match node.missing() {
                [] => "the others to be done".to_owned(),
                missing => format!("{} to be done", talk::list(missing)),
            };
        }
        if let Some((here, all)) = node.lacks_majority() {
            return format!("a majority ({here} of {all} members are here)");
        }
        if self.newcomer.is_some() {
            return "what was delivered before this client came".to_owned();
        }
        if node.is_changing() {
            return "the members to agree on the next view".to_owned();
        }
        if !self.has_finished {
            let slow =
                node.slowest_receiver().map_or("the others", |(member, _)| node.seat(member).id.as_str());
            return format!("{slow} to take what this client has sent");
        }
        let others = self.finish.waits_for().filter(|&client| client != self.me);
        match &others.map(|client| node.seat(client).id.as_str()).collect::<Vec<_>>()[..] {
            [] => "its own messages to be delivered".to_owned(),
            others => format!("{} to finish", talk::list(others)),
        }
    }

    fn check_limit(&self, node: &Node, now: Time) -> Result<(), Failure> {
        if now.since(self.progress) < self.options.timeout || self.user.is_person() {
            return Ok(());
        }
        let limit = talk::duration(self.options.timeout);
        let message = format!("nothing has happened for {limit}: waited for {}", self.waits_for(node));
        Err(Failure::new(Exit::TimedOut, message).help("raise --timeout to wait longer"))
    }
}

fn message_id(node: &Node, member: MemberId, number: u64) -> MessageId<'_> {
    let seat = node.seat(member);
    MessageId { member: &seat.id, incarnation: seat.incarnation, number }
}
