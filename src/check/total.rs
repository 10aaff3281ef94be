//! Total order: there is one order in which all members deliver.
//!
//! Only the order of delivered messages counts; agreement judges missing ones. Usually two members deliver two messages
//! in opposite orders. Where deliveries are missing, a cycle may take more members: a before b, b before c, c before a.

use super::message_index::MessageIndex;
use super::sequences::{self, Step};
use super::verdict::{Verdict, Witness};

pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let delivered: Vec<Vec<(usize, usize)>> =
        index.members().map(|member| first_deliveries(index, member)).collect();
    let messages = |deliveries: &Vec<(usize, usize)>| -> Vec<u32> {
        deliveries.iter().map(|(_, message)| *message as u32).collect()
    };
    let orders: Vec<Vec<u32>> = delivered.iter().map(messages).collect();
    let circle = sequences::contradiction(&orders, index.len());
    index.conclude(circle.map(|circle| story(index, &delivered, &circle)))
}

/// Returns the deliveries of a member without duplicates, as pairs of event and message.
fn first_deliveries(index: &MessageIndex<'_>, member: usize) -> Vec<(usize, usize)> {
    let first = index.first_deliveries(member);
    index.common_deliveries(member).filter(|&(event, message)| first[message] == Some(event)).collect()
}

fn story(index: &MessageIndex<'_>, delivered: &[Vec<(usize, usize)>], circle: &[Step]) -> Witness {
    Witness::joined(circle.iter().map(|step: &Step| {
        let [(event, first), (then_event, then)] =
            [step.before, step.after].map(|place| delivered[step.sequence][place]);
        let record = index.record(step.sequence);
        let place = record.place(&[event, then_event]);
        let [first, then] = [first, then].map(|message| index.name(message));
        (format!("{} delivered {first} then {then} {place}", record.name), place)
    }))
}
