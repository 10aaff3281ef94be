//! Clusters as a model: the real replicas, with disks that sync late, members that crash at any moment, and a network that
//! delivers each datagram at any later time or never.
//!
//! A datagram that does not arrive is as good as lost, so every loss and every order of arrival is among the states; a
//! bound counts only the losses that are made up for. Each member has a clock of its own, which passes by whole seconds:
//! within one, every wait of a replica ends. How often that happens is bounded, like the crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use groupcast::defect::Defects;
use groupcast::engine::{MemberId, Time, To};
use groupcast::replica::entry::{Content, Entry, EntryId, Stamp};
use groupcast::replica::message::Message;
use groupcast::replica::record::Record;
use groupcast::replica::{Config, DropReason, Effect, Effects, Input, Replica};
use groupcast::wire::BatchBuilder;
use stateright::{Model, Property};

use super::packet::{Packet, slot};

/// Seconds without a fault in which everything must be confirmed.
const PATIENCE: usize = 12;

/// How much may happen in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The number of crashes of each member.
    pub(super) crashes: &'static [u8],
    /// The number of seconds that pass at each member.
    pub(super) seconds: &'static [u8],
    /// The number of datagrams that are lost, and made up for.
    pub(super) losses: u8,
}

/// A cluster that is about to run.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// For each member, the number of entries that it sends.
    pub(super) script: &'static [u8],
    pub(super) bounds: Bounds,
    pub(super) defects: Defects,
}

/// A record, as bytes, with its index.
type Line = (u64, Bytes);

/// A member: its replica, its disk, and what its application was told in all lives.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Member {
    replica: Replica,
    now: Time,
    life: u32,
    synced: Vec<Line>,
    written: Vec<Line>,
    submitted: u8,
    crashes: u8,
    seconds: u8,
    /// Its list, each entry with its text.
    list: BTreeMap<Stamp, (EntryId, Bytes)>,
    /// The place up to which it was told that the list is final.
    upto: Stamp,
    /// The highest place of an entry that it has shown.
    highest: Stamp,
}

/// A cluster in the middle of a run.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct State {
    members: Vec<Member>,
    flying: Vec<Packet>,
    losses: u8,
    /// The properties that were violated on the way here.
    flaws: BTreeSet<&'static str>,
    /// An entry was shown above others.
    has_inserted_above: bool,
}

/// The events that can happen next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Submit(MemberId),
    /// The first records, so many, that a member has written are synced: others came while the disk was busy.
    Sync(MemberId, usize),
    Arrive(Packet),
    Lose(Packet),
    /// A second passes.
    Wait(MemberId),
    /// The disk keeps so many of the records that were not synced, and the member starts again.
    Crash(MemberId, usize),
}

const BLAMED: &str = "nobody is blamed";
const BELOW: &str = "nothing is inserted below what is confirmed";
const CLOSURE: &str = "causes are shown before";
const MAJORITY: &str = "a majority has what is confirmed";
const LOST: &str = "what is shown survives a crash";

impl Cluster {
    fn config(&self, me: usize) -> Config {
        let members = self.script.len();
        Config {
            me: slot(me),
            members,
            longest: 1_165,
            room: 92,
            limit: 1 << 30,
            snapshot_every: 1 << 20,
            defects: self.defects,
        }
    }

    /// A member that starts from what its disk has.
    fn start(&self, at: usize, now: Time, synced: Vec<Line>) -> Option<(Member, Effects)> {
        let parsed =
            |(index, bytes): &Line| (*index, Record::parse(bytes.clone()).expect("it was written so"));
        let records: Vec<(u64, Record)> = synced.iter().map(parsed).collect();
        let next = synced.last().map_or(0, |(index, _)| *index) + 1;
        let mut effects = Effects::new();
        let (replica, recovered) =
            Replica::recover(now, self.config(at), &records, next, &mut effects).ok()?;
        let submitted = u8::try_from(replica.entries_of(slot(at))).expect("scripts are short");
        let member = Member {
            replica,
            now,
            life: recovered.life,
            synced,
            written: Vec::new(),
            submitted,
            crashes: 0,
            seconds: 0,
            list: BTreeMap::new(),
            upto: Stamp::default(),
            highest: Stamp::default(),
        };
        Some((member, effects))
    }

    fn step(&self, state: &mut State, at: MemberId, input: Input) {
        let member = &mut state.members[usize::from(at.0)];
        let mut effects = Effects::new();
        member.replica.handle(member.now, input, &mut effects);
        self.perform(state, at, effects);
    }

    fn perform(&self, state: &mut State, at: MemberId, effects: Effects) {
        for effect in effects {
            let member = &mut state.members[usize::from(at.0)];
            match effect {
                Effect::Store(record) => {
                    let last = member.written.last().or(member.synced.last());
                    let index = last.map_or(0, |(index, _)| *index) + 1;
                    member.written.push((index, record.bytes()));
                }
                Effect::Send(to, message) => {
                    let header = message.bytes();
                    let others = (0..self.script.len()).map(slot).filter(|&other| other != at);
                    for to in others.filter(|&other| to == To::Group || to == To::Member(other)) {
                        let packet = Packet { to, from: at, header: header.clone(), body: Bytes::new() };
                        packet.fly(&mut state.flying);
                    }
                }
                Effect::Insert(entry) => insert(state, at, &entry),
                Effect::Confirm { confirmed, .. } => {
                    let before = member.upto;
                    member.upto = before.max(confirmed.upto);
                    let news = member.list.range(..=member.upto).filter(|(stamp, _)| **stamp > before);
                    let news: Vec<EntryId> = news.map(|(_, (id, _))| *id).collect();
                    if news.into_iter().any(|id| !state.is_at_majority(id)) {
                        state.flaws.insert(MAJORITY);
                    }
                }
                Effect::Drop(_, DropReason::Duplicate) | Effect::Remove(_) => {}
                Effect::Drop(..)
                | Effect::Forked(_)
                | Effect::Outdated(_)
                | Effect::Withdraw(_)
                | Effect::Epoch(..)
                | Effect::Diverged(_) => {
                    state.flaws.insert(BLAMED);
                }
            }
        }
    }

    fn crash(&self, state: &mut State, at: usize, kept: usize) -> Option<()> {
        let old = state.members[at].clone();
        let synced = old.synced.into_iter().chain(old.written.into_iter().take(kept)).collect();
        let (member, effects) = self.start(at, old.now, synced)?;
        state.members[at] = Member {
            crashes: old.crashes + 1,
            seconds: old.seconds,
            upto: old.upto,
            highest: old.highest,
            ..member
        };
        let shows = |effect: &Effect| match effect {
            Effect::Insert(entry) => Some(entry.stamp()),
            _ => None,
        };
        let again: BTreeSet<Stamp> = effects.iter().filter_map(shows).collect();
        if old.list.keys().any(|stamp| !again.contains(stamp)) {
            state.flaws.insert(LOST);
        }
        // An entry that is shown again is no insertion.
        for effect in &effects {
            if let Effect::Insert(entry) = effect {
                state.members[at].list.insert(entry.stamp(), (entry.id, text_of(entry)));
            }
        }
        let rest = effects.into_iter().filter(|effect| !matches!(effect, Effect::Insert(_)));
        self.perform(state, slot(at), rest.collect());
        Some(())
    }

    /// The events that can happen without a fault and without time passing.
    fn calm(&self, state: &State) -> Vec<Action> {
        let can_submit = |&at: &usize| {
            let member = &state.members[at];
            member.submitted < self.script[at] && member.replica.window() > 0
        };
        let submits = (0..self.script.len()).filter(can_submit).map(|at| Action::Submit(slot(at)));
        let written = (0..self.script.len()).map(|at| (at, state.members[at].written.len()));
        let syncs =
            written.flat_map(|(at, count)| (1..=count).rev().map(move |count| Action::Sync(slot(at), count)));
        let mut flying = state.flying.clone();
        flying.dedup();
        submits.chain(syncs).chain(flying.into_iter().map(Action::Arrive)).collect()
    }

    /// Whether nothing can happen any more, within the bounds.
    fn is_at_the_end(&self, state: &State) -> bool {
        let is_spent = |(at, member): (usize, &Member)| {
            member.seconds == self.bounds.seconds[at] && member.crashes == self.bounds.crashes[at]
        };
        state.members.iter().enumerate().all(is_spent) && self.calm(state).is_empty()
    }

    /// Whether everything is confirmed everywhere if nothing more is lost.
    fn heals(&self, state: &State) -> bool {
        let mut state = state.clone();
        for _ in 0..PATIENCE {
            for at in 0..self.script.len() {
                self.wait(&mut state, slot(at));
            }
            while let Some(next) = self.calm(&state).into_iter().next() {
                state = self.next_state(&state, next).expect("it can happen");
            }
        }
        let first = &state.members[0];
        let is_done = |(at, member): (usize, &Member)| {
            member.submitted == self.script[at]
                && member.list == first.list
                && member.list.keys().all(|stamp| *stamp <= member.upto)
        };
        state.flaws.is_empty() && state.members.iter().enumerate().all(is_done)
    }

    fn wait(&self, state: &mut State, at: MemberId) {
        let member = &mut state.members[usize::from(at.0)];
        member.now = member.now.after(Duration::from_secs(1));
        self.step(state, at, Input::Wake);
        let member = &state.members[usize::from(at.0)];
        if member.replica.next_deadline().is_some_and(|due| due <= member.now) {
            state.flaws.insert(BLAMED);
        }
    }
}

impl State {
    /// Whether the disks of a majority hold an entry.
    fn is_at_majority(&self, id: EntryId) -> bool {
        let holds = |member: &&Member| {
            member.synced.iter().any(|(_, bytes)| {
                matches!(Record::parse(bytes.clone()), Ok(Record::Entry(entry)) if entry.id == id)
            })
        };
        self.members.iter().filter(holds).count() > self.members.len() / 2
    }

    /// The confirmed part of each list.
    fn confirmed(&self) -> impl Iterator<Item = Vec<&(EntryId, Bytes)>> {
        self.members.iter().map(|member| member.list.range(..=member.upto).map(|(_, entry)| entry).collect())
    }

    /// Whether each id has one text everywhere.
    fn has_one_text_for_each(&self) -> bool {
        let mut texts: BTreeMap<EntryId, &Bytes> = BTreeMap::new();
        let shown = self.members.iter().flat_map(|member| member.list.values());
        shown.into_iter().all(|(id, text)| *texts.entry(*id).or_insert(text) == text)
    }

    /// Whether of any two confirmed lists one begins with the other.
    fn has_one_order(&self) -> bool {
        let lists: Vec<_> = self.confirmed().collect();
        let agree = |a: &[_], b: &[_]| a.iter().zip(b).all(|(a, b)| a == b);
        lists.iter().all(|a| lists.iter().all(|b| agree(a, b)))
    }

    fn is_all_confirmed(&self) -> bool {
        let is_final = |member: &Member| member.list.keys().all(|stamp| *stamp <= member.upto);
        let first = &self.members[0].list;
        self.members.iter().all(|member| is_final(member) && member.list == *first)
    }
}

/// Takes an entry that is shown for the first time into the list of a member.
fn insert(state: &mut State, at: MemberId, entry: &Entry) {
    let member = &mut state.members[usize::from(at.0)];
    let shown =
        |origin: usize| member.list.values().filter(|(id, _)| usize::from(id.origin.0) == origin).count();
    if entry.causes.iter().enumerate().any(|(origin, &cause)| (shown(origin) as u64) < cause) {
        state.flaws.insert(CLOSURE);
    }
    if entry.stamp() <= member.upto {
        state.flaws.insert(BELOW);
    }
    state.has_inserted_above |= entry.stamp() < member.highest;
    member.highest = member.highest.max(entry.stamp());
    member.list.insert(entry.stamp(), (entry.id, text_of(entry)));
}

fn text_of(entry: &Entry) -> Bytes {
    match &entry.content {
        Content::Multicast(batch) => batch.body().clone(),
        Content::Direct(..) | Content::Finished => Bytes::new(),
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    /// All members have started, stored that, and heard one another.
    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            members: Vec::new(),
            flying: Vec::new(),
            losses: 0,
            flaws: BTreeSet::new(),
            has_inserted_above: false,
        };
        for at in 0..self.script.len() {
            let (member, effects) = self.start(at, Time::ZERO, Vec::new()).expect("a disk may be empty");
            state.members.push(member);
            self.perform(&mut state, slot(at), effects);
        }
        for at in 0..self.script.len() {
            self.step(&mut state, slot(at), Input::Wake);
        }
        let is_first = |action: &Action| !matches!(action, Action::Submit(_));
        while let Some(next) = self.calm(&state).into_iter().find(is_first) {
            state = self.next_state(&state, next).expect("it can happen");
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.flaws.is_empty() {
            return;
        }
        actions.extend(self.calm(state));
        for (at, member) in state.members.iter().enumerate() {
            if member.seconds < self.bounds.seconds[at] {
                actions.push(Action::Wait(slot(at)));
            }
            if member.crashes < self.bounds.crashes[at] {
                actions.extend((0..=member.written.len()).map(|kept| Action::Crash(slot(at), kept)));
            }
        }
        if state.losses < self.bounds.losses {
            let mut flying = state.flying.clone();
            flying.dedup();
            actions.extend(flying.into_iter().map(Action::Lose));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Submit(at) => {
                let member = &mut state.members[usize::from(at.0)];
                member.submitted += 1;
                let mut batch = BatchBuilder::new(u64::from(member.submitted));
                batch.push(format!("{at}#{} of life {}", member.submitted, member.life).as_bytes());
                let batch = batch.finish().expect("it has a text");
                self.step(&mut state, at, Input::Submit(Content::Multicast(batch)));
            }
            Action::Sync(at, count) => {
                let member = &mut state.members[usize::from(at.0)];
                member.synced.extend(member.written.drain(..count));
                let (upto, _) = *member.synced.last().expect("something was written");
                self.step(&mut state, at, Input::Stored(upto));
            }
            Action::Arrive(packet) => {
                packet.land(&mut state.flying);
                let message = Message::parse(packet.header).expect("what a replica sends can be read");
                self.step(&mut state, packet.to, Input::Receive(packet.from, 1, message));
            }
            Action::Lose(packet) => {
                state.losses += 1;
                packet.land(&mut state.flying);
            }
            Action::Wait(at) => {
                state.members[usize::from(at.0)].seconds += 1;
                self.wait(&mut state, at);
            }
            Action::Crash(at, kept) => {
                if self.crash(&mut state, usize::from(at.0), kept).is_none() {
                    state.flaws.insert(BLAMED);
                }
            }
        }
        Some(state)
    }

    fn format_step(&self, before: &State, action: Action) -> Option<String> {
        let tell = |packet: &Packet, verb: &str| {
            format!("{} {verb} from {}: {:?}", packet.to, packet.from, Message::parse(packet.header.clone()))
        };
        let did = match &action {
            Action::Submit(at) => format!("{at} submits"),
            Action::Sync(at, count) => format!("{at} has synced {count} records"),
            Action::Arrive(packet) => tell(packet, "receives"),
            Action::Lose(packet) => tell(packet, "never receives"),
            Action::Wait(at) => format!("a second passes at {at}"),
            Action::Crash(at, kept) => format!("{at} crashes, {kept} unsynced records are kept"),
        };
        let after = self.next_state(before, action)?;
        let list = |member: &Member| {
            let mark = |stamp: &Stamp| if *stamp <= member.upto { "" } else { "~" };
            let entries = member.list.iter();
            let told =
                entries.map(|(at, (id, _))| format!("{}{}#{}@{}", mark(at), id.origin, id.number, at.time));
            told.collect::<Vec<_>>().join(" ")
        };
        let lists: Vec<String> = after.members.iter().map(list).collect();
        Some(format!("{did}\n      {} {:?}", lists.join(" | "), after.flaws))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let (always, sometimes) = (Property::<Self>::always, Property::<Self>::sometimes);
        let mut properties = vec![
            always(BLAMED, |_, state| !state.flaws.contains(BLAMED)),
            always(BELOW, |_, state| !state.flaws.contains(BELOW)),
            always(CLOSURE, |_, state| !state.flaws.contains(CLOSURE)),
            always(MAJORITY, |_, state| !state.flaws.contains(MAJORITY)),
            always(LOST, |_, state| !state.flaws.contains(LOST)),
            always("an id has one text", |_, state| state.has_one_text_for_each()),
            always("confirmed lists agree", |_, state| state.has_one_order()),
            always("it heals", |cluster, state| !cluster.is_at_the_end(state) || cluster.heals(state)),
            sometimes("everything is confirmed within the bounds", |cluster, state| {
                let entries: u8 = cluster.script.iter().sum();
                state.members[0].list.len() == usize::from(entries) && state.is_all_confirmed()
            }),
        ];
        if self.script.iter().filter(|&&entries| entries > 0).count() > 1 {
            properties
                .push(sometimes("an entry is inserted above others", |_, state| state.has_inserted_above));
        }
        properties
    }
}
