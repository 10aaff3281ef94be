//! Point-to-point: a direct message is received exactly once, in order, by its receiver alone; or its sender
//! reports it as undeliverable.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Event, History, Record};
use super::message_index::MessageIndex;
use super::verdict::{Place, Verdict, Witness};
use crate::member::Undelivered;
use crate::place::quoted;
use crate::results::undelivered;

/// The most undeliverable messages that are listed by name.
const NAMED: usize = 4;

/// The direct messages from one member to another, as event indices in their records.
#[derive(Default)]
struct Pair {
    /// The sender's send events.
    sent: Vec<usize>,
    /// The sender's undeliverable events.
    given_up: Vec<usize>,
    /// The receiver's receive events.
    received: Vec<usize>,
}

/// All pairs, by the sender's and the receiver's index.
type Pairs = BTreeMap<(usize, usize), Pair>;

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let pairs = pairs(index);
    let violation = pairs.iter().find_map(|(&(from, to), pair)| difference(index, from, to, pair));
    // A receipt alone suffices: the sender's history may be in another folder.
    let something = pairs.values().any(|pair| !pair.sent.is_empty() || !pair.received.is_empty());
    match index.conclude_if(violation, something, "nothing was sent to one member alone") {
        Verdict::Valid => untold(index, &pairs).map_or(Verdict::Valid, Verdict::Undecided),
        verdict => verdict,
    }
}

/// Names the first received message that the sender's incomplete history lacks.
fn untold(index: &MessageIndex<'_>, pairs: &Pairs) -> Option<String> {
    let (&(from, to), Pair { sent, received, .. }) =
        pairs.iter().find(|(_, pair)| pair.received.len() > pair.sent.len())?;
    let (history, receiver) = (index.history, &index.history.records[to]);
    let name = history.name(receiver.events[received[sent.len()]].id());
    let (sender, receiver) = (history.who(from as u16), &receiver.name);
    Some(format!("{receiver} received {name}, and no history of {sender} here tells that it was sent"))
}

/// Lists the messages that their senders reported as undeliverable, or returns `None` without any.
pub(super) fn undeliverable(history: &History) -> Option<String> {
    let events = history
        .records
        .iter()
        .flat_map(|record| record.events.iter().enumerate().map(move |at| (record, at)));
    let mut told = events.filter_map(|(record, (position, event))| match event {
        Event::Undeliverable { id, to, .. } => {
            let (name, place) = (history.name(*id), record.place(&[position]));
            Some(format!("{name} to {} {place}", history.who(*to)))
        }
        _ => None,
    });
    let named: Vec<String> = told.by_ref().take(NAMED).collect();
    let more = match told.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    (!named.is_empty()).then(|| format!("undeliverable: {}{more}", named.join(", ")))
}

fn pairs(index: &MessageIndex<'_>) -> Pairs {
    let mut pairs = Pairs::new();
    for member in index.members() {
        for (position, event) in index.record(member).events.iter().enumerate() {
            match event {
                Event::Send { to, .. } => {
                    pairs.entry((member, usize::from(*to))).or_default().sent.push(position);
                }
                Event::Undeliverable { to, .. } => {
                    pairs.entry((member, usize::from(*to))).or_default().given_up.push(position);
                }
                Event::Receive { id, .. } => {
                    pairs.entry((usize::from(id.member), member)).or_default().received.push(position);
                }
                Event::Multicast { .. } | Event::Deliver { .. } => {}
            }
        }
    }
    pairs
}

/// Finds the first difference between the messages received and those sent, less those undeliverable.
fn difference(index: &MessageIndex<'_>, from: usize, to: usize, pair: &Pair) -> Option<Witness> {
    let records = &index.history.records;
    let (Some(sender), Some(receiver)) = (records.get(from), records.get(to)) else {
        return with_stranger(index, (from, &pair.sent), (to, &pair.received));
    };
    let judged = Judged { index, from, sender, receiver };
    let given_up = match judged.given_up(pair) {
        Ok(given_up) => given_up,
        Err(witness) => return Some(witness),
    };
    if let Some(twice) = repeated(receiver, &pair.received) {
        let (name, place) = judged.tell(receiver, &twice);
        return Some(Witness::new(format!("{} received {name} twice {place}", receiver.name), [place]));
    }
    // The receiver's record does not say which incarnation wrote it, so it may match any, most often the last.
    let lives = lives(sender, &pair.sent);
    let mut found = lives.iter().rev().map(|sent| judged.difference(sent, &given_up, &pair.received));
    let last = found.next().unwrap_or_else(|| judged.difference(&[], &given_up, &pair.received))?;
    if found.any(|other| other.is_none()) { None } else { Some(last) }
}

/// Splits the messages by the receiver's incarnation: numbers begin at 1 again when a later view readmits it.
fn lives(sender: &Record, sent: &[usize]) -> Vec<Vec<usize>> {
    let mut lives: Vec<Vec<usize>> = Vec::new();
    for &event in sent {
        let begins = sender.events[event].id().number == 1;
        let is_new =
            |last: usize| begins && sender.views.iter().any(|view| last < view.at && view.at <= event);
        match lives.last_mut() {
            Some(life) if !life.last().is_some_and(|&last| is_new(last)) => life.push(event),
            _ => lives.push(vec![event]),
        }
    }
    lives
}

/// The context for judging one pair of members.
struct Judged<'c, 'h> {
    index: &'c MessageIndex<'h>,
    from: usize,
    sender: &'h Record,
    receiver: &'h Record,
}

impl Judged<'_, '_> {
    fn tell(&self, record: &Record, events: &[usize]) -> (String, Place) {
        (self.index.history.name(record.events[events[0]].id()), record.place(events))
    }

    /// Maps each send event to the later event that reports it as undeliverable.
    fn given_up(&self, pair: &Pair) -> Result<BTreeMap<usize, usize>, Witness> {
        let mut given_up = BTreeMap::new();
        // The unreported send events of each number; numbers repeat with each incarnation of the receiver.
        let mut open: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut sent = pair.sent.iter().peekable();
        for &event in &pair.given_up {
            while let Some(&sent) = sent.next_if(|&&sent| sent < event) {
                open.entry(self.sender.events[sent].id().number).or_default().push(sent);
            }
            let id = self.sender.events[event].id();
            match open.get_mut(&id.number).and_then(Vec::pop) {
                Some(sent) if self.sender.events[sent].id() == id => _ = given_up.insert(sent, event),
                _ => {
                    let (name, place) = self.tell(self.sender, &[event]);
                    let (from, to) = (&self.sender.name, &self.receiver.name);
                    let story = format!(
                        "{from} says that {name} to {to} is undeliverable {place}, and had not sent it, or had said so before"
                    );
                    return Err(Witness::new(story, [place]));
                }
            }
        }
        Ok(given_up)
    }

    /// Finds the first difference for the messages to one incarnation of the receiver.
    fn difference(
        &self,
        sent: &[usize],
        given_up: &BTreeMap<usize, usize>,
        received: &[usize],
    ) -> Option<Witness> {
        let Self { sender, receiver, .. } = *self;
        if let Some(twice) = repeated(sender, sent) {
            let (name, place) = self.tell(sender, &twice);
            let story = format!("{} sent {} two messages as {name} {place}", sender.name, receiver.name);
            return Some(Witness::new(story, [place]));
        }
        let came: BTreeSet<u64> = received.iter().map(|&event| receiver.events[event].id().number).collect();
        let has_come = |event: usize| came.contains(&sender.events[event].id().number);
        let mut lost = sent.iter().filter_map(|event| Some((*event, *given_up.get(event)?)));
        if let Some(witness) = lost.find_map(|(sent, event)| self.false_report(sent, event, has_come(sent))) {
            return Some(witness);
        }
        let owed: Vec<usize> =
            sent.iter().copied().filter(|event| has_come(*event) || !given_up.contains_key(event)).collect();
        let same = |(sent, received): &(&usize, &usize)| {
            let (sent, received) = (&sender.events[**sent], &receiver.events[**received]);
            sent.id() == received.id() && sent.text() == received.text()
        };
        let agreed = owed.iter().zip(received).take_while(same).count();
        self.first_difference(owed.get(agreed).copied(), received.get(agreed).copied())
    }

    /// Finds a false undeliverable report: the message was received although reported as not sent, or the receiver
    /// was present from the start to the end.
    fn false_report(&self, sent: usize, event: usize, has_come: bool) -> Option<Witness> {
        let Self { sender, receiver, .. } = self;
        let Event::Undeliverable { reason, .. } = &sender.events[event] else { return None };
        let (name, place) = self.tell(sender, &[sent, event]);
        let says = format!("{} says that {name} to {} is undeliverable {place}", sender.name, receiver.name);
        let was_there = receiver.views.first().is_none_or(|view| view.number == 1);
        if has_come && reason == undelivered(Undelivered::NotSent) {
            return Some(Witness::new(
                format!("{says}, as not sent; {} received it", receiver.name),
                [place],
            ));
        }
        let is_wrong =
            !has_come && was_there && receiver.ended && !receiver.left && !self.index.is_lost(self.from);
        is_wrong.then(|| {
            let end = receiver.place(&[]);
            let story =
                format!("{says}; {} was there from the start to the end{}", receiver.name, end.whole());
            Witness::new(story, [place, end])
        })
    }

    /// Describes the first mismatch between the next sent and the next received message.
    fn first_difference(&self, sent: Option<usize>, received: Option<usize>) -> Option<Witness> {
        let Self { sender, receiver, .. } = self;
        let (from, to) = (&sender.name, &receiver.name);
        match (sent, received) {
            (Some(sent), Some(received)) => {
                let (next, origin) = self.tell(sender, &[sent]);
                let (given, place) = self.tell(receiver, &[received]);
                let text = |record: &Record, event: usize| quoted(record.events[event].text());
                let story = format!(
                    "{to} received {given} {} {place} where {next} {} {origin} was next from {from}",
                    text(receiver, received),
                    text(sender, sent),
                );
                Some(Witness::new(story, [place, origin]))
            }
            // A lost sender may have been unable to send the message again.
            (Some(sent), None) if receiver.ended && !receiver.left && !self.index.is_lost(self.from) => {
                let ((name, place), end) = (self.tell(sender, &[sent]), receiver.place(&[]));
                let story = format!("{from} sent {name} {place}; {to} never received it{}", end.whole());
                Some(Witness::new(story, [place, end]))
            }
            // A member that was removed from a cluster is not told of.
            (Some(_), None) if receiver.replaced && receiver.views.is_empty() => None,
            // The receiver's record is complete, and the sender, having reached the end, learned that the receiver
            // was gone.
            (Some(sent), None) if sender.ended && receiver.is_whole() && receiver.came_late().is_none() => {
                let ((name, place), end) = (self.tell(sender, &[sent]), receiver.place(&[]));
                let story = format!(
                    "{from} sent {name} {place}; {to} went without receiving it{}, and {from} does not say so",
                    end.whole()
                );
                Some(Witness::new(story, [place, end]))
            }
            (None, Some(received)) if sender.is_whole() => {
                let ((name, place), end) = (self.tell(receiver, &[received]), sender.place(&[]));
                let story =
                    format!("{to} received {name} {place}, which {from} never sent to it{}", end.whole());
                Some(Witness::new(story, [place, end]))
            }
            _ => None,
        }
    }
}

/// Returns the first two of these events that concern one message.
fn repeated(record: &Record, events: &[usize]) -> Option<[usize; 2]> {
    let mut known = BTreeMap::new();
    let pair = |&event: &usize| known.insert(record.events[event].id(), event).map(|first| [first, event]);
    events.iter().find_map(pair)
}

/// Finds a direct message to or from a stranger.
fn with_stranger(
    index: &MessageIndex<'_>,
    (from, sent): (usize, &[usize]),
    (to, received): (usize, &[usize]),
) -> Option<Witness> {
    let history = index.history;
    let (member, event, stranger, doing) = match (sent, received) {
        ([event, ..], _) => (from, *event, to, "sent"),
        (_, [event, ..]) => (to, *event, from, "received"),
        _ => return None,
    };
    let record = index.record(member);
    let (name, place) = (history.name(record.events[event].id()), record.place(&[event]));
    let stranger = history.who(stranger as u16);
    let story = format!("{} {doing} {name} {place}, but {stranger} is no member", record.name);
    Some(Witness::new(story, [place]))
}
