//! Agreement: what one member delivers, all deliver.
//!
//! As Hadzilacos and Toueg define it, it binds the members that reached the end: a member that failed may have
//! delivered messages that the others never received, its own last multicast above all. (Uniform agreement forbids
//! that.) A newcomer, or a member that left early, owes the deliveries of its own views only.

use super::message_index::MessageIndex;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let delivered_by = first_deliverers(index);
    index.conclude(ended(index).find_map(|member| missing(index, member, &delivered_by)))
}

fn ended(index: &MessageIndex<'_>) -> impl Iterator<Item = usize> {
    index.members().filter(|&member| index.record(member).ended)
}

/// Returns, for each message, the first member that reached the end and delivered it, and the event.
fn first_deliverers(index: &MessageIndex<'_>) -> Vec<Option<(usize, usize)>> {
    let mut delivered_by = vec![None; index.len()];
    for member in ended(index) {
        for (event, message) in index.deliveries(member) {
            delivered_by[message].get_or_insert((member, event));
        }
    }
    delivered_by
}

/// Finds the earliest delivery of another member that `member` owes and lacks.
fn missing(
    index: &MessageIndex<'_>,
    member: usize,
    delivered_by: &[Option<(usize, usize)>],
) -> Option<Witness> {
    let own = index.first_deliveries(member);
    let (event, other, message) = (0..index.len())
        .filter(|&message| own[message].is_none() && index.owes(member, message))
        .filter_map(|message| delivered_by[message].map(|(other, event)| (event, other, message)))
        .min()?;
    let (name, other) = (index.name(message), index.record(other));
    let place = other.place(&[event]);
    let this = index.record(member).place(&[]);
    let story = format!("{} delivered {name} {place}; {} never did{}", other.name, this.member, this.whole());
    Some(Witness::new(story, [place, this]))
}
