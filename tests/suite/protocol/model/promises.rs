//! The promises by their definitions, judged on what every process multicast and delivered.

use groupcast::engine::MemberId;
use groupcast::order::Promise;
use groupcast::wire::Batch;

use super::group::{Event, deliveries, multicasts};
use super::packet::slot;

/// A batch: its sender, and the sender's number of its first message.
type Id = (MemberId, u64);

/// The name of a violation of this promise.
pub(super) const fn name(promise: Promise) -> &'static str {
    match promise {
        Promise::Fifo => "FIFO",
        Promise::Causal => "causal",
        Promise::Total => "total",
    }
}

/// Each delivered message was multicast by its sender.
pub(super) fn no_creation(histories: &[Vec<Event>]) -> bool {
    let was_sent =
        |from: MemberId, batch: &Batch| multicasts(&histories[usize::from(from.0)]).any(|sent| sent == batch);
    histories.iter().all(|history| deliveries(history).all(|(from, _, batch)| was_sent(from, batch)))
}

/// Nobody delivers anything twice.
pub(super) fn no_duplicate(histories: &[Vec<Event>]) -> bool {
    histories.iter().all(|history| {
        let ids = delivered(history);
        ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id))
    })
}

/// Each sender's batches are delivered in the order in which it multicast them, without a gap.
pub(super) fn fifo(histories: &[Vec<Event>]) -> bool {
    histories.iter().all(|history| {
        (0..histories.len()).map(slot).all(|sender| {
            let from_it =
                deliveries(history).filter(|&(from, _, _)| from == sender).map(|(_, _, batch)| batch);
            multicasts(&histories[usize::from(sender.0)])
                .zip(from_it)
                .all(|(sent, delivered)| sent == delivered)
        })
    })
}

/// The messages that a sender had multicast and delivered before a batch are delivered before it.
pub(super) fn causal(histories: &[Vec<Event>]) -> bool {
    histories.iter().all(|history| {
        let ids = delivered(history);
        ids.iter()
            .enumerate()
            .all(|(at, &id)| causes(histories, id).iter().all(|cause| ids[..at].contains(cause)))
    })
}

/// Of any two sequences of deliveries one begins with the other.
pub(super) fn total(histories: &[Vec<Event>]) -> bool {
    let sequences: Vec<Vec<Id>> = histories.iter().map(|history| delivered(history)).collect();
    let agree = |a: &[Id], b: &[Id]| a.iter().zip(b).all(|(a, b)| a == b);
    sequences.iter().all(|a| sequences.iter().all(|b| agree(a, b)))
}

/// Everybody counts the messages of a total order, from 1.
pub(super) fn numbered(histories: &[Vec<Event>]) -> bool {
    histories.iter().all(|history| {
        let mut next = 1;
        deliveries(history).all(|(_, number, batch)| {
            let expected = next;
            next += u64::from(batch.count());
            number == Some(expected)
        })
    })
}

fn delivered(history: &[Event]) -> Vec<Id> {
    deliveries(history).map(|(from, _, batch)| (from, batch.first())).collect()
}

/// The messages that the sender had multicast and delivered before this batch.
fn causes(histories: &[Vec<Event>], (sender, first): Id) -> Vec<Id> {
    let is_it = |event: &&Event| matches!(event, Event::Multicast(batch) if batch.first() == first);
    let past = histories[usize::from(sender.0)].iter().take_while(|event| !is_it(event));
    let mut causes: Vec<Id> = past
        .map(|event| match event {
            Event::Multicast(batch) => (sender, batch.first()),
            Event::Deliver { from, batch, .. } => (*from, batch.first()),
        })
        .collect();
    causes.sort_unstable();
    causes.dedup();
    causes
}

/// An event in a few words.
pub(super) fn tell(event: &Event) -> String {
    let texts = |batch: &Batch| {
        let texts: Vec<_> =
            batch.messages().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect();
        texts.join(" ")
    };
    match event {
        Event::Multicast(batch) => format!("sends {}", texts(batch)),
        Event::Deliver { number: None, batch, .. } => format!("delivers {}", texts(batch)),
        Event::Deliver { number: Some(number), batch, .. } => format!("delivers {number}: {}", texts(batch)),
    }
}
