//! A cluster in which nothing goes wrong but crashes and delays: random valid histories.

use std::collections::BTreeMap;

use super::{ClusterHistory, Happening, Life, MemberStory, NAMES};
use crate::prng::Prng;

/// A message: its sender and number, its time, what its sender had shown.
#[derive(Clone)]
struct Message {
    id: (u16, u64),
    time: u64,
    deps: Vec<u64>,
}

#[derive(Default)]
struct Member {
    clock: u64,
    have: Vec<u64>,
    confirmed: u64,
    lives: Vec<Life>,
}

/// All messages are known here, so that a member can tell what will never come.
struct Cluster {
    members: Vec<Member>,
    messages: Vec<Message>,
}

/// Returns the history of a run of three members; all of them settle.
pub(super) fn valid(prng: &mut Prng) -> ClusterHistory {
    let fresh = || Member { have: vec![0; 3], lives: vec![Life::default()], ..Member::default() };
    let mut cluster = Cluster { members: (0..3).map(|_| fresh()).collect(), messages: vec![] };
    for _ in 0..prng.between(4, 16) {
        cluster.step(prng);
    }
    while (0..3).any(|member| cluster.show(prng, member)) {}
    let last = cluster.messages.iter().map(|message| message.time).max().unwrap_or_default();
    for member in 0..3 {
        cluster.members[member].clock = last;
    }
    for member in 0..3 {
        cluster.confirm(prng, member, true);
        cluster.members[member].lives.last_mut().unwrap().end = Some("settled".to_owned());
    }
    let story = |(member, name): (Member, &str)| MemberStory {
        name: name.to_owned(),
        lives: member.lives,
        ..MemberStory::default()
    };
    let members = cluster.members.into_iter().zip(NAMES).map(story);
    ClusterHistory { members: members.collect(), strangers: vec![] }
}

impl Cluster {
    fn step(&mut self, prng: &mut Prng) {
        let member = prng.below(3) as usize;
        match prng.below(10) {
            0..3 => self.multicast(member, prng.below(4) == 0),
            3..7 => {
                self.show(prng, member);
            }
            7 => self.members[member].clock += prng.below(4),
            8 => self.confirm(prng, member, false),
            _ => {
                let recover = Happening::Recover { entries: 0, confirmed: 0 };
                self.members[member].lives.push(Life { events: vec![recover], ..Life::default() });
            }
        }
    }

    fn tell(&mut self, member: usize, happening: Happening) {
        self.members[member].lives.last_mut().unwrap().events.push(happening);
    }

    /// Multicasts a message; if it is `lost`, the member crashes before it is stored.
    fn multicast(&mut self, member: usize, lost: bool) {
        let number = self.members[member].have[member] + 1;
        let text = if lost { "lost".to_owned() } else { number.to_string() };
        self.tell(member, Happening::Multicast { number, text: text.into() });
        if lost {
            self.members[member].lives.push(Life::default());
            return;
        }
        let Member { clock, have, .. } = &mut self.members[member];
        *clock += 1;
        let message = Message { id: (member as u16, number), time: *clock, deps: have.clone() };
        self.messages.push(message.clone());
        self.tell(member, Happening::Stored { number });
        self.insert(member, &message);
    }

    fn insert(&mut self, member: usize, message: &Message) {
        let Message { id, time, deps } = message.clone();
        let to = &mut self.members[member];
        to.have[usize::from(id.0)] += 1;
        to.clock = to.clock.max(time);
        self.tell(member, Happening::Insert { id, at: (time, id.0), deps, text: id.1.to_string().into() });
    }

    /// Shows one message whose causes are shown; returns false if there is none.
    fn show(&mut self, prng: &mut Prng, member: usize) -> bool {
        let have = &self.members[member].have;
        let is_next = |message: &&Message| {
            message.id.1 == have[usize::from(message.id.0)] + 1
                && message.deps.iter().zip(have).all(|(need, have)| need <= have)
        };
        let next: Vec<Message> = self.messages.iter().filter(is_next).cloned().collect();
        if next.is_empty() {
            return false;
        }
        self.insert(member, &next[prng.below(next.len() as u64) as usize]);
        true
    }

    /// Confirms some or all of the messages that nothing can come before.
    fn confirm(&mut self, prng: &mut Prng, member: usize, all: bool) {
        let clocks: Vec<u64> = self.members.iter().map(|member| member.clock).collect();
        let least = clocks.iter().copied().min().unwrap_or_default();
        let mut sorted: Vec<&Message> = self.messages.iter().collect();
        sorted.sort_by_key(|message| (message.time, message.id));
        let have = &self.members[member].have;
        let first = self.members[member].confirmed;
        let is_final =
            |message: &&&Message| message.time <= least && message.id.1 <= have[usize::from(message.id.0)];
        let ready = sorted.iter().skip(first as usize).take_while(is_final).count() as u64;
        let count = if all { ready } else { prng.below(ready + 1) };
        if count == 0 {
            return;
        }
        let last = sorted[(first + count - 1) as usize];
        let (upto, digest) = ((last.time, last.id.0), last.time * 100 + u64::from(last.id.0));
        self.members[member].confirmed += count;
        self.tell(member, Happening::Confirm { upto, number: first + 1, count, digest });
    }
}

/// Returns the number of events of each kind, to see that runs are not all alike.
pub(super) fn kinds(history: &ClusterHistory) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for life in history.members.iter().flat_map(|member| &member.lives) {
        for happening in &life.events {
            let kind = match happening {
                Happening::Multicast { .. } => "multicast",
                Happening::Insert { .. } => "insert",
                Happening::Confirm { .. } => "confirm",
                _ => continue,
            };
            *kinds.entry(kind).or_default() += 1;
        }
        *kinds.entry("life").or_default() += 1;
    }
    kinds
}
