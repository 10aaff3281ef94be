//! Order across groups: there is one order of the messages of all groups in which every member delivers what it gets.
//!
//! A member of several groups tells in which order it delivered the messages of all of them, and a member of one group
//! the messages of that one. The order is one of all groups together, so it is judged for all of them at once, and each
//! group has the same verdict.

use std::collections::BTreeMap;

use super::history::History;
use super::message_index::MessageIndex;
use super::sequences;
use super::verdict::{Place, Verdict, Witness};

/// A delivery of one member: the group, the record in its history, the event, the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) group: usize,
    pub(crate) record: usize,
    pub(crate) event: usize,
}

/// Returns the verdict that was found when the history was assembled, which tells of one group alone.
pub(super) fn judge(index: &MessageIndex<'_>) -> Verdict {
    let none = || Verdict::Undecided("no member is in several groups".to_owned());
    index.history.across.clone().unwrap_or_else(none)
}

/// Judges the order across these groups, each with its name. `members` has the deliveries of each member of all groups
/// in its order; those that not all members must agree on are left out.
pub(crate) fn judge_groups(groups: &[(&str, &History)], members: &[Vec<Delivery>]) -> Verdict {
    let indices: Vec<MessageIndex<'_>> =
        groups.iter().map(|(_, history)| MessageIndex::new(history)).collect();
    // The messages of all groups get one range of numbers.
    let mut offsets = vec![0];
    offsets.extend(indices.iter().scan(0, |sum, index| {
        *sum += index.len();
        Some(*sum)
    }));
    let mut orders = Vec::new();
    for deliveries in members {
        let firsts: BTreeMap<(usize, usize), Vec<Option<usize>>> = deliveries
            .iter()
            .map(|it| ((it.group, it.record), indices[it.group].first_deliveries(it.record)))
            .collect();
        let common: BTreeMap<(usize, usize), usize> = firsts
            .keys()
            .map(|&(group, record)| {
                let last = indices[group].common_deliveries(record).last();
                ((group, record), last.map_or(0, |(event, _)| event + 1))
            })
            .collect();
        let mut order = Vec::new();
        for it in deliveries {
            let key = (it.group, it.record);
            let Some(message) = indices[it.group].message((it.record, it.event)) else { continue };
            if it.event < common[&key] && firsts[&key][message] == Some(it.event) {
                order.push(((offsets[it.group] + message) as u32, *it));
            }
        }
        orders.push(order);
    }
    let items: Vec<Vec<u32>> =
        orders.iter().map(|order| order.iter().map(|(message, _)| *message).collect()).collect();
    let circle = sequences::contradiction(&items, *offsets.last().unwrap_or(&0));
    let story = circle.map(|circle| {
        Witness::joined(circle.iter().map(|step| {
            let [(first, one), (then, other)] =
                [step.before, step.after].map(|place| orders[step.sequence][place]);
            let name = |item: u32, it: Delivery| {
                let message = item as usize - offsets[it.group];
                format!("{} of {}", indices[it.group].name(message), groups[it.group].0)
            };
            let [record, other_record] = [one, other].map(|it| indices[it.group].record(it.record));
            let (place, other_place) = (record.place(&[one.event]), other_record.place(&[other.event]));
            let place = together(place, other_place);
            let told =
                format!("{} delivered {} then {} {place}", record.name, name(first, one), name(then, other));
            (told, place)
        }))
    });
    if let Some(witness) = story {
        return Verdict::Violated(witness);
    }
    let open = indices.iter().map(|index| index.conclude(None)).find(|verdict| !verdict.is_valid());
    open.unwrap_or(Verdict::Valid)
}

/// Returns two places of one member as one, if they are in one file.
fn together(mut one: Place, mut other: Place) -> Place {
    if one.file.is_some() && one.file == other.file {
        one.lines.append(&mut other.lines);
    } else {
        one.also.push(other);
    }
    one
}

/// A line of a result file: its number, its group, and its sender and text.
pub(super) type TextLine = (u32, String, Vec<u8>);

/// Judges the order across groups from the lines of result files alone, each with its member and its file. Lines that
/// stand twice in one file tell nothing.
pub(super) fn judge_texts(files: &[(String, String, Vec<TextLine>)]) -> Verdict {
    let mut items: BTreeMap<(&str, &[u8]), u32> = BTreeMap::new();
    let mut is_repeated = false;
    let mut orders: Vec<Vec<(u32, u32)>> = Vec::new();
    for (_, _, lines) in files {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        let mut order = Vec::new();
        for (number, group, line) in lines {
            let next = items.len() as u32;
            let item = *items.entry((group, line)).or_insert(next);
            *counts.entry(item).or_default() += 1;
            order.push((item, *number));
        }
        is_repeated |= counts.values().any(|&count| count > 1);
        order.retain(|(item, _)| counts[item] == 1);
        orders.push(order);
    }
    let names: Vec<String> = {
        let mut names = vec![String::new(); items.len()];
        for ((group, line), item) in &items {
            names[*item as usize] = format!("{} of {group}", crate::place::quoted(line));
        }
        names
    };
    let sequences: Vec<Vec<u32>> =
        orders.iter().map(|order| order.iter().map(|(item, _)| *item).collect()).collect();
    match sequences::contradiction(&sequences, items.len()) {
        Some(circle) => Verdict::Violated(Witness::joined(circle.iter().map(|step| {
            let (member, file, _) = &files[step.sequence];
            let [(first, at), (then, then_at)] =
                [step.before, step.after].map(|place| orders[step.sequence][place]);
            let place = Place {
                member: member.clone(),
                file: Some(file.clone()),
                lines: vec![at, then_at],
                also: vec![],
            };
            let [first, then] = [first, then].map(|item| &names[item as usize]);
            (format!("{member} delivered {first} then {then} {place}"), place)
        }))),
        None if is_repeated => Verdict::Undecided("a line stands twice in a result file".to_owned()),
        None => Verdict::Valid,
    }
}
