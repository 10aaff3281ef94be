//! Point-to-point: what a member sends to one other is received there exactly once, in order, and nowhere else.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;
use super::history::Event;
use super::verdict::{Verdict, Witness};

/// Of each pair of sender and receiver: the events that send, in the sender's record, and those that receive.
type Pairs = BTreeMap<(usize, usize), (Vec<usize>, Vec<usize>)>;

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let pairs = pairs(catalogue);
    let violation = pairs
        .iter()
        .find_map(|(&(from, to), (sent, received))| difference(catalogue, from, to, sent, received));
    let something = pairs.values().any(|(sent, _)| !sent.is_empty());
    catalogue.conclude_if(violation, something, "nothing was sent to one member alone")
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
    let (Some(sender), Some(receiver)) =
        (catalogue.history.records.get(from), catalogue.history.records.get(to))
    else {
        return Some(Witness("a message was sent to or received from someone who is no member".to_owned()));
    };
    let same = |(sent, received): &(&usize, &usize)| {
        let (sent, received) = (&sender.events[**sent], &receiver.events[**received]);
        sent.id() == received.id() && sent.text() == received.text()
    };
    let agreed = sent.iter().zip(received).take_while(same).count();
    let tell = |event: usize, record: &super::Record| {
        format!("{} {}", catalogue.history.name(record.events[event].id()), record.place(&[event]))
    };
    let story = match (sent.get(agreed), received.get(agreed)) {
        (Some(&sent), Some(&received)) => {
            format!("received {} where {} was next", tell(received, receiver), tell(sent, sender))
        }
        (Some(&sent), None) if receiver.ended => format!("never received {}", tell(sent, sender)),
        (None, Some(&received)) if sender.ended => {
            format!("received {} more than was sent", tell(received, receiver))
        }
        _ => return None,
    };
    Some(Witness(format!("{} → {}: {} {story}", sender.name, receiver.name, receiver.name)))
}
