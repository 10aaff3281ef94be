//! Numbers: every member delivers 1, 2, 3, …, and a number is the same message everywhere.

use super::catalogue::Catalogue;
use super::history::Event;
use super::verdict::{Place, Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let numbered = |event: &Event| matches!(event, Event::Deliver { number: Some(_), .. });
    if !catalogue.history.records.iter().flat_map(|record| &record.events).any(numbered) {
        return Verdict::Undecided("no delivery has a number".to_owned());
    }
    let mut named = Vec::new();
    catalogue.conclude(catalogue.members().find_map(|member| wrong(catalogue, member, &mut named)))
}

/// A delivery: the member, its event, the message.
type Delivery = (usize, usize, usize);

/// The first delivery of `member` whose number is not the next, or was another message's at another member.
/// `named` has, for each number so far, a delivery under it.
fn wrong(catalogue: &Catalogue<'_>, member: usize, named: &mut Vec<Delivery>) -> Option<Witness> {
    for (index, (event, message)) in catalogue.deliveries(member).enumerate() {
        let (next, this) = (index + 1, (member, event, message));
        if let Event::Deliver { number, .. } = catalogue.record(member).events[event]
            && number != Some(next as u64)
        {
            let given = number.map_or_else(|| "no number".to_owned(), |number| format!("number {number}"));
            let (told, place) = tell(catalogue, this);
            return Some(Witness::new(format!("{told} has {given} where {next} was next"), [place]));
        }
        match named.get(index) {
            Some(&other) if other.2 != message => {
                let ((one, at), (two, and_at)) = (tell(catalogue, other), tell(catalogue, this));
                return Some(Witness::new(format!("number {next} is {one} and {two}"), [at, and_at]));
            }
            Some(_) => {}
            None => named.push(this),
        }
    }
    None
}

fn tell(catalogue: &Catalogue<'_>, (member, event, message): Delivery) -> (String, Place) {
    let record = catalogue.record(member);
    let place = record.place(&[event]);
    (format!("{} at {} {place}", catalogue.name(message), record.name), place)
}
