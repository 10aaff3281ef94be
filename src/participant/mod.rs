//! Station 2: one client's part in a run, for any [`Application`].
//!
//! A [`Participant`] sends what the application has as fast as the send windows allow, passes deliveries on, announces
//! that nothing more is sent, and reports when it has everything ([`finish`]). It multicasts texts of [`authors`], who
//! are no members. It excludes slow members ([`slow_member`]), catches up as a newcomer ([`catch_up`]), and lets newcomers
//! catch up (`give`). A process with a participant in each of several groups merges their deliveries ([`merge`]).

mod application;
pub mod authors;
pub mod catch_up;
pub mod finish;
mod give;
pub mod merge;
pub mod slow_member;

use std::collections::VecDeque;

use crate::driver::Node;
use crate::driver::endpoint::{Delivery, Endpoint, Event};
use crate::engine::{MemberId, Time, To};
use crate::exit::Failure;
use crate::member::App;
use crate::member::replay::{Missed, Replay};
use crate::wire::control::Post;
use crate::wire::{Author, BatchBuilder};

pub use application::{Application, Next, Past, Piece, Readiness, Replayed, Request, Wait};
use authors::{Authors, Duty, OwnMessage, TextId, receipt};
use catch_up::{CatchUp, CaughtUp};
use finish::Finish;
use slow_member::{SlowMember, SlowestReceiver};

/// Most batches submitted before incoming packets get their turn.
const BATCHES_PER_TURN: usize = 8;

/// The settings of a participant.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most messages of one batch.
    pub batch: u64,
    /// The policy for a member that acknowledges nothing.
    pub slow_member: SlowMember,
    /// The past that it wants if the group is running already, or has a log.
    pub missed: Option<Missed>,
    /// The last place of the log that it has, if it wants the rest.
    pub behind: u64,
}

/// The progress of a participant.
pub enum Stage {
    /// It lacks what was delivered before its first view, and sends nothing of its own.
    CatchingUp(Box<CatchUp>),
    /// It sends and delivers.
    Sending,
    /// It sends nothing more.
    Finished,
    /// It has everything that was sent in its view, and has reported that.
    Done,
}

/// One client between start and end.
pub struct Participant<E> {
    /// Its access to the group.
    pub endpoint: E,
    /// Its progress.
    pub stage: Stage,
    /// The counts of messages.
    pub finish: Finish,
    /// The texts of authors.
    pub authors: Authors,
    /// It joined a running group.
    is_late: bool,
    settings: Settings,
    /// The application takes no more deliveries for now.
    is_full: bool,
    slowest: SlowestReceiver,
    /// Newcomers that this member lets catch up.
    requests: Vec<Request>,
    /// The length of the last batch's body.
    expected: usize,
    /// No member lets this newcomer catch up.
    cannot_catch_up: bool,
}

impl<E: Endpoint> Participant<E> {
    /// Returns a participant in the present view of `endpoint`, its first.
    pub fn new(endpoint: E, settings: Settings) -> Self {
        let view = endpoint.view();
        let mut finish = Finish::new(endpoint.me(), view);
        for (client, count) in endpoint.delivered_before() {
            finish.delivered_before(client, count);
        }
        // A group that starts has no past, except in a log.
        let is_late = view.number > 1;
        let has_missed = |missed: &Missed| match missed {
            Missed::Log => endpoint.numbers_before() > settings.behind,
            Missed::Deliveries | Missed::State => is_late,
        };
        let missed = settings.missed.filter(has_missed);
        let stage = missed.map_or(Stage::Sending, |missed| {
            Stage::CatchingUp(Box::new(CatchUp::new(missed, view.clone(), settings.behind)))
        });
        Self {
            endpoint,
            stage,
            finish,
            authors: Authors::default(),
            is_late,
            settings,
            is_full: false,
            slowest: SlowestReceiver::default(),
            requests: Vec::new(),
            expected: 0,
            cannot_catch_up: false,
        }
    }

    /// Returns whether it failed because no member let it catch up.
    pub const fn cannot_catch_up(&self) -> bool {
        self.cannot_catch_up
    }

    /// Begins the first view, unless deliveries before it are still to come.
    ///
    /// # Errors
    /// The application fails.
    pub fn begin(&mut self, application: &mut dyn Application<E>) -> Result<(), Failure> {
        match self.stage {
            Stage::CatchingUp(_) => Ok(()),
            _ => application.first_view(self, &self.endpoint.view().clone()),
        }
    }

    /// Does what the application wants. Returns the time at which to continue without input.
    ///
    /// # Errors
    /// The application ends or fails, or no member lets this newcomer catch up.
    pub fn attend(&mut self, application: &mut dyn Application<E>) -> Result<Option<Time>, Failure> {
        let readiness = application.readiness(self)?;
        self.is_full = readiness == Readiness::Full;
        let gives_more = self.give(application)?;
        let now = self.endpoint.now();
        if let Stage::CatchingUp(catch_up) = &mut self.stage {
            if readiness != Readiness::Leaving {
                // A newcomer receives its state, however many events wait.
                let listens = !self.is_full || catch_up.what() == Missed::State;
                self.endpoint.listen(listens);
                if !listens {
                    catch_up.postpone(now);
                }
                let asked = catch_up.ask(&mut self.endpoint);
                self.cannot_catch_up = asked.is_err();
                asked?;
                application.waits(self, Wait::CatchUp);
                return Ok(None);
            }
            self.stage = Stage::Sending;
        }
        self.endpoint.listen(!self.is_full);
        let next = self.send(application)?;
        self.look_for_slow_member(application, now);
        self.report_done(application)?;
        Ok(if gives_more { Some(now) } else { next })
    }

    /// Submits messages as far as the windows allow. Returns the time at which to continue without input.
    fn send(&mut self, application: &mut dyn Application<E>) -> Result<Option<Time>, Failure> {
        self.attend_authors(application)?;
        for _ in 0..BATCHES_PER_TURN {
            let now = self.endpoint.now();
            let to = match application.next(self, now)? {
                Next::Multicast => To::Group,
                Next::Send(member) => To::Member(member),
                Next::Rest(until) => return Ok(until),
                Next::Leave => {
                    self.leave(application);
                    return Ok(None);
                }
                Next::Finish => {
                    self.announce_finish();
                    return Ok(None);
                }
            };
            if self.endpoint.window(to) == 0 {
                application.waits(self, Wait::Window);
                return Ok(None);
            }
            self.send_batch(application, to)?;
        }
        Ok(Some(self.endpoint.now()))
    }

    /// Submits the next messages to `to`, as many as one batch holds.
    fn send_batch(&mut self, application: &mut dyn Application<E>, to: To) -> Result<(), Failure> {
        let mut batch = BatchBuilder::new(self.finish.next_number(to)).at_most(self.settings.batch);
        if to == To::Group {
            batch = batch.expecting(self.expected);
        }
        application.fill(self, to, &mut batch)?;
        if to == To::Group {
            self.expected = batch.len();
        }
        if let Some(batch) = batch.finish() {
            let app = self.finish.submit(to, batch);
            self.endpoint.submit(to, app);
        }
        self.take_events(application)
    }

    /// Multicasts the texts of authors that the send window allows, and declines them once this member sends no more.
    fn attend_authors(&mut self, application: &mut dyn Application<E>) -> Result<(), Failure> {
        let sends = matches!(self.stage, Stage::Sending) && !self.endpoint.departs();
        for post in self.endpoint.posts(sends) {
            self.authors.take(post);
        }
        while !sends || !self.endpoint.is_changing() && self.endpoint.window(To::Group) > 0 {
            let view = self.endpoint.view();
            match self.authors.next(view, sends, self.is_late) {
                None => break,
                Some(Duty::Multicast(post)) => self.multicast_for(application, &post)?,
                Some(Duty::Decline(post)) => self.endpoint.report(&receipt(TextId::of(&post), None)),
                Some(Duty::Delivered(post, message)) => {
                    self.report_delivered(TextId::of(&post), message);
                }
            }
        }
        Ok(())
    }

    fn multicast_for(&mut self, application: &mut dyn Application<E>, post: &Post) -> Result<(), Failure> {
        let own_number = self.finish.next_number(To::Group);
        let author = Author { name: &post.author, key: post.key, number: post.number };
        let mut batch = BatchBuilder::new(own_number);
        batch.push_authored(author, post.text.as_bytes());
        application.multicasts_for(self, own_number, author, post.text.as_bytes())?;
        if let Some(batch) = batch.finish() {
            let app = self.finish.submit(To::Group, batch);
            self.endpoint.submit(To::Group, app);
        }
        self.take_events(application)
    }

    fn report_delivered(&mut self, text: TextId, OwnMessage { sender, own_number }: OwnMessage) {
        let incarnation = self.endpoint.find_seat(sender).map_or(1, |seat| seat.incarnation);
        let id = format!("{}/{incarnation}/{own_number}", self.endpoint.name(sender));
        self.endpoint.report(&receipt(text, Some(id)));
    }

    fn announce_finish(&mut self) {
        if let Some(app) = self.finish.announce() {
            self.stage = Stage::Finished;
            self.endpoint.submit(To::Group, app);
        }
    }

    /// Leaves the group when all others have the messages of this member. The last member finishes instead.
    fn leave(&mut self, application: &mut dyn Application<E>) {
        if self.endpoint.departs() {
            return;
        }
        if self.endpoint.view().clients.len() == 1 {
            return self.announce_finish();
        }
        if self.finish.has_own() && self.endpoint.is_settled() {
            self.endpoint.depart();
        } else {
            application.waits(self, Wait::Leave);
        }
    }

    /// Reports once in each view that everything has been delivered.
    fn report_done(&mut self, application: &mut dyn Application<E>) -> Result<(), Failure> {
        if matches!(self.stage, Stage::Finished) && self.finish.is_complete() {
            self.stage = Stage::Done;
            application.completed(self)?;
            self.endpoint.done();
        }
        Ok(())
    }

    /// Excludes the slowest receiver after the limit for slow members.
    fn look_for_slow_member(&mut self, application: &mut dyn Application<E>, now: Time) {
        if let Some((member, length)) = self.slowest.find(&mut self.endpoint, now, self.is_full) {
            application.waits(self, Wait::SlowMember(member, length));
            self.slowest.exclude(&mut self.endpoint, self.settings.slow_member, member, length);
        }
    }

    /// Takes the events of the endpoint, and reports when everything has been delivered.
    ///
    /// # Errors
    /// The application fails, or this newcomer cannot catch up.
    pub fn take_events(&mut self, application: &mut dyn Application<E>) -> Result<(), Failure> {
        for event in self.endpoint.events() {
            match event {
                Event::Note(at_us, note) => application.note(self, at_us, &note)?,
                Event::Delivery(Delivery { from, app: App::Replay(replay), .. }) => {
                    self.take_replay(application, from, replay)?;
                }
                Event::Delivery(delivery) => match &mut self.stage {
                    Stage::CatchingUp(catch_up) => catch_up.hold(delivery).inspect_err(|_| {
                        self.cannot_catch_up = true;
                    })?,
                    _ => self.deliver(application, delivery)?,
                },
            }
        }
        self.report_done(application)
    }

    fn deliver(&mut self, application: &mut dyn Application<E>, delivery: Delivery) -> Result<(), Failure> {
        self.finish.delivered(delivery.from, &delivery.app);
        match &delivery.app {
            App::Finished(_) | App::Fenced(_) => return Ok(()),
            App::Multicast(batch) => {
                for (text, message) in self.authors.deliver(delivery.from, batch) {
                    self.report_delivered(text, message);
                }
            }
            App::View(..) => {
                // Pieces in flight are lost; the newcomers ask again.
                self.requests.clear();
                // The forwarder counts the reports of each view.
                if matches!(self.stage, Stage::Done) {
                    self.stage = Stage::Finished;
                }
            }
            _ => {}
        }
        application.deliver(self, delivery)
    }

    /// Handles the request of a newcomer, or a reply to this one.
    fn take_replay(
        &mut self,
        application: &mut dyn Application<E>,
        from: MemberId,
        replay: Replay,
    ) -> Result<(), Failure> {
        if let (Replay::Ask { .. }, Stage::CatchingUp(_)) = (&replay, &self.stage) {
            self.endpoint.submit(To::Member(from), App::Replay(Replay::Cannot));
            return Ok(());
        }
        if let Replay::Ask { what, view, have } = replay {
            self.requests.retain(|request| request.by != from);
            self.requests.push(Request { by: from, what, view, have });
            return Ok(());
        }
        let now = self.endpoint.now();
        let Stage::CatchingUp(catch_up) = &mut self.stage else { return Ok(()) };
        let received = catch_up.receive(now, from, replay);
        self.cannot_catch_up = received.is_err();
        for caught_up in received? {
            match caught_up {
                CaughtUp::Part(past) => self.take_past(application, past)?,
                CaughtUp::Whole(held) => self.take_part(application, held)?,
            }
        }
        Ok(())
    }

    /// Takes a part of what was delivered before the first view.
    ///
    /// # Errors
    /// The application fails.
    pub fn take_past(&mut self, application: &mut dyn Application<E>, mut past: Past) -> Result<(), Failure> {
        if let Past::Deliveries(deliveries) = &mut past {
            self.authors.have_delivered(deliveries);
        }
        application.past(self, past)
    }

    /// Begins the first view of a newcomer that has caught up, and delivers what was held back meanwhile.
    fn take_part(
        &mut self,
        application: &mut dyn Application<E>,
        held: VecDeque<Delivery>,
    ) -> Result<(), Failure> {
        if let Stage::CatchingUp(catch_up) = std::mem::replace(&mut self.stage, Stage::Sending) {
            application.first_view(self, catch_up.first_view())?;
        }
        held.into_iter().try_for_each(|delivery| self.deliver(application, delivery))
    }
}

impl Participant<Node> {
    /// Takes part, once it has [begun](Self::begin), until the run is over or this member has left it.
    ///
    /// # Errors
    /// The cause, if it ends early. Earlier deliveries have been passed on.
    pub fn run(&mut self, application: &mut dyn Application<Node>) -> Result<(), Failure> {
        while !self.endpoint.is_over() {
            let next = self.attend(application)?;
            application.before_wait(self)?;
            let turned = self.endpoint.turn(next);
            self.take_events(application)?;
            turned?;
        }
        Ok(())
    }
}
