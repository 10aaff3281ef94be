//! A process of the simulated world: a member with its engines, or a newcomer; its tasks; and its history.

use std::collections::VecDeque;

use bytes::Bytes;

use super::workload::{Task, text};
use crate::engine::{Effects, Engine, MemberId, Time, To, View};
use crate::member::{App, Membership, Newcomer, Note, Notice, Undelivered, Watch};
use crate::participant::finish::Finish;
use crate::wire::control::Seat;
use crate::wire::{Batch, BatchBuilder, Packet};

/// An event at a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It multicast its message of this number.
    Multicast(u64, Bytes),
    /// It delivered this message of that member, with this global number.
    Deliver(MemberId, u64, Option<u64>, Bytes),
    /// It sent its message of this number to that member.
    Send(MemberId, u64, Bytes),
    /// It received this direct message of that member.
    Receive(MemberId, u64, Bytes),
    /// Its message of this number to that member is undeliverable.
    Undeliverable(MemberId, u64, Undelivered),
    /// It installed this view.
    View(View),
    /// It is not in the group any more.
    Fenced,
    /// It noticed this about that member.
    Notice(MemberId, Notice),
    /// A message arrived, or waits. Only for histories.
    Note(Note),
}

/// The reason why a process does nothing more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It crashed.
    Crashed,
    /// The group went on without it, and it knows.
    LeftBehind,
}

/// The engines of a process.
pub enum State {
    /// It asks to join.
    Newcomer(Newcomer),
    /// It is a member.
    Member(Box<Membership>),
}

/// A process.
pub struct Process {
    /// Its slot.
    pub me: MemberId,
    /// Whether it was started while the group ran, and asked to join.
    pub is_late: bool,
    /// Whether it was started while the group ran, and takes itself for a member.
    pub is_stranger: bool,
    /// Whether it has asked to leave.
    pub has_left: bool,
    /// The reason why it does nothing more, if it does not.
    pub ended: Option<End>,
    /// Its events, each with its time.
    pub history: Vec<(Time, Event)>,
    pub(super) state: State,
    /// The time of its next wake.
    pub(super) deadline: Option<Time>,
    pub(super) paused_until: Time,
    pub(super) deaf_until: Time,
    /// The tasks that it has not submitted, ascending.
    pub(super) tasks: VecDeque<Task>,
    /// The account of a member.
    finish: Option<Finish>,
    /// Whether it announces its finish after its last task.
    announces: bool,
    pub(super) watch: Option<Watch>,
}

impl Process {
    pub(super) fn new(seat: &Seat, state: State) -> Self {
        Self {
            me: MemberId(seat.slot),
            is_late: seat.late,
            is_stranger: false,
            has_left: false,
            ended: None,
            history: Vec::new(),
            state,
            deadline: None,
            paused_until: Time::ZERO,
            deaf_until: Time::ZERO,
            tasks: VecDeque::new(),
            finish: None,
            announces: false,
            watch: None,
        }
    }

    /// Begins as a member of this view.
    pub(super) fn begin(&mut self, now: Time, view: &View, finishes: bool) {
        self.history.push((now, Event::View(view.clone())));
        self.refresh_deadline();
        let mut finish = Finish::new(self.me, view);
        let before = self.membership().into_iter().flat_map(Membership::delivered_before);
        before.for_each(|(client, count)| finish.delivered_before(client, count));
        self.finish = Some(finish);
        self.announces = finishes && view.clients.contains(&self.me);
    }

    /// Returns the membership of a member.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        match &self.state {
            State::Newcomer(_) => None,
            State::Member(membership) => Some(membership),
        }
    }

    /// Returns the view of a member.
    #[must_use]
    pub fn view(&self) -> Option<&View> {
        self.membership().map(Membership::view)
    }

    /// Returns whether it is in the group, as far as it knows.
    #[must_use]
    pub fn is_in(&self) -> bool {
        let is_member = self.membership().is_some_and(|membership| !membership.is_out());
        is_member && self.ended.is_none() && !self.is_stranger && !self.has_left
    }

    /// Returns whether it has tasks that it has not submitted.
    #[must_use]
    pub fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Returns whether it is a member that waits for nothing more.
    pub(super) fn is_done(&self) -> bool {
        self.ended.is_none() && self.membership().is_some() && self.waits_for().is_empty()
    }

    /// Returns the clients that have not finished, or of which messages are to come.
    pub(super) fn waits_for(&self) -> Vec<MemberId> {
        let finish = self.finish.as_ref().filter(|_| self.announces);
        finish.map(|finish| finish.waits_for().collect()).unwrap_or_default()
    }

    pub(super) fn has_due_task(&self, now: Time) -> bool {
        self.tasks.front().is_some_and(|task| task.at <= now)
    }

    pub(super) fn refresh_deadline(&mut self) {
        self.deadline = match &self.state {
            _ if self.ended.is_some() => None,
            State::Newcomer(newcomer) => Some(newcomer.next_deadline()),
            State::Member(membership) => membership.next_deadline(),
        };
    }

    /// Takes note of a seat that the forwarder gives.
    pub(super) fn learn(&mut self, seat: &Seat) {
        match &mut self.state {
            State::Newcomer(newcomer) => newcomer.seated(std::slice::from_ref(seat)),
            State::Member(membership) => membership.seated(std::slice::from_ref(seat)),
        }
    }

    pub(super) fn end(&mut self, now: Time, end: End) {
        self.ended = Some(end);
        self.deadline = None;
        if end == End::LeftBehind {
            self.history.push((now, Event::Fenced));
        }
    }

    /// Returns the next submission if it is due and its window is open: a task or, after the last, `Finished`.
    pub(super) fn next_submission(&mut self, now: Time) -> Option<(To, App)> {
        let State::Member(membership) = &self.state else { return None };
        let (to, at) = self.tasks.front().map_or((To::Group, now), |task| (task.to, task.at));
        if self.ended.is_some() || at > now || membership.window(to) == 0 {
            return None;
        }
        let finish = self.finish.as_mut()?;
        let Some(task) = self.tasks.pop_front() else {
            return finish.announce().filter(|_| self.announces).map(|app| (to, app));
        };
        let mut batch = BatchBuilder::new(finish.next_number(to));
        for (number, &padding) in (finish.next_number(to)..).zip(&task.paddings) {
            batch.push(text(self.me, to, number, padding).as_bytes());
        }
        let batch = batch.finish().expect("a task has messages");
        let app = finish.submit(to, batch.clone());
        self.log(now, &batch, |_, number, text| match to {
            To::Group => Event::Multicast(number, text),
            To::Member(to) => Event::Send(to, number, text),
        });
        Some((to, app))
    }

    /// Records a delivery of the engines.
    pub(super) fn deliver(&mut self, now: Time, from: MemberId, number: Option<u64>, app: App) {
        self.finish.iter_mut().for_each(|finish| finish.delivered(from, &app));
        match app {
            App::Multicast(batch) => self.log(now, &batch, |place, own, text| {
                Event::Deliver(from, own, number.map(|first| first + place), text)
            }),
            App::Direct(batch) => self.log(now, &batch, |_, own, text| Event::Receive(from, own, text)),
            App::Undeliverable(batch, reason) => {
                self.log(now, &batch, |_, own, _| Event::Undeliverable(from, own, reason));
            }
            App::View(view, _) => self.history.push((now, Event::View(view))),
            App::Notice(notice) => self.history.push((now, Event::Notice(from, notice))),
            App::Finished(_) | App::Fenced(_) | App::Replay(_) | App::Advance(_) | App::Record(_) => {}
        }
    }

    /// Records an event for each message of a batch: its position in it, its number and its text.
    fn log(&mut self, now: Time, batch: &Batch, event: impl Fn(u64, u64, Bytes) -> Event) {
        for (place, (number, text)) in (0..).zip(batch.messages()) {
            self.history.push((now, event(place, number, batch.body().slice_ref(text))));
        }
    }

    /// Records the arrivals and waits of a step, if it is watched.
    pub(super) fn note(&mut self, now: Time, effects: &Effects<App, Packet>) {
        if let (Some(watch), State::Member(membership)) = (&mut self.watch, &self.state) {
            let mut notes = Vec::new();
            watch.look(membership, effects, &mut notes);
            self.history.extend(notes.into_iter().map(|note| (now, Event::Note(note))));
        }
    }
}
