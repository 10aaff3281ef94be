//! Causal order: what happened before a multicast is delivered before it.
//!
//! FIFO order and local order together (Hadzilacos and Toueg). Given FIFO order, a multicast depends on one count per
//! sender: the messages delivered from it. As counts only grow, it is enough to keep those that changed since the
//! sender's previous multicast.
//!
//! Only multicasts are causes. Direct messages have streams of their own, and no order promises anything across the
//! two.

use std::collections::BTreeSet;

use super::fifo;
use super::history::Event;
use super::message_index::MessageIndex;
use super::streams::Streams;
use super::verdict::{Verdict, Witness};

/// The first `count` messages of `stream`, which a sender delivered before it multicast a message.
struct Need {
    stream: usize,
    count: usize,
}

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let streams = Streams::new(index);
    let violation = fifo::first_violation(index, &streams).or_else(|| {
        let needs = needs(index, &streams);
        index.members().find_map(|member| too_early(index, &streams, &needs, member))
    });
    index.conclude_of_senders(violation)
}

/// Returns, for each message, the deliveries of its sender since its previous multicast.
fn needs(index: &MessageIndex<'_>, streams: &Streams) -> Vec<Vec<Need>> {
    let mut needs: Vec<Vec<Need>> = (0..index.len()).map(|_| Vec::new()).collect();
    for member in index.members() {
        let mut delivered = vec![0; streams.len()];
        let mut changed = BTreeSet::new();
        for (event, message) in index.group_events(member) {
            match (&index.record(member).events[event], streams.place(message)) {
                (Event::Deliver { .. }, Some((stream, rank))) => {
                    delivered[stream] = delivered[stream].max(rank + 1);
                    changed.insert(stream);
                }
                (Event::Multicast { .. }, _) if index.origin(message) == Some(event) => {
                    let changed = std::mem::take(&mut changed).into_iter();
                    needs[message] =
                        changed.map(|stream| Need { stream, count: delivered[stream] }).collect();
                }
                _ => {}
            }
        }
    }
    needs
}

/// Finds the first delivery at `member` that precedes a delivery on which it depends.
fn too_early(
    index: &MessageIndex<'_>,
    streams: &Streams,
    needs: &[Vec<Need>],
    member: usize,
) -> Option<Witness> {
    let mut delivered = streams.before(index, member);
    index.deliveries(member).find_map(|(event, message)| {
        let (own, rank) = streams.place(message)?;
        let lacks = |need: &&Need| need.stream != own && delivered[need.stream] < need.count;
        if let Some(need) = needs[message].iter().find(lacks) {
            let cause = streams.message(need.stream, delivered[need.stream]);
            return Some(story(index, member, event, message, cause));
        }
        delivered[own] = delivered[own].max(rank + 1);
        None
    })
}

fn story(index: &MessageIndex<'_>, member: usize, event: usize, message: usize, cause: usize) -> Witness {
    let record = index.record(member);
    let (name, cause_name) = (index.name(message), index.name(cause));
    let (how, place) = match index.first_deliveries(member)[cause] {
        Some(late) => (format!("before {cause_name}"), record.place(&[event, late])),
        None => (format!("and never {cause_name}"), record.place(&[event])),
    };
    let sender = usize::from(index.id(message).member);
    let known = index.first_deliveries(sender)[cause].into_iter().chain(index.origin(message));
    let origin = index.record(sender).place(&known.collect::<Vec<_>>());
    let story = format!(
        "{} delivered {name} {how} {place}; {} had delivered {cause_name} before it multicast {name} {origin}",
        record.name, origin.member
    );
    Witness::new(story, [place, origin])
}
