//! The timeline of a cluster: through all lives of its members, on one scale of time.
//!
//! The clock of a life begins with its process. The calendar, which each life tells once, says how far two lives are
//! apart; where it is missing, a life begins when the one before it ended.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cluster::{ClusterHistory, Happening, Id, List, MemberStory, Moment, Stories};
use super::super::read::{self, HistoryFile, Run};
use super::{EventKind, Inserted, Member, Message, TimelineEvent};

/// The messages of a cluster, and the means to find them.
struct Named<'h> {
    stories: &'h Stories<'h>,
    messages: &'h [Message],
}

/// Returns all messages of a cluster, sorted.
pub(super) fn messages(stories: &Stories<'_>) -> Vec<Message> {
    let history = stories.history;
    let multicast = |(slot, number): Id, text: &bytes::Bytes| Message {
        to: None,
        sender: history.who(slot).to_owned(),
        incarnation: 1,
        number,
        text: text.clone(),
    };
    // The text that is shown comes before one that a crash took back.
    let shown = stories.members().flat_map(|(_, list)| {
        list.inserted.iter().map(|(id, inserted)| multicast(*id, inserted.text)).collect::<Vec<_>>()
    });
    let mut messages: Vec<Message> = shown.collect();
    for (story, slot) in history.members.iter().zip(0..) {
        let sent = story.happenings().filter_map(|(_, happening)| match happening {
            Happening::Multicast { number, text } => Some(multicast((slot, *number), text)),
            Happening::Withdraw { id } => Some(multicast(*id, &bytes::Bytes::new())),
            happening => direct(history, slot, happening),
        });
        messages.extend(sent);
    }
    messages.sort_by(|one, other| one.key().cmp(&other.key()));
    messages.dedup_by(|one, other| one.key() == other.key());
    messages
}

/// Returns the direct message of an event at the member of this slot.
fn direct(history: &ClusterHistory, slot: u16, happening: &Happening) -> Option<Message> {
    let (to, sender, number, text) = match happening {
        Happening::Send { to, number, text } => (*to, slot, *number, text.clone()),
        Happening::Receive { from, number, text } => (slot, *from, *number, text.clone()),
        Happening::Undeliverable { to, number, .. } => (*to, slot, *number, bytes::Bytes::new()),
        _ => return None,
    };
    let (to, sender) = (Some(history.who(to).to_owned()), history.who(sender).to_owned());
    Some(Message { to, sender, incarnation: 1, number, text })
}

/// Returns the members with their events.
pub(super) fn members(run: &Run, stories: &Stories<'_>, messages: &[Message]) -> Vec<Member> {
    let named = Named { stories, messages };
    let lives = || run.members.iter().flat_map(|member| &member.lives);
    // A life that was killed in its start tells nothing.
    let told = lives().filter(|(_, file)| !file.starts.is_empty());
    let calendars = told.map(|(_, file)| file.recovered.and_then(|(_, calendar)| calendar));
    // With one calendar missing, those of the others say nothing about it.
    let first = calendars.collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().min());
    let of_member = |(((story, list), member), slot)| named.member((story, list), member, slot, first);
    let mut members: Vec<Member> = stories.members().zip(&run.members).zip(0..).map(of_member).collect();
    estimate(&mut members);
    members
}

impl Named<'_> {
    fn member(
        &self,
        (story, list): (&MemberStory, &List<'_>),
        member: &read::Member,
        slot: u16,
        first: Option<u64>,
    ) -> Member {
        let mut told = Told::default();
        let mut insertions = Insertions::new(list);
        let confirmed = self.confirmed(list);
        for ((life, (number, file)), told_life) in member.lives.iter().enumerate().zip(&story.lives) {
            let lines = told_life.source.iter().flat_map(|source| &source.lines);
            // The list of an added member begins with what others confirmed before: it has shown none of that.
            let before = if life == 0 { story.before } else { 0 };
            let times = std::iter::repeat_n(&0, before).chain(&file.times);
            let events = told_life.events.iter().enumerate().zip(lines.zip(times));
            let events = events.filter_map(|((event, happening), (&line, &time_us))| {
                let (message, kind) =
                    self.event(slot, happening, (life, event), &mut insertions, &confirmed)?;
                (event >= before).then_some(Bare { line, time_us, message, kind })
            });
            // A life tells at once what a crash has lost and its journal gives back.
            let is_again =
                |event: &Bare| *number > 1 && file.recovered.is_some_and(|(began, _)| began == event.time_us);
            let (again, new): (Vec<Bare>, Vec<Bare>) = events.partition(is_again);
            told.life((*number, file), first, again, new);
        }
        let open = super::super::cluster::unsettled(story);
        Member { name: story.name.clone(), files: told.files, events: told.events, is_traced: false, open }
    }

    /// Returns the messages that each confirmation of a member makes final.
    fn confirmed(&self, list: &List<'_>) -> BTreeMap<Moment, Vec<usize>> {
        let mut confirmed: BTreeMap<Moment, Vec<usize>> = BTreeMap::new();
        for (id, moment) in &list.confirmed {
            confirmed.entry(*moment).or_default().extend(self.multicast(*id));
        }
        confirmed
    }

    /// Returns the kind of an event, and its message.
    fn event(
        &self,
        slot: u16,
        happening: &Happening,
        moment: Moment,
        insertions: &mut Insertions<'_>,
        confirmed: &BTreeMap<Moment, Vec<usize>>,
    ) -> Option<(Option<usize>, EventKind)> {
        let history = self.stories.history;
        Some(match happening {
            Happening::Multicast { number, .. } => {
                let id = (slot, *number);
                let kind =
                    if self.stories.is_lost(id, moment) { EventKind::Lost } else { EventKind::Multicast };
                (Some(self.multicast(id)?), kind)
            }
            Happening::Insert { id, at, .. } => {
                let (above, over) = insertions.add(*id);
                let over = over.and_then(|over| self.multicast(over));
                (Some(self.multicast(*id)?), EventKind::Insert(Inserted { at: *at, above, over }))
            }
            Happening::Confirm { number, .. } => {
                let messages = confirmed.get(&moment).cloned().unwrap_or_default();
                let only = messages.first().copied().filter(|_| messages.len() == 1);
                (only, EventKind::Confirm { number: *number, messages })
            }
            Happening::Withdraw { id } => (Some(self.multicast(*id)?), EventKind::Withdraw),
            Happening::Stored { .. } | Happening::Recover { .. } | Happening::Epoch { .. } => return None,
            Happening::Send { .. } => (Some(self.find(&direct(history, slot, happening)?)?), EventKind::Send),
            Happening::Receive { .. } => {
                (Some(self.find(&direct(history, slot, happening)?)?), EventKind::Receive)
            }
            Happening::Undeliverable { reason, .. } => {
                let kind = EventKind::Undeliverable(reason.clone());
                (Some(self.find(&direct(history, slot, happening)?)?), kind)
            }
        })
    }

    fn multicast(&self, (slot, number): Id) -> Option<usize> {
        let key = (None, self.stories.history.who(slot), 1, number);
        self.messages.binary_search_by(|known| known.key().cmp(&key)).ok()
    }

    fn find(&self, message: &Message) -> Option<usize> {
        self.messages.binary_search_by(|known| known.key().cmp(&message.key())).ok()
    }
}

/// An event by the clock of its life.
struct Bare {
    line: u32,
    time_us: u64,
    message: Option<usize>,
    kind: EventKind,
}

/// The events of a member, while its lives are read.
#[derive(Default)]
struct Told {
    events: Vec<TimelineEvent>,
    files: Vec<String>,
    /// The time of the last event.
    now: u64,
    /// The time at which the present life began, on the common scale and by its own clock.
    zero: (u64, u64),
}

impl Told {
    /// Adds a life. `first` is the earliest calendar of all lives, and `again` happened before the crash of the life before.
    fn life(
        &mut self,
        (number, file): (u32, &HistoryFile),
        first: Option<u64>,
        again: Vec<Bare>,
        new: Vec<Bare>,
    ) {
        self.files.push(file.file.clone());
        let crash = self.events.pop_if(|last| last.kind == EventKind::End(None));
        self.zero = (self.now, 0);
        for event in again {
            self.push(Bare { time_us: 0, ..event }, true);
        }
        self.events.extend(crash);
        let start = file.starts.first().map_or((0, 0), |start| (start.line, start.time_us));
        let (own, calendar) = file.recovered.unwrap_or((start.1, None));
        let at = calendar.zip(first).map(|(calendar, first)| calendar - first);
        self.zero = (at.unwrap_or_default().max(self.now), own);
        self.push(Bare { line: start.0, time_us: own, message: None, kind: EventKind::Begin(number) }, false);
        new.into_iter().for_each(|event| self.push(event, false));
        let end = match file.ends.first() {
            Some(end) => (end.line, end.time_us, Some(end.reason.clone())),
            // The time of a crash is not known: it came after the last event that is told.
            None => (file.lines.map_or(0, |(_, last)| last), 0, None),
        };
        self.push(Bare { line: end.0, time_us: end.1, message: None, kind: EventKind::End(end.2) }, false);
    }

    fn push(&mut self, Bare { line, time_us, message, kind }: Bare, is_again: bool) {
        let (zero, own) = self.zero;
        self.now = self.now.max(zero.saturating_add(time_us.saturating_sub(own)));
        let file = self.files.len() - 1;
        self.events.push(TimelineEvent { file, line, time_us: self.now, message, kind, is_again });
    }
}

/// Gives events whose times a crash has taken, and crashes, the earliest times that their causes allow.
fn estimate(members: &mut [Member]) {
    let mut sent: BTreeMap<usize, u64> = BTreeMap::new();
    for event in members.iter().flat_map(|member| &member.events) {
        if let (EventKind::Multicast | EventKind::Send, Some(message), false) =
            (&event.kind, event.message, event.is_again)
        {
            sent.insert(message, event.time_us);
        }
    }
    for member in members {
        let (mut now, mut next_begin) = (0, u64::MAX);
        let mut begins = vec![u64::MAX; member.events.len()];
        for (index, event) in member.events.iter().enumerate().rev() {
            begins[index] = next_begin;
            if matches!(event.kind, EventKind::Begin(_)) {
                next_begin = event.time_us;
            }
        }
        for (event, begin) in member.events.iter_mut().zip(begins) {
            if event.is_again || event.kind == EventKind::End(None) {
                let messages = match &event.kind {
                    EventKind::Confirm { messages, .. } => &messages[..],
                    _ => event.message.as_slice(),
                };
                let causes = messages.iter().filter_map(|message| sent.get(message)).copied();
                event.time_us = causes.chain([now, event.time_us]).max().unwrap_or_default().min(begin);
            }
            now = event.time_us;
        }
    }
}

/// The insertions at one member, in the order in which they happened.
struct Insertions<'h> {
    list: &'h List<'h>,
    /// All places in the final order, and for each the number of insertions there, summed as in a Fenwick tree.
    keys: Vec<Key>,
    sums: Vec<u64>,
    shown: BTreeSet<Key>,
}

/// The position of a message in a list: its place, its number, and its sender.
type Key = ((u64, u16), u64, u16);

impl<'h> Insertions<'h> {
    fn new(list: &'h List<'h>) -> Self {
        let mut keys: Vec<Key> = list.inserted.iter().map(|(id, one)| (one.at, id.1, id.0)).collect();
        keys.sort_unstable();
        Self { list, sums: vec![0; keys.len() + 1], keys, shown: BTreeSet::new() }
    }

    /// Shows a message. Returns the number of messages that were shown before and stand below it, and the first of them.
    fn add(&mut self, id: Id) -> (u64, Option<Id>) {
        let Some(inserted) = self.list.inserted.get(&id) else { return (0, None) };
        let key = (inserted.at, id.1, id.0);
        let Ok(rank) = self.keys.binary_search(&key) else { return (0, None) };
        let above = self.shown.len() as u64 - self.upto(rank);
        let over = self.shown.range(key..).next().map(|&(_, number, origin)| (origin, number));
        if self.shown.insert(key) {
            self.count(rank);
            (above, over)
        } else {
            // A second insertion changes nothing.
            (0, None)
        }
    }

    /// Returns the number of messages that are shown before this rank.
    fn upto(&self, rank: usize) -> u64 {
        let (mut at, mut sum) = (rank, 0);
        while at > 0 {
            sum += self.sums[at];
            at &= at - 1;
        }
        sum
    }

    fn count(&mut self, rank: usize) {
        let mut at = rank + 1;
        while at < self.sums.len() {
            self.sums[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::cluster::Life;
    use super::*;
    use crate::prng::Prng;

    /// A member that shows messages of three senders at drawn places.
    fn history(prng: &mut Prng) -> ClusterHistory {
        let mut numbers = [0; 3];
        let insert = |_| {
            let slot = prng.below(3) as u16;
            numbers[usize::from(slot)] += 1;
            let (id, at) = ((slot, numbers[usize::from(slot)]), (prng.below(25), slot));
            Happening::Insert { id, at, deps: Vec::new(), text: Bytes::new() }
        };
        let life = Life { events: (0..40).map(insert).collect(), ..Life::default() };
        let story = MemberStory { lives: vec![life], ..MemberStory::default() };
        ClusterHistory { members: vec![story], ..ClusterHistory::default() }
    }

    #[test]
    fn insertions_above_others_are_those_that_a_look_at_all_of_them_finds() {
        let mut above_others = 0;
        for seed in 0..50 {
            let history = history(&mut Prng::new(seed));
            let stories = Stories::new(&history);
            let (story, list) = stories.members().next().unwrap();
            let (mut insertions, mut shown) = (Insertions::new(list), Vec::<Key>::new());
            for (_, happening) in story.happenings() {
                let Happening::Insert { id, at, .. } = happening else { continue };
                let key = (*at, id.1, id.0);
                let below = || shown.iter().filter(|other| **other > key);
                let first = below().min().map(|&(_, number, origin)| (origin, number));
                assert_eq!(insertions.add(*id), (below().count() as u64, first), "seed {seed}: {key:?}");
                above_others += usize::from(first.is_some());
                shown.push(key);
            }
        }
        assert!(above_others > 500, "{above_others}");
    }
}
