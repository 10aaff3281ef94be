//! No duplicate: no member delivers a message twice.

use super::catalogue::Catalogue;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    catalogue.conclude(catalogue.members().find_map(|member| repeated(catalogue, member)))
}

fn repeated(catalogue: &Catalogue<'_>, member: usize) -> Option<Witness> {
    let first = catalogue.first_deliveries(member);
    let again = |&(event, message): &(usize, usize)| first[message].is_some_and(|first| first < event);
    let (event, message) = catalogue.deliveries(member).find(again)?;
    let record = catalogue.record(member);
    let place = record.place(&[first[message]?, event]);
    let story = format!("{} delivered {} twice {place}", record.name, catalogue.name(message));
    Some(Witness::new(story, [place]))
}
