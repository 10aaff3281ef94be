//! Total order: two members that both deliver two messages deliver them in the same order.
//!
//! Every pair of members is compared on what both delivered, so a missing message does not hide an order, nor
//! count as one: that is agreement's business.

use super::catalogue::{Catalogue, Deliveries};
use super::verdict::{Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let places: Vec<Deliveries> =
        catalogue.members().map(|member| catalogue.first_deliveries(member)).collect();
    let mut pairs = catalogue.members().flat_map(|one| (0..one).map(move |other| (other, one)));
    catalogue.conclude(pairs.find_map(|(one, other)| disagreement(catalogue, &places, one, other)))
}

/// The first two messages that `other` delivered one after the other and `one` the other way round.
fn disagreement(
    catalogue: &Catalogue<'_>,
    places: &[Deliveries],
    one: usize,
    other: usize,
) -> Option<Witness> {
    let mut last: Option<(usize, usize, usize)> = None;
    for (event, message) in catalogue.deliveries(other) {
        let Some(at_one) = places[one].of(message) else { continue };
        if places[other].of(message) != Some(event) {
            continue; // A repetition.
        }
        if let Some((before, before_event, before_at_one)) = last
            && at_one < before_at_one
        {
            let (first, second) = (catalogue.name(message), catalogue.name(before));
            let (one, other) = (catalogue.record(one), catalogue.record(other));
            let places = [one.place(&[at_one, before_at_one]), other.place(&[before_event, event])];
            let story = format!(
                "{} delivered {first} then {second} {}; {} delivered {second} then {first} {}",
                one.name, places[0], other.name, places[1],
            );
            return Some(Witness::new(story, places));
        }
        last = Some((message, event, at_one));
    }
    None
}
