//! The finish: the announcements of the clients that they send nothing more, compared with the deliveries here.

use std::collections::BTreeMap;

use crate::engine::{MemberId, View};
use crate::wire::{Malformed, Reader, Wire, Writer};

/// The messages of a client in the whole run, counted. Travels in the client's own stream, after everything else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// The number of messages it multicast.
    pub multicasts: u64,
    /// The number of direct messages to each receiver that got any.
    pub sent: BTreeMap<MemberId, u64>,
}

impl Wire for Tally {
    fn write(&self, out: &mut Writer) {
        out.u64(self.multicasts);
        out.length(self.sent.len());
        for (&member, &count) in &self.sent {
            out.member(member);
            out.u64(count);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let multicasts = from.u64()?;
        let mut sent = BTreeMap::new();
        for _ in 0..from.length(10)? {
            let (member, count) = (from.member()?, from.u64()?);
            // Ascending: no member is named twice, and every tally has one form.
            if sent.last_key_value().is_some_and(|(&last, _)| last >= member) {
                return Err(Malformed);
            }
            sent.insert(member, count);
        }
        Ok(Self { multicasts, sent })
    }
}

/// One client's account of the run: the others' tallies, and the deliveries here.
#[derive(Debug)]
pub struct Finish {
    me: MemberId,
    clients: BTreeMap<MemberId, Account>,
}

#[derive(Debug, Default)]
struct Account {
    tally: Option<Tally>,
    multicasts: u64,
    received: u64,
}

impl Finish {
    /// Returns the account of `me` in `view`, before any delivery.
    #[must_use]
    pub fn new(me: MemberId, view: &View) -> Self {
        Self { me, clients: view.clients.iter().map(|&client| (client, Account::default())).collect() }
    }

    /// Begins a new view: forgets the clients that are gone and adds those that are new.
    pub fn go_on_with(&mut self, view: &View) {
        self.clients.retain(|client, _| view.clients.contains(client));
        for &client in &view.clients {
            self.clients.entry(client).or_default();
        }
    }

    /// Counts the multicasts of this client that were delivered before this member joined.
    pub fn came_after(&mut self, client: MemberId, count: u64) {
        if let Some(account) = self.clients.get_mut(&client) {
            account.multicasts += count;
        }
    }

    /// Returns the number of multicasts of this client that were delivered here, or before this member joined.
    #[must_use]
    pub fn multicasts_of(&self, client: MemberId) -> u64 {
        self.clients.get(&client).map_or(0, |account| account.multicasts)
    }

    /// Counts multicasts of `from` that were delivered here.
    pub fn delivered(&mut self, from: MemberId, count: u64) {
        if let Some(account) = self.clients.get_mut(&from) {
            account.multicasts += count;
        }
    }

    /// Counts direct messages of `from` that were received here.
    pub fn received(&mut self, from: MemberId, count: u64) {
        if let Some(account) = self.clients.get_mut(&from) {
            account.received += count;
        }
    }

    /// Records the tally of `from`, which sends nothing more.
    pub fn finished(&mut self, from: MemberId, tally: Tally) {
        if let Some(account) = self.clients.get_mut(&from) {
            account.tally.get_or_insert(tally);
        }
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
