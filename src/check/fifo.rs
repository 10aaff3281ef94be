//! FIFO order: a member delivers a message only after all earlier messages of its sender.
//!
//! As Hadzilacos and Toueg define it: a message passed over breaks FIFO order even if it is never delivered.

use super::message_index::MessageIndex;
use super::streams::Streams;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    index.conclude_of_senders(first_violation(index, &Streams::new(index)))
}

/// Finds the first delivery at any member that passes over an earlier message of the same sender.
pub(super) fn first_violation(index: &MessageIndex<'_>, streams: &Streams) -> Option<Witness> {
    index.members().find_map(|member| {
        let mut next = streams.before(index, member);
        index.deliveries(member).find_map(|(event, message)| {
            let (stream, rank) = streams.place(message)?;
            if rank > next[stream] {
                let before = streams.message(stream, next[stream]);
                return Some(passed_over(index, member, event, message, before));
            }
            // A lower rank is a duplicate, which another property judges.
            next[stream] += usize::from(rank == next[stream]);
            None
        })
    })
}

fn passed_over(
    index: &MessageIndex<'_>,
    member: usize,
    event: usize,
    message: usize,
    before: usize,
) -> Witness {
    let record = index.record(member);
    let (later, earlier) = (index.name(message), index.name(before));
    let (how, place) = match index.first_deliveries(member)[before] {
        Some(late) => (format!("before {earlier}"), record.place(&[event, late])),
        None => (format!("and never {earlier}"), record.place(&[event])),
    };
    let Some(sender) = index.sender(before) else { return Witness::default() };
    let order: Vec<usize> = [before, message].into_iter().filter_map(|one| index.origin(one)).collect();
    let origin = sender.place(&order);
    let story = format!(
        "{} delivered {later} {how} {place}; {} multicast {earlier} first {origin}",
        record.name, sender.name
    );
    Witness::new(story, [place, origin])
}
