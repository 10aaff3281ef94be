//! FIFO order: a member delivers a message only after all earlier messages of its sender.
//!
//! As Hadzilacos and Toueg define it: a message passed over breaks FIFO order even if it is never delivered.

use super::catalogue::Catalogue;
use super::streams::Streams;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    catalogue.conclude_of_senders(first_violation(catalogue, &Streams::new(catalogue)))
}

/// Finds the first delivery at any member that passes over an earlier message of the same sender.
pub(super) fn first_violation(catalogue: &Catalogue<'_>, streams: &Streams) -> Option<Witness> {
    catalogue.members().find_map(|member| {
        let mut next = streams.before(catalogue, member);
        catalogue.deliveries(member).find_map(|(event, message)| {
            let (stream, rank) = streams.place(message)?;
            if rank > next[stream] {
                let before = streams.message(stream, next[stream]);
                return Some(passed_over(catalogue, member, event, message, before));
            }
            // A lower rank is a duplicate, which another property judges.
            next[stream] += usize::from(rank == next[stream]);
            None
        })
    })
}

fn passed_over(
    catalogue: &Catalogue<'_>,
    member: usize,
    event: usize,
    message: usize,
    before: usize,
) -> Witness {
    let record = catalogue.record(member);
    let (later, earlier) = (catalogue.name(message), catalogue.name(before));
    let (how, place) = match catalogue.first_deliveries(member)[before] {
        Some(late) => (format!("before {earlier}"), record.place(&[event, late])),
        None => (format!("and never {earlier}"), record.place(&[event])),
    };
    let Some(sender) = catalogue.sender(before) else { return Witness::default() };
    let order: Vec<usize> = [before, message].into_iter().filter_map(|one| catalogue.origin(one)).collect();
    let origin = sender.place(&order);
    let story = format!(
        "{} delivered {later} {how} {place}; {} multicast {earlier} first {origin}",
        record.name, sender.name
    );
    Witness::new(story, [place, origin])
}
