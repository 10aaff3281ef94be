//! Agreement: what one member delivers, all deliver.
//!
//! As Hadzilacos and Toueg define it, it binds the members that reached the end: a member that failed may have
//! delivered messages that the others never received, its own last multicast above all. (Uniform agreement forbids
//! that.) A newcomer, or a member that left early, owes the deliveries of its own views only.

use super::catalogue::Catalogue;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let delivered_by = first_deliverers(catalogue);
    catalogue.conclude(ended(catalogue).find_map(|member| missing(catalogue, member, &delivered_by)))
}

fn ended(catalogue: &Catalogue<'_>) -> impl Iterator<Item = usize> {
    catalogue.members().filter(|&member| catalogue.record(member).ended)
}

/// Returns, for each message, the first member that reached the end and delivered it, and the event.
fn first_deliverers(catalogue: &Catalogue<'_>) -> Vec<Option<(usize, usize)>> {
    let mut delivered_by = vec![None; catalogue.len()];
    for member in ended(catalogue) {
        for (event, message) in catalogue.deliveries(member) {
            delivered_by[message].get_or_insert((member, event));
        }
    }
    delivered_by
}

/// Finds the earliest delivery of another member that `member` owes and lacks.
fn missing(
    catalogue: &Catalogue<'_>,
    member: usize,
    delivered_by: &[Option<(usize, usize)>],
) -> Option<Witness> {
    let own = catalogue.first_deliveries(member);
    let (event, other, message) = (0..catalogue.len())
        .filter(|&message| own[message].is_none() && catalogue.owes(member, message))
        .filter_map(|message| delivered_by[message].map(|(other, event)| (event, other, message)))
        .min()?;
    let (name, other) = (catalogue.name(message), catalogue.record(other));
    let place = other.place(&[event]);
    let this = catalogue.record(member).place(&[]);
    let story = format!("{} delivered {name} {place}; {} never did{}", other.name, this.member, this.whole());
    Some(Witness::new(story, [place, this]))
}
