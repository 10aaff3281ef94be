//! Validity: a member delivers what it multicasts.

use super::catalogue::Catalogue;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    catalogue.conclude(catalogue.members().find_map(|member| undelivered(catalogue, member)))
}

/// Finds the first own multicast that a member never delivered although it reached the end.
fn undelivered(catalogue: &Catalogue<'_>, member: usize) -> Option<Witness> {
    let record = catalogue.record(member);
    let delivered = catalogue.first_deliveries(member);
    let (event, message) = catalogue.multicasts(member).find(|&(_, message)| delivered[message].is_none())?;
    record.ended.then(|| {
        let (name, place) = (catalogue.name(message), record.place(&[event]));
        let story = format!("{} multicast {name} {place} and never delivered it", record.name);
        Witness::new(story, [place])
    })
}
