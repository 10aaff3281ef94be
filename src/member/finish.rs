//! The finish: who has said that it will send nothing more, and has everything arrived that was promised?

use std::collections::BTreeMap;

use crate::engine::{MemberId, View};
use crate::wire::{Malformed, Reader, Wire, Writer};

/// What a client has sent in the whole run. It travels in the client's own stream, after everything else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// How many messages it multicast.
    pub multicasts: u64,
    /// How many messages it sent to whom; only those it sent something to.
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
            // Ascending, so that nobody is named twice and every tally has one form.
            if sent.last_key_value().is_some_and(|(&last, _)| last >= member) {
                return Err(Malformed);
            }
            sent.insert(member, count);
        }
        Ok(Self { multicasts, sent })
    }
}

/// One client's account of the run: what the others say they sent, and what has been delivered here.
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
    /// The account of `me` in `view`, in which nothing has been sent yet.
    #[must_use]
    pub fn new(me: MemberId, view: &View) -> Self {
        Self { me, clients: view.clients.iter().map(|&client| (client, Account::default())).collect() }
    }

    /// The group is this one now: of those who are gone nothing more is to come, and of those who are new everything.
    pub fn go_on_with(&mut self, view: &View) {
        self.clients.retain(|client, _| view.clients.contains(client));
        for &client in &view.clients {
            self.clients.entry(client).or_default();
        }
    }

    /// So many multicasts of this client were delivered before this member came.
    pub fn came_after(&mut self, client: MemberId, count: u64) {
        if let Some(account) = self.clients.get_mut(&client) {
            account.multicasts += count;
        }
    }

    /// How many multicasts of this client have been delivered here, or before this member came.
    #[must_use]
    pub fn multicasts_of(&self, client: MemberId) -> u64 {
        self.clients.get(&client).map_or(0, |account| account.multicasts)
    }

    /// `count` multicasts of `from` were delivered here.
    pub fn delivered(&mut self, from: MemberId, count: u64) {
        if let Some(account) = self.clients.get_mut(&from) {
            account.multicasts += count;
        }
    }

    /// `count` direct messages of `from` were received here.
    pub fn received(&mut self, from: MemberId, count: u64) {
        if let Some(account) = self.clients.get_mut(&from) {
            account.received += count;
        }
    }

    /// `from` has said that it will send nothing more.
    pub fn finished(&mut self, from: MemberId, tally: Tally) {
        if let Some(account) = self.clients.get_mut(&from) {
            account.tally.get_or_insert(tally);
        }
    }

    /// Whether all clients have finished and everything they sent has been delivered here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.waits_for().next().is_none()
    }

    /// The clients that have not finished, or of which something is still to come.
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
