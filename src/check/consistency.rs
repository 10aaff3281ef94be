//! Consistency: the files of each member agree. Result files match the history's deliveries, counts are right,
//! names are the member's own, and views with one number have the same members.

use super::history::{Event, History, Record};
use super::message_index::MessageIndex;
use super::read::{HistoryFile, Member, ResultFile, Run};
use super::synchrony;
use super::verdict::{Place, Verdict, Witness};
use crate::place::quoted;
use crate::results::write_result;
use crate::talk::list;

pub(super) fn judge(run: &Run, index: &MessageIndex<'_>) -> Verdict {
    if !run.has_histories() {
        return Verdict::Undecided("there is no history to compare with".to_owned());
    }
    let of_member = |(member, record): (&Member, &Record)| {
        let history_file = member.history_file.as_ref()?;
        wrong_name(member, history_file)
            .or_else(|| after_the_end(member, history_file))
            .or_else(|| wrong_count(member, history_file, record))
            .or_else(|| wrong_view(record, history_file))
            .or_else(|| wrong_results(&run.history, member, record))
    };
    let violation = run.with_records().find_map(of_member);
    index.conclude(violation.or_else(|| synchrony::lists_differ(index)))
}

/// Finds a history under another member's name, or a receipt that names two senders.
fn wrong_name(member: &Member, history_file: &HistoryFile) -> Option<Witness> {
    let other = history_file.starts.iter().find(|start| start.member != member.id);
    if let Some(start) = other {
        let place = member.place([start.line]);
        return Some(Witness::new(format!("this is the history of {} {place}", start.member), [place]));
    }
    let place = member.place([history_file.misattributed?]);
    let story =
        format!("{} received a message with two senders, in \"id\" and in \"from\" {place}", member.id);
    Some(Witness::new(story, [place]))
}

fn after_the_end(member: &Member, history_file: &HistoryFile) -> Option<Witness> {
    let (end, (_, last)) = (history_file.ends.first()?, history_file.lines?);
    let place = member.place([end.line, last]);
    let story = format!("{} ended, and then something happened {place}", member.id);
    (end.line < last).then(|| Witness::new(story, [place]))
}

/// Finds a count in the end event that the history's events do not match.
fn wrong_count(member: &Member, history_file: &HistoryFile, record: &Record) -> Option<Witness> {
    let end = history_file.ends.last()?;
    let count =
        |is_one: fn(&Event) -> bool| record.events.iter().filter(|event| is_one(event)).count() as u64;
    let counts = [
        ("multicast", count(|event| matches!(event, Event::Multicast { .. }))),
        ("delivered", count(|event| matches!(event, Event::Deliver { .. }))),
        ("sent", count(|event| matches!(event, Event::Send { .. }))),
        ("received", count(|event| matches!(event, Event::Receive { .. }))),
        ("undeliverable", count(|event| matches!(event, Event::Undeliverable { .. }))),
    ];
    let mut both = counts.into_iter().zip(end.counts);
    let ((what, found), told) =
        both.find_map(|(counted, told)| Some((counted, told.filter(|told| *told != counted.1)?)))?;
    let place = member.place([end.line]);
    let story =
        format!("{} counted {told} {what} at its end {place}, and its history has {found}", member.id);
    Some(Witness::new(story, [place]))
}

/// Finds a view without its own member, a view number that does not grow, or a first view that differs from the
/// start event.
fn wrong_view(record: &Record, history_file: &HistoryFile) -> Option<Witness> {
    synchrony::without_itself(record)
        .or_else(|| other_first_view(record, history_file))
        .or_else(|| synchrony::skipped(record, |one, next| one < next))
}

fn other_first_view(record: &Record, history_file: &HistoryFile) -> Option<Witness> {
    let (start, view) = (history_file.starts.first()?, record.views.first()?);
    if view.number != 1 || view.members == start.members {
        return None;
    }
    let mut place = record.place_of(&[0]);
    place.lines.insert(0, start.line);
    let (name, started, viewed) = (&record.name, list(&start.members), list(&view.members));
    let story = format!("{name} started with {started}, and its view 1 is {viewed} {place}");
    Some(Witness::new(story, [place]))
}

/// Finds a result file that does not match the history.
pub(super) fn wrong_results(history: &History, member: &Member, record: &Record) -> Option<Witness> {
    let compare = |file: &Option<ResultFile>, skipped: u64, is_one: fn(&Event) -> bool| {
        difference(history, record, (file.as_ref()?, skipped as usize), is_one)
    };
    compare(&member.delivered, member.began, |event| matches!(event, Event::Deliver { .. }))
        .or_else(|| compare(&member.received, 0, |event| matches!(event, Event::Receive { .. })))
}

fn difference(
    history: &History,
    record: &Record,
    (file, skipped): (&ResultFile, usize),
    is_one: fn(&Event) -> bool,
) -> Option<Witness> {
    let is_line = |&event: &usize| is_one(&record.events[event]) && record.is_seen(event);
    let events = || (0..record.events.len()).filter(is_line).skip(skipped);
    let write = |line: &mut Vec<u8>, place: usize| {
        let event = &record.events[place];
        let from = record.author(place).unwrap_or(history.who(event.id().member));
        write_result(line, from, event.text());
    };
    let at = |line: usize| Place {
        member: record.name.clone(),
        file: Some(file.name.clone()),
        lines: vec![file.number(line)],
        also: vec![],
    };
    let mut told = Vec::new();
    let differs = events().zip(file.lines().enumerate()).find(|(event, (_, found))| {
        told.clear();
        write(&mut told, *event);
        told != *found
    });
    if let Some((event, (position, found))) = differs {
        let places = [record.place(&[event]), at(position)];
        let (told, found) = (quoted(&told), quoted(&found));
        let story =
            format!("the history says {told} {} where the results say {found} {}", places[0], places[1]);
        return Some(Witness::new(story, places));
    }
    let (told, found) = (events().count(), file.lines().len());
    if told > found && file.ended {
        let place = record.place(&[events().nth(found)?]);
        let story =
            format!("the history tells a delivery {place} after the end of the results ({})", file.name);
        return Some(Witness::new(story, [place]));
    }
    let place = at(told);
    let story = format!("the results have a line {place} after the end of the history");
    (told < found && record.ended).then(|| Witness::new(story, [place]))
}
