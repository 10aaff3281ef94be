//! Validity: a member delivers what it multicasts.

use super::message_index::MessageIndex;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    index.conclude(index.members().find_map(|member| undelivered(index, member)))
}

/// Finds the first own multicast that a member never delivered although it reached the end.
fn undelivered(index: &MessageIndex<'_>, member: usize) -> Option<Witness> {
    let record = index.record(member);
    let delivered = index.first_deliveries(member);
    let (event, message) = index.multicasts(member).find(|&(_, message)| delivered[message].is_none())?;
    record.ended.then(|| {
        let (name, place) = (index.name(message), record.place(&[event]));
        let story = format!("{} multicast {name} {place} and never delivered it", record.name);
        Witness::new(story, [place])
    })
}
