//! A simulated client: submits its tasks as the windows open, then `Finished`, and keeps a record.

use std::collections::VecDeque;

use bytes::Bytes;

use super::workload::{Task, text};
use crate::check::{Event, Installed, MessageId, Record};
use crate::engine::{MemberId, To, View};
use crate::member::App;
use crate::participant::finish::Finish;
use crate::results::undelivered;
use crate::wire::{Batch, BatchBuilder};

/// One client of the run.
#[derive(Debug)]
pub(super) struct Client {
    me: MemberId,
    pub(super) record: Record,
    finish: Finish,
    /// The number of tasks whose time has not come.
    ahead: usize,
    /// The tasks whose time has come and that wait for a window.
    backlog: VecDeque<Task>,
}

impl Client {
    pub(super) fn new(me: MemberId, view: &View, tasks: usize) -> Self {
        Self {
            me,
            record: Record { name: me.to_string(), ..Record::default() },
            finish: Finish::new(me, view),
            ahead: tasks,
            backlog: VecDeque::new(),
        }
    }

    /// Queues a task whose time has come.
    pub(super) fn take(&mut self, task: Task) {
        if self.record.stopped {
            return;
        }
        self.ahead -= 1;
        self.backlog.push_back(task);
    }

    /// Returns true if a task waits for its window.
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Returns the next submission if its window is open: the oldest task or, after the last, `Finished`.
    pub(super) fn next_submission(&mut self, window: impl Fn(To) -> usize) -> Option<(To, App)> {
        let to = self.backlog.front().map_or(To::Group, |task| task.to);
        let is_over = self.record.stopped || self.finish.has_finished();
        let idle = self.backlog.is_empty() && (self.ahead > 0 || is_over);
        if idle || window(to) == 0 {
            return None;
        }
        match self.backlog.pop_front() {
            Some(task) => Some((to, self.submission(&task))),
            None => self.finish.announce().map(|app| (to, app)),
        }
    }

    fn submission(&mut self, task: &Task) -> App {
        let batch = self.batch(task, self.finish.next_number(task.to));
        for (id, text) in self.messages(self.me, &batch) {
            self.record.events.push(match task.to {
                To::Group => Event::Multicast { id, text },
                To::Member(to) => Event::Send { id, to: to.0, text },
            });
        }
        self.finish.submit(task.to, batch)
    }

    fn batch(&self, task: &Task, first: u64) -> Batch {
        let mut batch = BatchBuilder::new(first);
        for (number, &padding) in (first..).zip(&task.paddings) {
            batch.push(text(self.me, task.to, number, padding).as_bytes());
        }
        batch.finish().expect("a task has messages")
    }

    /// Records a delivery of the engines.
    pub(super) fn deliver(&mut self, from: MemberId, number: Option<u64>, app: App) {
        self.finish.delivered(from, &app);
        match app {
            App::Multicast(batch) => {
                for (offset, (id, text)) in (0..).zip(self.messages(from, &batch)) {
                    let number = number.map(|first| first + offset);
                    self.record.events.push(Event::Deliver { id, number, epoch: 1, text });
                }
            }
            App::Direct(batch) => {
                for (id, text) in self.messages(from, &batch) {
                    self.record.events.push(Event::Receive { id, text });
                }
            }
            App::View(view, _) => self.note_view(&view),
            App::Undeliverable(batch, reason) => {
                for (id, _) in self.messages(self.me, &batch) {
                    let reason = undelivered(reason).to_owned();
                    self.record.events.push(Event::Undeliverable { id, to: from.0, reason });
                }
            }
            App::Fenced(_) => self.stops(),
            App::Finished(_) | App::Replay(_) | App::Notice(_) => {}
        }
    }

    /// Records that the client installed this view.
    pub(super) fn note_view(&mut self, view: &View) {
        let mut members: Vec<String> = view.clients.iter().map(ToString::to_string).collect();
        members.sort_unstable();
        let at = self.record.events.len();
        self.record.views.push(Installed { at, number: view.number, members, line: None });
    }

    /// Stops the client: it is no longer a member, and its record is complete.
    pub(super) fn stops(&mut self) {
        self.record.stopped = true;
        self.backlog.clear();
        self.ahead = 0;
    }

    fn messages(&self, from: MemberId, batch: &Batch) -> Vec<(MessageId, Bytes)> {
        let id = |number| MessageId { member: from.0, incarnation: 1, number };
        batch.messages().map(|(number, text)| (id(number), batch.body().slice_ref(text))).collect()
    }

    /// Returns the members that it still waits for, including itself until it has submitted `Finished`.
    pub(super) fn waits_for(&self) -> Vec<MemberId> {
        self.finish.waits_for().collect()
    }
}
