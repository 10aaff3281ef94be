//! The finish at a client: its own messages and those of the others, counted, and the tallies of the others. Pure.

use std::collections::BTreeMap;

use crate::engine::{MemberId, To, View};
use crate::member::{App, Tally};
use crate::wire::Batch;

/// One client's account of the run.
#[derive(Debug)]
pub struct Finish {
    me: MemberId,
    /// The messages that it has submitted.
    sent: Tally,
    has_finished: bool,
    clients: BTreeMap<MemberId, Account>,
}

/// The account of a client of the view.
#[derive(Debug, Default)]
struct Account {
    tally: Option<Tally>,
    multicasts: u64,
    received: u64,
}

impl Finish {
    /// Returns the account of `me` in `view`, before any message.
    #[must_use]
    pub fn new(me: MemberId, view: &View) -> Self {
        let clients = view.clients.iter().map(|&client| (client, Account::default())).collect();
        Self { me, sent: Tally::default(), has_finished: false, clients }
    }

    /// Counts the multicasts of `client` that were delivered before this member joined.
    pub fn delivered_before(&mut self, client: MemberId, count: u64) {
        self.with(client, |account| account.multicasts += count);
    }

    /// Returns the message number of the next message to `to`.
    #[must_use]
    pub fn next_number(&self, to: To) -> u64 {
        1 + match to {
            To::Group => self.sent.multicasts,
            To::Member(member) => self.sent.sent.get(&member).copied().unwrap_or(0),
        }
    }

    /// Counts messages to `to` and returns their submission.
    pub fn submit(&mut self, to: To, batch: Batch) -> App {
        let count = u64::from(batch.count());
        match to {
            To::Group => {
                self.sent.multicasts += count;
                App::Multicast(batch)
            }
            To::Member(member) => {
                *self.sent.sent.entry(member).or_default() += count;
                App::Direct(batch)
            }
        }
    }

    /// Returns the announcement that this member sends nothing more, once.
    pub fn announce(&mut self) -> Option<App> {
        if self.has_finished {
            return None;
        }
        self.has_finished = true;
        let tally = self.sent.clone();
        self.with(self.me, |account| account.tally = Some(tally.clone()));
        Some(App::Finished(tally))
    }

    /// Returns whether this member has announced that it sends nothing more.
    #[must_use]
    pub const fn has_finished(&self) -> bool {
        self.has_finished
    }

    /// Takes note of a delivery: counts messages, records a tally, begins a view.
    pub fn delivered(&mut self, from: MemberId, app: &App) {
        match app {
            App::Multicast(batch) => self.with(from, |it| it.multicasts += u64::from(batch.count())),
            App::Direct(batch) => self.with(from, |it| it.received += u64::from(batch.count())),
            App::Finished(tally) => self.with(from, |it| {
                it.tally.get_or_insert_with(|| tally.clone());
            }),
            App::View(view, _) => {
                self.clients.retain(|client, _| view.clients.contains(client));
                for &client in &view.clients {
                    self.clients.entry(client).or_default();
                }
            }
            App::Undeliverable(..)
            | App::Advance(_)
            | App::Record(_)
            | App::Replay(_)
            | App::Fenced(_)
            | App::Notice(_) => {}
        }
    }

    fn with(&mut self, client: MemberId, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.clients.get_mut(&client) {
            change(account);
        }
    }

    /// Returns whether this member has delivered all its own multicasts.
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.clients.get(&self.me).map_or(0, |own| own.multicasts) >= self.sent.multicasts
    }

    /// Returns whether all clients have finished and all their messages have been delivered here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.waits_for().next().is_none()
    }

    /// Returns the clients that have not finished, or of which something is still to come.
    pub fn waits_for(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.clients.iter().filter(|(_, account)| !account.is_settled(self.me)).map(|(&client, _)| client)
    }
}

impl Account {
    fn is_settled(&self, me: MemberId) -> bool {
        self.tally.as_ref().is_some_and(|tally| {
            self.multicasts >= tally.multicasts && self.received >= tally.sent.get(&me).copied().unwrap_or(0)
        })
    }
}
