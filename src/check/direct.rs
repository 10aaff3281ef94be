//! Point-to-point: what a member sends to one other is received there exactly once, in order, and nowhere else.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;
use super::history::{Event, Record};
use super::verdict::{Verdict, Witness};
use crate::place::quoted;

/// Of each pair of sender and receiver: the events that send, in the sender's record, and those that receive.
type Pairs = BTreeMap<(usize, usize), (Vec<usize>, Vec<usize>)>;

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let pairs = pairs(catalogue);
    let violation = pairs
        .iter()
        .find_map(|(&(from, to), (sent, received))| difference(catalogue, from, to, sent, received));
    // What was received was sent by somebody, whose history may lie elsewhere.
    let something = pairs.values().any(|(sent, received)| !sent.is_empty() || !received.is_empty());
    match catalogue.conclude_if(violation, something, "nothing was sent to one member alone") {
        Verdict::Valid => untold(catalogue, &pairs).map_or(Verdict::Valid, Verdict::Undecided),
        verdict => verdict,
    }
}

/// The first message that was received and that the history of its sender, which is not whole, does not tell of.
fn untold(catalogue: &Catalogue<'_>, pairs: &Pairs) -> Option<String> {
    let (&(from, to), (sent, received)) =
        pairs.iter().find(|(_, (sent, received))| received.len() > sent.len())?;
    let (history, receiver) = (catalogue.history, &catalogue.history.records[to]);
    let name = history.name(receiver.events[received[sent.len()]].id());
    let (sender, receiver) = (history.who(from as u16), &receiver.name);
    Some(format!("{receiver} received {name}, and no history of {sender} here tells that it was sent"))
}

fn pairs(catalogue: &Catalogue<'_>) -> Pairs {
    let mut pairs = Pairs::new();
    for member in catalogue.members() {
        for (index, event) in catalogue.record(member).events.iter().enumerate() {
            match event {
                Event::Send { to, .. } => pairs.entry((member, usize::from(*to))).or_default().0.push(index),
                Event::Receive { id, .. } => {
                    pairs.entry((usize::from(id.member), member)).or_default().1.push(index);
                }
                Event::Multicast { .. } | Event::Deliver { .. } => {}
            }
        }
    }
    pairs
}

/// The first place where what was received is not what was sent.
fn difference(
    catalogue: &Catalogue<'_>,
    from: usize,
    to: usize,
    sent: &[usize],
    received: &[usize],
) -> Option<Witness> {
    let records = &catalogue.history.records;
    let (Some(sender), Some(receiver)) = (records.get(from), records.get(to)) else {
        return with_stranger(catalogue, (from, sent), (to, received));
    };
    let tell = |record: &Record, events: &[usize]| {
        (catalogue.history.name(record.events[events[0]].id()), record.place(events))
    };
    if let Some(twice) = repeated(sender, sent) {
        let (name, place) = tell(sender, &twice);
        let story = format!("{} sent {} two messages as {name} {place}", sender.name, receiver.name);
        return Some(Witness::new(story, [place]));
    }
    if let Some(twice) = repeated(receiver, received) {
        let (name, place) = tell(receiver, &twice);
        return Some(Witness::new(format!("{} received {name} twice {place}", receiver.name), [place]));
    }
    let same = |(sent, received): &(&usize, &usize)| {
        let (sent, received) = (&sender.events[**sent], &receiver.events[**received]);
        sent.id() == received.id() && sent.text() == received.text()
    };
    let agreed = sent.iter().zip(received).take_while(same).count();
    match (sent.get(agreed), received.get(agreed)) {
        (Some(&sent), Some(&received)) => {
            let ((next, origin), (given, place)) = (tell(sender, &[sent]), tell(receiver, &[received]));
            let text = |record: &Record, event: usize| quoted(record.events[event].text());
            let story = format!(
                "{} received {given} {} {place} where {next} {} {origin} was next from {}",
                receiver.name,
                text(receiver, received),
                text(sender, sent),
                sender.name
            );
            Some(Witness::new(story, [place, origin]))
        }
        // Who was lost may have been so before it could send it again.
        (Some(&sent), None) if receiver.ended && !receiver.left && !catalogue.is_lost(from) => {
            let ((name, place), end) = (tell(sender, &[sent]), receiver.place(&[]));
            let (from, to) = (&sender.name, &receiver.name);
            let story = format!("{from} sent {name} {place}; {to} never received it{}", end.whole());
            Some(Witness::new(story, [place, end]))
        }
        (None, Some(&received)) if sender.is_whole() => {
            let ((name, place), end) = (tell(receiver, &[received]), sender.place(&[]));
            let (from, to) = (&sender.name, &receiver.name);
            let story = format!("{to} received {name} {place}, which {from} never sent to it{}", end.whole());
            Some(Witness::new(story, [place, end]))
        }
        _ => None,
    }
}

/// The first two of these events that are about one message.
fn repeated(record: &Record, events: &[usize]) -> Option<[usize; 2]> {
    let mut known = BTreeMap::new();
    let pair = |&event: &usize| known.insert(record.events[event].id(), event).map(|first| [first, event]);
    events.iter().find_map(pair)
}

/// One of the two is no member.
fn with_stranger(
    catalogue: &Catalogue<'_>,
    (from, sent): (usize, &[usize]),
    (to, received): (usize, &[usize]),
) -> Option<Witness> {
    let history = catalogue.history;
    let (member, event, stranger, doing) = match (sent, received) {
        ([event, ..], _) => (from, *event, to, "sent"),
        (_, [event, ..]) => (to, *event, from, "received"),
        _ => return None,
    };
    let record = catalogue.record(member);
    let (name, place) = (history.name(record.events[event].id()), record.place(&[event]));
    let stranger = history.who(stranger as u16);
    let story = format!("{} {doing} {name} {place}, but {stranger} is no member", record.name);
    Some(Witness::new(story, [place]))
}
